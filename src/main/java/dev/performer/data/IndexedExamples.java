package dev.performer.data;

import java.util.function.LongUnaryOperator;
import java.util.stream.LongStream;

/**
 * Examples of which any can be had at once, so that an epoch in any order starts anywhere without
 * reading what lies before. For use by one thread at a time.
 */
public interface IndexedExamples extends ExampleSource {
  /** How many there are. */
  long size();

  /**
   * The example of a number, the same each time.
   *
   * @param index from 0 to {@code size() - 1}
   */
  Example get(long index);

  @Override
  default DataStream<Example> open() {
    return open(index -> index);
  }

  /** All examples in another order: the i-th is that of number {@code order(i)}. */
  default DataStream<Example> open(LongUnaryOperator order) {
    return DataStream.of(LongStream.range(0, size()).map(order).mapToObj(this::get).iterator());
  }
}
