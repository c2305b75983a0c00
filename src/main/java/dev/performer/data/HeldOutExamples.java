package dev.performer.data;

/**
 * One source in two parts: every n-th example for validation, the others for training.
 *
 * @param train the larger part
 * @param validation never seen in training
 */
public record HeldOutExamples(ExampleSource train, ExampleSource validation) {

  /**
   * Splits a source; the parts of numbered examples are numbered too.
   *
   * @param every the first of every so many is held out; at least 2
   */
  public static HeldOutExamples of(ExampleSource source, int every) {
    if (every < 2) {
      throw new IllegalArgumentException("every must be at least 2, not " + every);
    }
    String heldOut = source.name() + ", held out";
    if (source instanceof IndexedExamples indexed) {
      long validation = (indexed.size() + every - 1) / every;
      return new HeldOutExamples(
          new Part(indexed, source.name(), indexed.size() - validation, every, false),
          new Part(indexed, heldOut, validation, every, true));
    }
    return new HeldOutExamples(
        ExampleSource.of(source.name(), () -> source.open().at(i -> i % every != 0)),
        ExampleSource.of(heldOut, () -> source.open().at(i -> i % every == 0)));
  }

  private record Part(IndexedExamples all, String name, long size, int every, boolean validation)
      implements IndexedExamples {
    @Override
    public Example get(long index) {
      return all.get(
          validation ? index * every : index / (every - 1) * every + index % (every - 1) + 1);
    }
  }
}
