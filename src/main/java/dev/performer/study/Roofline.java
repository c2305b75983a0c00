package dev.performer.study;

import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.toList;

import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Layout;
import dev.performer.chart.Chart.Legend;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import dev.performer.study.BenchmarkReport.Measurement;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;

/** Operations a second over operations a byte, under what the machine attains at most. */
final class Roofline {
  private static final double BESIDE = 4;
  private static final Line.Marker[] MARKERS = {
    Line.Marker.CIRCLE, Line.Marker.DIAMOND, Line.Marker.CROSS
  };

  private Roofline() {}

  /** Of what has formulas for both; empty without. */
  static Chart of(List<Measurement> measured, List<MachinePeak> machines) {
    var layout = new Layout(1000, 520, Scale.POWERS_OF_TWO, Scale.DECADES, Legend.BESIDE);
    Chart chart = Chart.of("Roofline", "FLOP a byte, by formula", "GFLOP/s", layout);
    List<Measurement> shown =
        measured.stream().filter(m -> m.gflops() != null && m.mb() != null).toList();
    var best = machines.stream().max(Comparator.comparing(MachinePeak::matMulGflops));
    if (shown.isEmpty() || best.isEmpty()) {
      return chart;
    }
    MachinePeak machine = best.get();
    double ridge = machine.matMulGflops() / machine.readGbs();
    var intensities = shown.stream().mapToDouble(Roofline::intensity).summaryStatistics();
    double from = Math.min(intensities.getMin(), ridge) / BESIDE;
    double to = Math.max(intensities.getMax(), ridge) * BESIDE;
    double[] x = {from, ridge, to};
    double[] y = DoubleStream.of(x).map(machine::attainable).toArray();
    chart = chart.with(Line.of("attainable", x, y));
    Map<String, List<Measurement>> kinds = new LinkedHashMap<>();
    for (Measurement m : shown) {
      kinds.computeIfAbsent(kind(m), k -> new ArrayList<>()).add(m);
    }
    int colour = 1;
    for (var entry : kinds.entrySet()) {
      Map<String, List<Measurement>> works =
          entry.getValue().stream()
              .collect(groupingBy(Measurement::work, LinkedHashMap::new, toList()));
      int marker = 0;
      for (var work : works.entrySet()) {
        double[] at = work.getValue().stream().mapToDouble(Roofline::intensity).toArray();
        double[] reached = work.getValue().stream().mapToDouble(Measurement::gflops).toArray();
        Line points = Line.of(entry.getKey() + ", " + work.getKey(), at, reached);
        points = points.withColour(colour).withDash(Line.Dash.NONE);
        chart = chart.with(points.withMarker(MARKERS[Math.min(marker++, MARKERS.length - 1)]));
      }
      colour++;
    }
    return chart;
  }

  private static double intensity(Measurement m) {
    return 1e3 * m.gflop() / m.mb();
  }

  /** Without the length: a kind has a point for each. */
  private static String kind(Measurement m) {
    return m.label().replaceFirst(" at L=\\d+$", "");
  }
}
