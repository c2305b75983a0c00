package dev.performer.study;

import dev.performer.chart.Chart;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/**
 * Measurements that belong together, with the table and the charts that show those of them that are
 * there so far.
 *
 * @param <C> one measurement
 */
public interface Benchmark<C extends Benchmark.Case<C>> {
  /**
   * One measurement: a record that goes as JSON into a process of its own, so that its memory is
   * not another's, and comes back with its result.
   */
  interface Case<C> {
    /** What is measured, in a few words. */
    String label();

    /** The same with its result. */
    C measure() throws IOException;

    /** What was measured; null where it was not yet, was left out or failed. */
    Record result();

    /** The result in one line. */
    String line();

    /** About how long it takes on two cores of a server, as long as nothing is known. */
    double seconds();

    /** Memory below which it is not worth trying; 0 where that does not matter. */
    default long leastBytes() {
      return 0;
    }
  }

  /** Of the files that are written, without an ending. */
  String name();

  BenchmarkSize size();

  /** In the order in which they are measured. */
  List<C> cases();

  /** Markdown. */
  String table(List<C> rows);

  /** Rows and what follows from them, for JSON. */
  Map<String, Object> json(List<C> rows);

  /** Drawn side by side; none for no picture. */
  default List<Chart> charts(List<C> rows) {
    return List.of();
  }
}
