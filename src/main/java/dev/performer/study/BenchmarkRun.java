package dev.performer.study;

import com.sun.management.OperatingSystemMXBean;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import dev.performer.data.OutputFile;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Takes the measurements of a benchmark one after the other. After each the table, the JSON and the
 * picture of what is there so far stand in a folder, whole, so that an interruption loses one
 * measurement.
 *
 * @param folder where {@code NAME.md}, {@code NAME.json} and {@code NAME.png} go; made if need be
 * @param limit of one measurement
 */
public record BenchmarkRun(Path folder, Duration limit) {
  /** Of one measurement, where none is given. */
  public static final Duration LIMIT = Duration.ofMinutes(10);

  /** Follows a run. */
  public interface Listener {
    /**
     * Before the first measurement.
     *
     * @param estimate of all, from nominal figures of two cores of a server
     */
    void starts(int measurements, Duration estimate);

    /**
     * After each measurement.
     *
     * @param line what was measured, or why it was not
     * @param left of the rest, from the times of those before
     */
    void measured(String line, Duration left);
  }

  /**
   * What came of it.
   *
   * @param table Markdown
   * @param json all that was written as JSON
   * @param files that were written
   */
  public record Outcome(String table, Map<String, Object> json, List<Path> files) {}

  /**
   * Measures all cases. Those that need more memory than the machine has are left out.
   *
   * @throws PerformerException if the folder cannot be written to, or, after all others are done,
   *     if measurements failed or took longer than the limit
   */
  public <C extends Case<R>, R> Outcome run(Benchmark<C, R> benchmark, Listener listener) {
    prepare();
    List<C> cases = benchmark.cases();
    List<Boolean> fits = cases.stream().map(c -> c.leastBytes() <= availableBytes()).toList();
    double[] estimates = new double[cases.size()];
    double left = 0;
    for (int i = 0; i < estimates.length; i++) {
      estimates[i] = fits.get(i) ? cases.get(i).seconds() : 0;
      left += estimates[i];
    }
    listener.starts(cases.size(), seconds(left));
    List<Benchmark.Row<C, R>> rows = new ArrayList<>();
    List<String> failures = new ArrayList<>();
    Outcome outcome = null;
    double estimated = 0;
    long start = System.nanoTime();
    for (int i = 0; i < estimates.length; i++) {
      C measured = cases.get(i);
      R result = null;
      String line = measured.label() + ": skipped, as it needs more memory than there is";
      if (fits.get(i)) {
        try {
          result = MeasuringProcess.measure(measured, benchmark.resultType(), limit);
          line = benchmark.line(measured, result);
        } catch (PerformerException e) {
          if (Thread.currentThread().isInterrupted()) {
            throw e;
          }
          line = e.getMessage();
          failures.add(line);
        }
      }
      rows.add(new Benchmark.Row<>(measured, result));
      outcome = write(benchmark, rows);
      estimated += estimates[i];
      left -= estimates[i];
      double pace = estimated == 0 ? 1 : (System.nanoTime() - start) / 1e9 / estimated;
      listener.measured(line, seconds(left * pace));
    }
    if (!failures.isEmpty()) {
      throw new PerformerException(
          failures.size() + " of " + cases.size() + " measurements failed; " + failures.get(0));
    }
    return outcome;
  }

  private <C extends Case<R>, R> Outcome write(
      Benchmark<C, R> benchmark, List<Benchmark.Row<C, R>> rows) {
    String table = benchmark.table(rows);
    Map<String, Object> json = settings(benchmark.size());
    json.put("measured", rows.size());
    json.putAll(benchmark.json(rows));
    List<Path> files = new ArrayList<>();
    files.add(
        write(benchmark.name() + ".json", text(StrictJson.tree(json).toPrettyString() + "\n")));
    files.add(write(benchmark.name() + ".md", text(table)));
    List<Chart> charts = benchmark.charts(rows);
    if (OptionalLibrary.CHARTS.isPresent() && charts.stream().anyMatch(c -> !c.isEmpty())) {
      files.add(write(benchmark.name() + ".png", Chart.png(charts)));
    }
    return new Outcome(table, json, files);
  }

  private Path write(String name, byte[] content) {
    Path file = folder.resolve(name);
    OutputFile.write(file, out -> out.write(content));
    return file;
  }

  private static byte[] text(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static Map<String, Object> settings(BenchmarkSize size) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("date", Instant.now().toString());
    json.put("batch", size.batch());
    json.put("heads", size.heads());
    json.put("headSize", size.headSize());
    json.put("features", size.features());
    json.put("cores", Runtime.getRuntime().availableProcessors());
    return json;
  }

  /** Before minutes of measuring, not after. */
  private void prepare() {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new PerformerException(
          folder
              + ": no folder can be made there ("
              + e.getMessage()
              + "); choose another output folder",
          e);
    }
    if (!Files.isWritable(folder)) {
      throw new PerformerException(folder + ": cannot be written to; choose another output folder");
    }
  }

  private static long availableBytes() {
    var os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return os.getTotalMemorySize() * 3 / 4;
  }

  private static Duration seconds(double seconds) {
    return Duration.ofMillis((long) (1e3 * Math.max(0, seconds)));
  }
}
