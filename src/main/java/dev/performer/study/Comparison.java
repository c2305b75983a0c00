package dev.performer.study;

import static dev.performer.PerformerException.require;
import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.StrictJson;
import dev.performer.study.BenchmarkReport.Measurement;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * An earlier run of the same benchmark.
 *
 * @param times by case and work
 * @param product 10^9 operations a second of a product of matrices then; NaN if not measured
 */
record Comparison(Path file, Map<String, Map<String, Times>> times, double product) {
  /** Milliseconds of the fastest run, and of half of the runs at most. */
  record Times(double minMs, double medianMs) {}

  /** What became of a time. */
  enum Verdict {
    /** The fastest run now took longer than half of the runs then. */
    SLOWER,
    /** Half of the runs now took less than the fastest one then. */
    FASTER,
    /** A difference that the runs themselves show. */
    NOISE
  }

  /**
   * @param ratio of the fastest runs, now over then
   */
  record Row(String label, String work, Times then, Times now, double ratio, Verdict verdict) {}

  /**
   * Reads what a run has written.
   *
   * @param planned cases that will be measured
   * @throws PerformerException if the file is another thing, of another benchmark or of other
   *     sizes, or lacks one of the cases
   */
  static Comparison read(
      Path file, Benchmark<?> benchmark, List<? extends Benchmark.Case<?>> planned) {
    JsonNode json = StrictJson.readTree(file);
    boolean isOurs = json.path("benchmark").isTextual() && json.path("measurements").isArray();
    require(
        isOurs,
        "%s: holds no measurements of a benchmark; choose a .json file of an earlier run",
        file);
    String name = json.get("benchmark").asText();
    String text = "%s: is of the benchmark %s, not of %s; choose an earlier run of the same one";
    require(name.equals(benchmark.name()), text, file, name, benchmark.name());
    for (var size : StrictJson.tree(benchmark.size()).properties()) {
      String key = size.getKey();
      JsonNode then = json.path(key);
      String other = "%s: measured with %s %s, not %s; a comparison needs the same sizes";
      require(
          then.equals(size.getValue()), other, file, key, then.asText("unknown"), size.getValue());
    }
    Map<String, Map<String, Times>> times = new LinkedHashMap<>();
    for (JsonNode m : json.get("measurements")) {
      String where = "%s: a measurement has no %s";
      for (String key : List.of("case", "work", "minMs", "medianMs")) {
        require(m.hasNonNull(key), where, file, key);
      }
      times
          .computeIfAbsent(m.get("case").asText(), k -> new LinkedHashMap<>())
          .put(
              m.get("work").asText(),
              new Times(m.get("minMs").asDouble(), m.get("medianMs").asDouble()));
    }
    for (var one : planned) {
      String lacking = "%s: has no case \"%s\"; compare the same attentions and lengths";
      require(times.containsKey(one.label()), lacking, file, one.label());
    }
    return new Comparison(file, times, product(json));
  }

  private static double product(JsonNode json) {
    double most = Double.NaN;
    for (JsonNode machine : json.path("machine")) {
      most = Math.max(Double.isNaN(most) ? 0 : most, machine.path("matMulGflops").asDouble());
    }
    return most;
  }

  /** What became of each time that was measured then and now. */
  List<Row> rows(List<Measurement> now) {
    List<Row> rows = new ArrayList<>();
    for (Measurement m : now) {
      Times before = times.getOrDefault(m.label(), Map.of()).get(m.work());
      if (before != null) {
        Times after = new Times(m.timing().minMs(), m.timing().medianMs());
        double ratio = after.minMs / before.minMs;
        rows.add(new Row(m.label(), m.work(), before, after, ratio, verdict(before, after)));
      }
    }
    return rows;
  }

  private static Verdict verdict(Times then, Times now) {
    return now.minMs > then.medianMs
        ? Verdict.SLOWER
        : now.medianMs < then.minMs ? Verdict.FASTER : Verdict.NOISE;
  }

  /** Markdown. */
  String table(List<Measurement> now, List<MachinePeak> machines) {
    Table table =
        new Table(
            "against "
                + file.getFileName()
                + " | work | min ms then | now | now / then | beyond the noise");
    for (Row row : rows(now)) {
      String cells = format(" | %.2f | %.2f | %.2f", row.then.minMs, row.now.minMs, row.ratio);
      String flag =
          row.verdict == Verdict.NOISE ? "–" : row.verdict.name().toLowerCase(Locale.ROOT);
      table.row(row.label + " | " + row.work + cells + " | " + flag);
    }
    double peak = machines.stream().mapToDouble(MachinePeak::matMulGflops).max().orElse(Double.NaN);
    return table
        + format(
            "\nProduct of matrices then %.0f GFLOP/s, now %.0f: where they differ, so did the machine.\n",
            product, peak);
  }
}
