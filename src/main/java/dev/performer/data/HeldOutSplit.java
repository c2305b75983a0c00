package dev.performer.data;

/**
 * One source in two parts: every n-th sequence for validation, the others for training.
 *
 * @param train the larger part
 * @param validation never seen in training
 */
public record HeldOutSplit(SequenceSource train, SequenceSource validation) {
  /** 5 % for validation. */
  public static final int DEFAULT_EVERY = 20;

  /**
   * Splits a source.
   *
   * @param every the first of every so many sequences is held out; at least 2
   */
  public static HeldOutSplit of(SequenceSource source, int every) {
    if (every < 2) {
      throw new IllegalArgumentException("every must be at least 2, not " + every);
    }
    return new HeldOutSplit(
        SequenceSource.of(source.name(), () -> source.open().at(i -> i % every != 0)),
        SequenceSource.of(
            source.name() + ", held out", () -> source.open().at(i -> i % every == 0)));
  }
}
