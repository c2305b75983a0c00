package dev.performer.data;

import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.Function;
import java.util.function.LongPredicate;
import java.util.function.Supplier;

/** Things one after the other, such as examples or batches. Whoever opened it closes it. */
public interface DataStream<T> extends Iterator<T>, AutoCloseable {
  @Override
  void close();

  /** Of what is read when its presence is queried; null is the end, after which none is read. */
  static <T> DataStream<T> of(Supplier<? extends T> read, Runnable close) {
    return new DataStream<>() {
      private T ahead;
      private boolean ended;

      @Override
      public boolean hasNext() {
        if (ahead == null && !ended) {
          ahead = read.get();
          ended = ahead == null;
        }
        return ahead != null;
      }

      @Override
      public T next() {
        if (!hasNext()) {
          throw new NoSuchElementException();
        }
        T result = ahead;
        ahead = null;
        return result;
      }

      @Override
      public void close() {
        close.run();
      }
    };
  }

  /** What an iterator gives, which is closed if it can be. */
  static <T> DataStream<T> of(Iterator<? extends T> all) {
    AutoCloseable end = all instanceof AutoCloseable closeable ? closeable : () -> {};
    return of(() -> all.hasNext() ? all.next() : null, () -> DataFile.close("the data", end));
  }

  /** Each thing as a function has it; closing the result closes this. */
  default <R> DataStream<R> map(Function<? super T, ? extends R> change) {
    return of(() -> hasNext() ? change.apply(next()) : null, this::close);
  }

  /** Those things whose places, from 0, are wanted; closing the result closes this. */
  default DataStream<T> at(LongPredicate wanted) {
    long[] place = {0};
    return of(
        () -> {
          while (hasNext()) {
            T candidate = next();
            if (wanted.test(place[0]++)) {
              return candidate;
            }
          }
          return null;
        },
        this::close);
  }

  /** This, behind some things, or all if there are fewer; closed if one cannot be read. */
  default DataStream<T> after(long count) {
    try {
      for (long i = 0; i < count && hasNext(); i++) {
        next();
      }
      return this;
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }
}
