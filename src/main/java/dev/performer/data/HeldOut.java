package dev.performer.data;

import java.util.function.BiFunction;
import java.util.function.Supplier;

/** One source in two parts: what is trained on, and what is never seen in training. */
public record HeldOut<S>(S train, S validation) {
  public static final int EVERY = 20; // one in so many where no data of validation are named
  private static final String HELD_OUT = ", held out";

  /** The first of every {@link #EVERY} sequences is held out. */
  public static HeldOut<SequenceSource> of(SequenceSource all) {
    return of(all.name(), all::open, EVERY, SequenceSource::of);
  }

  /** Holds out the first of every so many, at least 2; parts of numbered examples are numbered. */
  public static HeldOut<ExampleSource> of(ExampleSource all, int every) {
    if (!(all instanceof IndexedExamples indexed)) {
      return of(all.name(), all::open, every, ExampleSource::of);
    }
    int kept = every - 1;
    long held = (indexed.size() + kept) / every;
    return new HeldOut<>(
        IndexedExamples.of(
            all.name(), indexed.size() - held, i -> indexed.get(i / kept * every + i % kept + 1)),
        IndexedExamples.of(all.name() + HELD_OUT, held, i -> indexed.get(i * every)));
  }

  private static <T, S> HeldOut<S> of(
      String name,
      Supplier<DataStream<T>> open,
      int every,
      BiFunction<String, Supplier<DataStream<T>>, S> part) {
    return new HeldOut<>(
        part.apply(name, () -> open.get().at(i -> i % every != 0)),
        part.apply(name + HELD_OUT, () -> open.get().at(i -> i % every == 0)));
  }
}
