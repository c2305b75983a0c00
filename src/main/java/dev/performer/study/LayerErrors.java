package dev.performer.study;

import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.attention.FavorConfig;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Scale;
import dev.performer.chart.Line;
import dev.performer.data.StrictJson;
import dev.performer.study.AttentionErrors.Errors;
import dev.performer.study.AttentionErrors.Row;
import java.util.ArrayList;
import java.util.List;

/**
 * What came of a {@link ModelApproximation}: table, JSON, picture.
 *
 * @param model its name
 * @param rows one per layer
 * @param sequences how many were measured
 */
public record LayerErrors(String model, List<Row> rows, int sequences) {
  private static final double FAR_OFF = 1e6;
  private static final double LEAST_DRAWN = 1e-12;

  /** Markdown, a line for each layer. */
  public String table() {
    Table table =
        new Table(
            "layer | kernel | M | norm of q, mean (max) | norm of k, mean (max) | largest logit"
                + " | relative error | expected | of the median query | expected | heads");
    for (Row row : rows) {
      Errors all = row.all();
      var heads = row.heads().stream().mapToDouble(Errors::measured).summaryStatistics();
      table.row(
          format(
              "%d | %s | %d | %.1f (%.1f) | %.1f (%.1f) | %.1f | %s | %s | %s | %s | %s to %s",
              row.layer(),
              row.favor().kernel(),
              row.favor().features(),
              all.queryNorm(),
              all.largestQueryNorm(),
              all.keyNorm(),
              all.largestKeyNorm(),
              all.largestLogit(),
              number(all.measured()),
              number(all.expected()),
              number(all.medianMeasured()),
              number(all.medianExpected()),
              number(heads.getMin()),
              number(heads.getMax())));
    }
    return table
        + "Error of attention's output relative to exact attention, root mean square, over "
        + sequences
        + " sequences. Expected: of independent directions with chi lengths, first order in 1/M;\n"
        + "far above the measured one it means that rare large features carry the estimate.\n";
  }

  private static String number(double x) {
    if (Double.isNaN(x)) {
      return "–";
    }
    return Double.isInfinite(x) ? "> 1e300" : format(x < 1e4 ? "%.3f" : "%.0e", x);
  }

  /** Layers with their heads. */
  public ObjectNode json() {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("model", model).put("sequences", sequences);
    var layers = json.putArray("layers");
    for (Row row : rows) {
      FavorConfig favor = row.favor();
      ObjectNode layer = layers.addObject().put("layer", row.layer());
      layer.put("kernel", favor.kernel().label()).put("features", favor.features());
      layer.put("rowLengths", favor.lengths().toString()).put("exactHeads", favor.exactHeads());
      layer.setAll(fields(row.all()));
      var heads = layer.putArray("heads");
      row.heads().forEach(head -> heads.add(fields(head)));
    }
    return json;
  }

  /** JSON has no number for what is not finite. */
  private static ObjectNode fields(Errors errors) {
    ObjectNode fields = (ObjectNode) StrictJson.tree(errors);
    for (var field : fields.properties()) {
      if (!Double.isFinite(field.getValue().asDouble(Double.NaN))) {
        field.setValue(fields.nullNode());
      }
    }
    return fields;
  }

  /** The error of each layer, and of each head. */
  public Chart chart() {
    double[] layers = rows.stream().mapToDouble(Row::layer).toArray();
    double[] measured = rows.stream().mapToDouble(row -> drawn(row.all())).toArray();
    double[] expected = rows.stream().mapToDouble(row -> row.all().expected()).toArray();
    List<Integer> x = new ArrayList<>();
    List<Double> y = new ArrayList<>();
    for (Row row : rows) {
      for (Errors head : row.heads()) {
        x.add(row.layer());
        y.add(drawn(head));
      }
    }
    Chart chart =
        Chart.of("FAVOR+ against exact attention", "layer", "error relative to exact attention")
            .withScales(Scale.LINEAR, Scale.DECADES)
            .with(Line.of("measured", layers, measured).withMarker(Line.Marker.CIRCLE));
    if (rows.stream().allMatch(r -> r.all().expected() > 0 && r.all().expected() < FAR_OFF)) {
      chart = chart.with(Line.of("expected", layers, expected).withMarker(Line.Marker.DIAMOND));
    }
    var heads = Line.of("each head, measured", x, y);
    return chart.with(heads.withDash(Line.Dash.NONE).withMarker(Line.Marker.CROSS));
  }

  private static double drawn(Errors errors) {
    return Math.max(errors.measured(), LEAST_DRAWN);
  }
}
