package dev.performer.study;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import java.io.IOException;
import java.util.List;

/** Measurements that belong together, with table and charts of those that are there so far. */
public interface Benchmark<C extends Benchmark.Case<C>> {
  /**
   * One measurement: a record that goes as JSON into a process of its own, so that its memory is
   * not another's, and comes back with its result.
   */
  interface Case<C> {
    /** What is measured, in a few words. */
    String label();

    C measure() throws IOException;

    /** What was measured; null where it was not yet, was left out or failed. */
    Record result();

    /** The result in one line. */
    String line();

    /** About how long it takes on two cores of a server. */
    double seconds();

    /** Memory below which it is not worth trying; 0 where that does not matter. */
    default long leastBytes() {
      return 0;
    }
  }

  /**
   * Sizes that all cases have.
   *
   * @param features M of the kernels that estimate softmax
   */
  record Size(int batch, int heads, int headSize, int features) {
    /**
     * @throws PerformerException if one is below 1
     */
    public Size {
      int least = Math.min(Math.min(batch, heads), Math.min(headSize, features));
      require(least > 0, "batch, heads, head size and features must be at least 1, not %d", least);
    }

    /** E, the width of a model of these heads. */
    int hiddenSize() {
      return Math.multiplyExact(heads, headSize);
    }

    /** Sequence lengths. @throws PerformerException unless there are some, all positive */
    static List<Integer> checked(List<Integer> lengths) {
      boolean isFit = !lengths.isEmpty() && lengths.stream().allMatch(length -> length > 0);
      require(isFit, "lengths must be positive numbers, not %s", lengths);
      return List.copyOf(lengths);
    }
  }

  /** Of the files that are written, without an ending. */
  String name();

  Size size();

  /** In the order in which they are measured. */
  List<C> cases();

  /** Markdown. */
  String table(List<C> rows);

  /** Rows and what follows from them, for JSON. */
  Record json(List<C> rows);

  /** Drawn side by side; none for no picture. */
  default List<Chart> charts(List<C> rows) {
    return List.of();
  }
}
