package dev.performer.study;

import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Layout;
import dev.performer.chart.Chart.Legend;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import dev.performer.study.BenchmarkReport.Measurement;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;

/** Operations a second over operations a byte, under what the machine attains at most. */
final class Roofline {
  private static final double LEAST = 0.25;
  private static final double MOST = 512;

  private Roofline() {}

  /** Of what has formulas for both; empty without. */
  static Chart of(List<Measurement> measured, List<MachinePeak> machines) {
    var layout = new Layout(760, 520, Scale.POWERS_OF_TWO, Scale.DECADES, Legend.INSIDE);
    Chart chart = Chart.of("Roofline", "FLOP a byte, by formula", "GFLOP/s", layout);
    List<Measurement> shown =
        measured.stream().filter(m -> m.gflops() != null && m.mb() != null).toList();
    var best = machines.stream().max(Comparator.comparing(MachinePeak::matMulGflops));
    if (shown.isEmpty() || best.isEmpty()) {
      return chart;
    }
    MachinePeak machine = best.get();
    double ridge = machine.matMulGflops() / machine.readGbs();
    double least = least(shown);
    double[] x =
        DoubleStream.of(Math.min(least, LEAST), ridge, Math.max(MOST, 2 * ridge)).toArray();
    double[] y = DoubleStream.of(x).map(machine::attainable).toArray();
    chart = chart.with(Line.of("attainable", x, y));
    Map<String, List<Measurement>> kinds = new LinkedHashMap<>();
    for (Measurement m : shown) {
      kinds.computeIfAbsent(kind(m), k -> new java.util.ArrayList<>()).add(m);
    }
    for (var entry : kinds.entrySet()) {
      var points = entry.getValue();
      double[] intensity = points.stream().mapToDouble(m -> 1e3 * m.gflop() / m.mb()).toArray();
      double[] reached = points.stream().mapToDouble(Measurement::gflops).toArray();
      chart =
          chart.with(
              Line.of(entry.getKey(), intensity, reached)
                  .withDash(Line.Dash.NONE)
                  .withMarker(Line.Marker.CIRCLE));
    }
    return chart;
  }

  private static double least(List<Measurement> shown) {
    return shown.stream().mapToDouble(m -> 1e3 * m.gflop() / m.mb()).min().orElseThrow();
  }

  /** Without the length: a kind has a point for each. */
  private static String kind(Measurement m) {
    return m.label().replaceFirst(" at L=\\d+$", "") + ", " + m.work();
  }
}
