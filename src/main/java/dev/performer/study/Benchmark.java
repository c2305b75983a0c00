package dev.performer.study;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
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

  /** Sizes that all cases have; M features where a kernel estimates softmax. */
  record Size(int batch, int heads, int headSize, int features) {
    /** Checks sizes. */
    public Size {
      int least = Math.min(Math.min(batch, heads), Math.min(headSize, features));
      require(least > 0, "batch, heads, head size and features must be at least 1, not %d", least);
    }

    /** E, the width of a model of these heads. */
    int hiddenSize() {
      return Math.multiplyExact(heads, headSize);
    }

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

  /** Follows a run. */
  interface Listener {
    /** Before the first one; the estimate is of all, from nominal figures of two cores. */
    void starts(int measurements, Duration estimate);

    /** After each: what was measured, or why it was not, and the time of those that are left. */
    void measured(String line, Duration left);
  }

  /** What came of it: a table in Markdown, what was written as JSON, and all files. */
  record Outcome(String table, ObjectNode json, List<Path> files) {}

  /**
   * Measures all cases: those that are {@link InTurns} by groups, the others one after the other;
   * what needs more memory than the machine has is left out. After each group, table, JSON and
   * picture of what is there so far stand in the folder, whole: an interruption loses one group.
   *
   * @param folder where {@code NAME.md}, {@code NAME.json} and {@code NAME.png} go; made if need be
   * @param limit of one case
   * @param against JSON of an earlier run of the same cases to compare with, or null
   * @throws PerformerException if the folder cannot be written to, the earlier run is of something
   *     else, or, after all others are done, if measurements failed or took longer than the limit
   */
  default Outcome run(Path folder, Duration limit, Rounds rounds, Path against, Listener listener) {
    return new BenchmarkRun<>(this, folder, limit, listener).measure(rounds, against);
  }

  /**
   * Traces each case's work in place of timing it, which has its cost: {@code NAME-profile.md} and
   * {@code NAME-profile.json} say which ops take the time.
   *
   * @param limit of one case
   * @throws PerformerException if nothing here can be traced, and as {@link #run}
   */
  default Outcome profile(Path folder, Duration limit, Listener listener) {
    return new BenchmarkRun<>(this, folder, limit, listener).profile();
  }
}
