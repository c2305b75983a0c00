package dev.performer.study;

import static dev.performer.PerformerException.require;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.management.OperatingSystemMXBean;
import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import dev.performer.data.DataFile;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

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
   * Measures all cases one after the other; those that need more memory than the machine has are
   * left out. After each, table, JSON and picture of what is there so far stand in the folder,
   * whole: an interruption loses one measurement.
   *
   * @param folder where {@code NAME.md}, {@code NAME.json} and {@code NAME.png} go; made if need be
   * @param limit of one measurement
   * @throws PerformerException if the folder cannot be written to, or, after all others are done,
   *     if measurements failed or took longer than the limit
   */
  default Outcome run(Path folder, Duration limit, Listener listener) {
    prepare(folder);
    List<C> cases = cases();
    var os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long available = os.getTotalMemorySize() * 3 / 4;
    ToDoubleFunction<C> estimate = c -> c.leastBytes() > available ? 0 : c.seconds();
    double left = cases.stream().mapToDouble(estimate).sum();
    listener.starts(cases.size(), duration(left));
    List<C> rows = new ArrayList<>();
    List<String> failures = new ArrayList<>();
    Outcome outcome = null;
    double estimated = 0;
    long start = System.nanoTime();
    for (C planned : cases) {
      C row = planned;
      String line = planned.label() + ": skipped, as it needs more memory than there is";
      if (planned.leastBytes() <= available) {
        try {
          row = MeasuringProcess.measure(planned, limit);
          line = row.line();
        } catch (PerformerException e) {
          if (Thread.currentThread().isInterrupted()) {
            throw e;
          }
          line = e.getMessage();
          failures.add(line);
        }
      }
      rows.add(row);
      outcome = write(folder, rows);
      estimated += estimate.applyAsDouble(planned);
      left -= estimate.applyAsDouble(planned);
      double pace = estimated == 0 ? 1 : (System.nanoTime() - start) / 1e9 / estimated;
      listener.measured(line, duration(left * pace));
    }
    if (!failures.isEmpty()) {
      throw new PerformerException(
          failures.size() + " of " + cases.size() + " measurements failed; " + failures.get(0));
    }
    return outcome;
  }

  private Outcome write(Path folder, List<C> rows) {
    String table = table(rows);
    ObjectNode json = JsonNodeFactory.instance.objectNode().put("date", Instant.now().toString());
    json.setAll((ObjectNode) StrictJson.tree(size()));
    json.put("cores", Runtime.getRuntime().availableProcessors()).put("measured", rows.size());
    json.setAll((ObjectNode) StrictJson.tree(json(rows)));
    List<Path> files = new ArrayList<>();
    files.add(write(folder, ".json", (json.toPrettyString() + "\n").getBytes(UTF_8)));
    files.add(write(folder, ".md", table.getBytes(UTF_8)));
    List<Chart> charts = charts(rows);
    if (OptionalLibrary.CHARTS.isPresent() && charts.stream().anyMatch(c -> !c.isEmpty())) {
      files.add(write(folder, ".png", Chart.png(charts)));
    }
    return new Outcome(table, json, files);
  }

  private Path write(Path folder, String ending, byte[] content) {
    Path file = folder.resolve(name() + ending);
    DataFile.write(file, out -> out.write(content));
    return file;
  }

  /** Before minutes of measuring, not after. */
  private static void prepare(Path folder) {
    try {
      Files.createDirectories(folder);
      if (!Files.isWritable(folder)) {
        throw new AccessDeniedException(folder.toString());
      }
    } catch (IOException e) {
      String text = "%s: cannot be written to (%s); choose another output folder";
      throw new PerformerException(text.formatted(folder, AtomicFiles.describe(e)), e);
    }
  }

  private static Duration duration(double seconds) {
    return Duration.ofMillis((long) (1e3 * Math.max(0, seconds)));
  }
}
