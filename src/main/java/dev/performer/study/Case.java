package dev.performer.study;

import java.io.IOException;

/**
 * One measurement of a {@link Benchmark}: a record that is taken as JSON into a process of its own,
 * so that its memory is not another's.
 *
 * @param <R> what is measured, a record that comes back as JSON
 */
public interface Case<R> {
  /** What is measured, in a few words. */
  String label();

  /** Measures here and now. */
  R measure() throws IOException;

  /** About how long it takes on two cores of a server, for an estimate before anything is known. */
  double seconds();

  /** Memory below which it is not worth trying; 0 where that does not matter. */
  default long leastBytes() {
    return 0;
  }
}
