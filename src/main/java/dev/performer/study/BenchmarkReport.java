package dev.performer.study;

import static dev.performer.study.Table.format;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonUnwrapped;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.chart.Chart;
import dev.performer.data.StrictJson;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What a benchmark has measured so far: its own table and figures, and those of all benchmarks. */
final class BenchmarkReport<C extends Benchmark.Case<C>> {
  private final Benchmark<C> benchmark;
  private final Comparison against;
  private final List<C> rows = new ArrayList<>();
  private final List<Measurement> measurements = new ArrayList<>();
  private final List<MachinePeak> machines = new ArrayList<>();

  /**
   * One thing that was timed.
   *
   * @param work its name in the case
   * @param gflop by formula, 10^9 operations, as {@code mb} in 10^6 bytes; null without
   * @param gflops 10^9 operations a second in the fastest run
   * @param ofPeak share of the machine's product of matrices in the same rounds
   * @param ofReading share of the bytes a second that the machine reads in the same rounds
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  record Measurement(
      @JsonProperty("case") String label,
      String group,
      String work,
      @JsonUnwrapped Timing timing,
      Double gflop,
      Double mb,
      Double gflops,
      Double gbs,
      Double ofPeak,
      Double ofReading) {
    private static Measurement of(
        InTurns<?> of, String work, Timing timing, Cost cost, MachinePeak machine) {
      double seconds = timing.minMs() / 1e3;
      boolean hasBytes = cost != null && !Double.isNaN(cost.bytes());
      Double gflops = cost == null ? null : cost.flop() / 1e9 / seconds;
      Double gbs = hasBytes ? cost.bytes() / 1e9 / seconds : null;
      return new Measurement(
          of.label(),
          of.group(),
          work,
          timing,
          cost == null ? null : cost.flop() / 1e9,
          hasBytes ? cost.bytes() / 1e6 : null,
          gflops,
          gbs,
          gflops == null || machine == null ? null : gflops / machine.matMulGflops(),
          gbs == null || machine == null ? null : gbs / machine.readGbs());
    }
  }

  /**
   * @param against an earlier run, or null
   */
  BenchmarkReport(Benchmark<C> benchmark, Comparison against) {
    this.benchmark = benchmark;
    this.against = against;
  }

  void add(MachinePeak machine) {
    machines.add(machine);
  }

  /** A case that was measured alone, or was not. */
  void add(C row) {
    rows.add(row);
  }

  /** A case that took turns. @param timings null where it was left out or failed */
  void add(C row, InTurns<?> planned, Map<String, Timing> timings) {
    rows.add(row);
    if (timings != null) {
      Map<String, Cost> costs = planned.costs();
      MachinePeak machine = machines.isEmpty() ? null : machines.get(machines.size() - 1);
      MachinePeak own = machine != null && machine.group().equals(planned.group()) ? machine : null;
      timings.forEach(
          (work, timing) ->
              measurements.add(Measurement.of(planned, work, timing, costs.get(work), own)));
    }
  }

  /** What every file begins with. */
  static ObjectNode head(Benchmark<?> benchmark) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("benchmark", benchmark.name()).put("date", Instant.now().toString());
    json.setAll((ObjectNode) StrictJson.tree(benchmark.size()));
    return json.put("cores", Runtime.getRuntime().availableProcessors());
  }

  ObjectNode json() {
    ObjectNode json = head(benchmark).put("measured", rows.size());
    json.setAll((ObjectNode) StrictJson.tree(benchmark.json(rows)));
    json.set("measurements", StrictJson.tree(measurements));
    json.set("machine", StrictJson.tree(machines));
    if (against != null) {
      json.set("against", StrictJson.tree(against.rows(measurements)));
    }
    return json;
  }

  String table() {
    String own = benchmark.table(rows);
    if (measurements.isEmpty()) {
      return own;
    }
    Table table =
        new Table(
            "case | work | min ms | median ms | CPU ms | page faults | GFLOP/s | of the peak | GB/s | of reading | peak MB");
    for (Measurement m : measurements) {
      Timing t = m.timing;
      String cells = format("%s | %s | %.2f | %.2f", m.label, m.work, t.minMs(), t.medianMs());
      cells += format(" | %.2f | %.0f", t.cpuMs(), t.faults());
      cells += " | " + number(m.gflops) + " | " + share(m.ofPeak);
      cells += " | " + number(m.gbs) + " | " + share(m.ofReading);
      table.row(cells + format(" | %.0f", t.peakMb()));
    }
    StringBuilder text = new StringBuilder(own + "\n" + table + "\n");
    machines.forEach(machine -> text.append("* ").append(machine.line()).append('\n'));
    if (against != null) {
      text.append('\n').append(against.table(measurements, machines));
    }
    return text.toString();
  }

  private static String share(Double value) {
    return value == null ? "–" : format("%.0f %%", 100 * value);
  }

  private static String number(Double value) {
    return value == null ? "–" : format("%.1f", value);
  }

  /** Those of the benchmark, and a roofline where there are formulas. */
  List<Chart> charts() {
    List<Chart> charts = new ArrayList<>(benchmark.charts(rows));
    Chart roofline = Roofline.of(measurements, machines);
    if (!roofline.isEmpty()) {
      charts.add(roofline);
    }
    return charts;
  }
}
