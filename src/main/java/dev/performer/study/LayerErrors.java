package dev.performer.study;

import dev.performer.attention.FavorConfig;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Scale;
import dev.performer.chart.Line;
import dev.performer.data.StrictJson;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What came of a {@link ModelApproximation}: table, JSON, picture.
 *
 * @param model its name
 * @param trials one per layer
 * @param rows one per layer
 * @param sequences how many were measured
 */
public record LayerErrors(
    String model,
    List<AttentionErrors.Trial> trials,
    List<AttentionErrors.Row> rows,
    int sequences) {
  private static final double FAR_OFF = 1e6;
  private static final double LEAST_DRAWN = 1e-12;

  /** Markdown, a line for each layer. */
  public String table() {
    StringBuilder text =
        new StringBuilder(
            "| layer | kernel | M | norm of q, mean (max) | norm of k, mean (max) | largest logit |"
                + " relative error | expected | of the median query | expected | heads |\n"
                + "|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (AttentionErrors.Row row : rows) {
      AttentionErrors.Errors all = row.all();
      FavorConfig favor = trials.get(row.layer()).favor();
      double[] heads = row.heads().stream().mapToDouble(AttentionErrors.Errors::measured).toArray();
      text.append(
          String.format(
              Locale.ROOT,
              "| %d | %s | %d | %.1f (%.1f) | %.1f (%.1f) | %.1f | %s | %s | %s | %s | %s to %s |%n",
              row.layer(),
              favor.kernel(),
              favor.features(),
              all.queryNorm(),
              all.largestQueryNorm(),
              all.keyNorm(),
              all.largestKeyNorm(),
              all.largestLogit(),
              number(all.measured()),
              number(all.expected()),
              number(all.medianMeasured()),
              number(all.medianExpected()),
              number(Arrays.stream(heads).min().orElseThrow()),
              number(Arrays.stream(heads).max().orElseThrow())));
    }
    return text
        + "Error of attention's output relative to exact attention, root mean square, over "
        + sequences
        + " sequences. Expected: of independent directions with chi lengths, first order in 1/M;\n"
        + "far above the measured one it means that rare large features carry the estimate.\n";
  }

  private static String number(double x) {
    if (Double.isNaN(x)) {
      return "–";
    }
    return Double.isInfinite(x)
        ? "> 1e300"
        : String.format(Locale.ROOT, x < 1e4 ? "%.3f" : "%.0e", x);
  }

  /** Layers with their heads. */
  public Map<String, Object> json() {
    List<Map<String, Object>> layers = new ArrayList<>();
    for (AttentionErrors.Row row : rows) {
      FavorConfig favor = trials.get(row.layer()).favor();
      Map<String, Object> layer = new LinkedHashMap<>();
      layer.put("layer", row.layer());
      layer.put("kernel", favor.kernel().label());
      layer.put("features", favor.features());
      layer.put("rowLengths", favor.lengths().toString());
      layer.put("exactHeads", favor.exactHeads());
      layer.putAll(fields(row.all()));
      layer.put("heads", row.heads().stream().map(LayerErrors::fields).toList());
      layers.add(layer);
    }
    Map<String, Object> root = new LinkedHashMap<>();
    root.put("model", model);
    root.put("sequences", sequences);
    root.put("layers", layers);
    return root;
  }

  /** JSON has no number for what is not finite. */
  private static Map<String, Object> fields(AttentionErrors.Errors errors) {
    Map<String, Object> fields = new LinkedHashMap<>();
    StrictJson.tree(errors)
        .fields()
        .forEachRemaining(
            field -> {
              double value = field.getValue().asDouble(Double.NaN);
              fields.put(field.getKey(), Double.isFinite(value) ? value : null);
            });
    return fields;
  }

  /** The error of each layer, and of each head. */
  public Chart chart() {
    double[] layers = rows.stream().mapToDouble(AttentionErrors.Row::layer).toArray();
    double[] measured = rows.stream().mapToDouble(r -> drawn(r.all().measured())).toArray();
    double[] expected = rows.stream().mapToDouble(r -> r.all().expected()).toArray();
    List<Double> x = new ArrayList<>();
    List<Double> y = new ArrayList<>();
    for (AttentionErrors.Row row : rows) {
      for (AttentionErrors.Errors head : row.heads()) {
        x.add((double) row.layer());
        y.add(drawn(head.measured()));
      }
    }
    Chart chart =
        Chart.of("FAVOR+ against exact attention", "layer", "error relative to exact attention")
            .withScales(Scale.LINEAR, Scale.DECADES)
            .with(Line.of("measured", layers, measured).withMarker(Line.Marker.CIRCLE));
    if (Arrays.stream(expected).allMatch(e -> e > 0 && e < FAR_OFF)) {
      chart = chart.with(Line.of("expected", layers, expected).withMarker(Line.Marker.DIAMOND));
    }
    return chart.with(
        Line.of("each head, measured", x, y)
            .withDash(Line.Dash.NONE)
            .withMarker(Line.Marker.CROSS));
  }

  private static double drawn(double error) {
    return Math.max(error, LEAST_DRAWN);
  }
}
