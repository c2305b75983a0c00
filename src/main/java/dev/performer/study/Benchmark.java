package dev.performer.study;

import dev.performer.chart.Chart;
import java.util.List;
import java.util.Map;

/**
 * Measurements that belong together, with the table and the charts that show them. All but the
 * cases can be had of the rows that are there so far.
 *
 * @param <C> one measurement
 * @param <R> its result
 */
public interface Benchmark<C extends Case<R>, R> {
  /** Of the files that are written, without an ending. */
  String name();

  /** What is the same in all cases. */
  BenchmarkSize size();

  /** In the order in which they are measured. */
  List<C> cases();

  /** The record that a case measures. */
  Class<R> resultType();

  /** A measurement in one line. */
  String line(C measured, R result);

  /** Markdown. */
  String table(List<Row<C, R>> rows);

  /** Rows and what follows from them, for JSON. */
  Map<String, Object> json(List<Row<C, R>> rows);

  /** Drawn side by side; none for no picture. */
  List<Chart> charts(List<Row<C, R>> rows);

  /** A case and its result; null where it was left out or failed. */
  record Row<C, R>(C measured, R result) {
    boolean isMeasured() {
      return result != null;
    }
  }
}
