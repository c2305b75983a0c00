package dev.performer.data;

import java.util.List;
import java.util.function.LongFunction;
import java.util.function.LongUnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Examples of which any can be had at once, so that an epoch in any order starts anywhere without
 * reading what lies before. For use by one thread at a time.
 */
public interface IndexedExamples extends ExampleSource {
  /** How many there are. */
  long size();

  /** The example of a number from 0, the same each time. */
  Example get(long index);

  @Override
  default DataStream<Example> open() {
    return open(index -> index);
  }

  /** All examples in another order: the i-th is that of number {@code order(i)}. */
  default DataStream<Example> open(LongUnaryOperator order) {
    return DataStream.of(LongStream.range(0, size()).map(order).mapToObj(this::get).iterator());
  }

  /** What a function has for each number. */
  static IndexedExamples of(String name, long size, LongFunction<Example> examples) {
    record Numbered(String name, long size, LongFunction<Example> examples)
        implements IndexedExamples {
      @Override
      public Example get(long index) {
        return examples.apply(index);
      }
    }
    return new Numbered(name, size, examples);
  }

  /** Sources of one size that go round by shares: example {@code i} is the i-th of one of them. */
  static IndexedExamples mixed(
      String name, List<? extends IndexedExamples> parts, List<Integer> shares) {
    if (parts.size() != shares.size() || shares.stream().anyMatch(share -> share < 1)) {
      throw new IllegalArgumentException("expected as many shares, of at least 1, as parts");
    }
    int[] round =
        IntStream.range(0, parts.size())
            .flatMap(part -> IntStream.generate(() -> part).limit(shares.get(part)))
            .toArray();
    return of(name, parts.get(0).size(), i -> parts.get(round[(int) (i % round.length)]).get(i));
  }
}
