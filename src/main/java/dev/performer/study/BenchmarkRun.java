package dev.performer.study;

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

/**
 * Takes the measurements of a benchmark one after the other. After each the table, the JSON and the
 * picture of what is there so far stand in a folder, whole: an interruption loses one measurement.
 *
 * @param folder where {@code NAME.md}, {@code NAME.json} and {@code NAME.png} go; made if need be
 * @param limit of one measurement
 */
public record BenchmarkRun(Path folder, Duration limit) {
  /** Follows a run. */
  public interface Listener {
    /** Before the first one; the estimate is of all, from nominal figures of two cores. */
    void starts(int measurements, Duration estimate);

    /** After each: what was measured, or why it was not, and the time of those that are left. */
    void measured(String line, Duration left);
  }

  /** What came of it: a table in Markdown, what was written as JSON, and all files. */
  public record Outcome(String table, ObjectNode json, List<Path> files) {}

  /**
   * Measures all cases. Those that need more memory than the machine has are left out.
   *
   * @throws PerformerException if the folder cannot be written to, or, after all others are done,
   *     if measurements failed or took longer than the limit
   */
  public <C extends Benchmark.Case<C>> Outcome run(Benchmark<C> benchmark, Listener listener) {
    prepare();
    List<C> cases = benchmark.cases();
    var os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long available = os.getTotalMemorySize() * 3 / 4;
    ToDoubleFunction<C> estimate = c -> c.leastBytes() > available ? 0 : c.seconds();
    double left = cases.stream().mapToDouble(estimate).sum();
    listener.starts(cases.size(), seconds(left));
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
      outcome = write(benchmark, rows);
      estimated += estimate.applyAsDouble(planned);
      left -= estimate.applyAsDouble(planned);
      double pace = estimated == 0 ? 1 : (System.nanoTime() - start) / 1e9 / estimated;
      listener.measured(line, seconds(left * pace));
    }
    if (!failures.isEmpty()) {
      throw new PerformerException(
          failures.size() + " of " + cases.size() + " measurements failed; " + failures.get(0));
    }
    return outcome;
  }

  private <C extends Benchmark.Case<C>> Outcome write(Benchmark<C> benchmark, List<C> rows) {
    String table = benchmark.table(rows);
    ObjectNode json = JsonNodeFactory.instance.objectNode().put("date", Instant.now().toString());
    json.setAll((ObjectNode) StrictJson.tree(benchmark.size()));
    json.put("cores", Runtime.getRuntime().availableProcessors()).put("measured", rows.size());
    json.setAll((ObjectNode) StrictJson.tree(benchmark.json(rows)));
    String name = benchmark.name();
    List<Path> files = new ArrayList<>();
    files.add(write(name + ".json", (json.toPrettyString() + "\n").getBytes(UTF_8)));
    files.add(write(name + ".md", table.getBytes(UTF_8)));
    List<Chart> charts = benchmark.charts(rows);
    if (OptionalLibrary.CHARTS.isPresent() && charts.stream().anyMatch(c -> !c.isEmpty())) {
      files.add(write(name + ".png", Chart.png(charts)));
    }
    return new Outcome(table, json, files);
  }

  private Path write(String name, byte[] content) {
    Path file = folder.resolve(name);
    DataFile.write(file, out -> out.write(content));
    return file;
  }

  /** Before minutes of measuring, not after. */
  private void prepare() {
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

  private static Duration seconds(double seconds) {
    return Duration.ofMillis((long) (1e3 * Math.max(0, seconds)));
  }
}
