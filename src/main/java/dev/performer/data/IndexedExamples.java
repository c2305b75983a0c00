package dev.performer.data;

import java.util.NoSuchElementException;
import java.util.function.LongUnaryOperator;

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
  default ExampleStream open() {
    return open(index -> index);
  }

  /** All examples in another order: the i-th is that of number {@code order(i)}. */
  default ExampleStream open(LongUnaryOperator order) {
    return new ExampleStream() {
      private long position;

      @Override
      public boolean hasNext() {
        return position < size();
      }

      @Override
      public Example next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        return get(order.applyAsLong(position++));
      }

      @Override
      public void skip(long count) {
        position = Math.min(size(), position + count);
      }

      @Override
      public void close() {}
    };
  }
}
