package dev.performer.data;

import java.util.function.BiFunction;
import java.util.function.Supplier;

/** One source in two parts: what is trained on, and what is never seen in training. */
public record HeldOut<S>(S train, S validation) {
  /** One in so many is for validation where no such data are named: 5 %. */
  public static final int EVERY = 20;

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
    long held = (indexed.size() + every - 1) / every;
    return new HeldOut<>(
        new Part(indexed, all.name(), indexed.size() - held, every, false),
        new Part(indexed, all.name() + HELD_OUT, held, every, true));
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

  private record Part(IndexedExamples all, String name, long size, int every, boolean validation)
      implements IndexedExamples {
    @Override
    public Example get(long index) {
      return all.get(
          validation ? index * every : index / (every - 1) * every + index % (every - 1) + 1);
    }
  }
}
