package dev.performer.study;

import static dev.performer.PerformerException.require;
import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Layout;
import dev.performer.chart.Chart.Legend;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import dev.performer.model.FavorConversion;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.study.AttentionErrors.Errors;
import dev.performer.study.AttentionErrors.Row;
import dev.performer.study.AttentionErrors.Trial;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/** FAVOR+ against exact attention, on a model's own queries and keys, layer by layer. */
public final class ModelApproximation {
  /** Tokens of a sequence at most, by default; the closed form costs the cube of it. */
  public static final int DEFAULT_LENGTH = 256;

  private final String name;
  private final PerformerModels.Saved model;
  private final List<Trial> trials;

  /**
   * @param name of the model, for messages
   * @param given what is tried; where nothing is given, the model's own attention, and in place of
   *     exact attention what a conversion would put there
   */
  public ModelApproximation(String name, PerformerModels.Saved model, FavorKeys given) {
    this.name = name;
    this.model = model;
    trials = IntStream.range(0, model.config().layers()).mapToObj(i -> trial(i, given)).toList();
  }

  /** Tokens of a sequence at most: those requested, or what the model can take. */
  public int longest(int requested) {
    return Math.min(requested, model.config().longestSequence().orElse(requested));
  }

  /** As {@link AttentionErrors#measure}, sequences at most {@link #longest} long. */
  public LayerErrors measure(List<int[]> sequences, int pad, int paddedLength) {
    var errors = new AttentionErrors(model.config(), model.weights());
    var rows = errors.measure(trials, sequences, pad, paddedLength);
    return new LayerErrors(name, rows, sequences.size());
  }

  private Trial trial(int layer, FavorKeys given) {
    AttentionConfig own = model.config().attentionOf(layer);
    boolean isKnown = own instanceof AttentionConfig.Exact || own instanceof AttentionConfig.Favor;
    String other = "%s: layer %d attends as Model Garden does, which estimates no softmax";
    require(isKnown, other, name, layer);
    if (own instanceof AttentionConfig.Favor favor && !given.isGiven()) {
      Trial stored = Trial.stored(favor.config(), layer, model.weights());
      String none =
          "%s: layer %d has no projection, so it estimates no softmax; give a number of features to try one";
      require(stored.projection() != null, none, name, layer);
      return stored;
    }
    FavorConfig all = given.over(FavorConversion.defaults()).build();
    FavorConfig tried = new FavorConversion(all, Set.of()).favor(own, layer);
    var drawn = tried.draw(model.config().headSize());
    return new Trial(tried, drawn.map(ProjectionMatrix::values).orElse(null));
  }

  /** What came of it, one row per layer: table, JSON, picture. */
  public record LayerErrors(String model, List<Row> rows, int sequences) {
    private static final double FAR_OFF = 1e6;
    private static final double LEAST_DRAWN = 1e-12;

    /** Markdown, a line for each layer. */
    public String table() {
      Table table =
          new Table(
              "layer | kernel | M | norm of q, mean (max) | norm of k, mean (max) | largest logit"
                  + " | effective features"
                  + " | relative error | expected | of the median query | expected | heads");
      for (Row row : rows) {
        Errors all = row.all();
        var heads = row.heads().stream().mapToDouble(Errors::measured).summaryStatistics();
        FavorConfig favor = row.favor();
        String tried = format("%d | %s | %d", row.layer(), favor.kernel(), favor.features());
        String q = format("%.1f (%.1f)", all.queryNorm(), all.largestQueryNorm());
        String k = format("%.1f (%.1f)", all.keyNorm(), all.largestKeyNorm());
        String logit = format("%.1f | %.1f", all.largestLogit(), all.effectiveFeatures());
        String error = number(all.measured()) + " | " + number(all.expected());
        String median = number(all.medianMeasured()) + " | " + number(all.medianExpected());
        String ofHeads = number(heads.getMin()) + " to " + number(heads.getMax());
        table.row(String.join(" | ", tried, q, k, logit, error, median, ofHeads));
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
      List<Integer> x = new ArrayList<>();
      List<Double> y = new ArrayList<>();
      for (Row row : rows) {
        for (Errors head : row.heads()) {
          x.add(row.layer());
          y.add(drawn(head));
        }
      }
      Line measured = line("measured", row -> drawn(row.all())).withMarker(Line.Marker.CIRCLE);
      var layout = new Layout(900, 500, Scale.LINEAR, Scale.DECADES, Legend.BESIDE);
      String error = "error relative to exact attention";
      Chart chart = Chart.of("FAVOR+ against exact attention", "layer", error, layout);
      chart = chart.with(measured);
      if (rows.stream().allMatch(r -> r.all().expected() > 0 && r.all().expected() < FAR_OFF)) {
        Line expected = line("expected", row -> row.all().expected());
        chart = chart.with(expected.withMarker(Line.Marker.DIAMOND));
      }
      var heads = Line.of("each head, measured", x, y);
      return chart.with(heads.withDash(Line.Dash.NONE).withMarker(Line.Marker.CROSS));
    }

    private Line line(String of, ToDoubleFunction<Row> error) {
      double[] layers = rows.stream().mapToDouble(Row::layer).toArray();
      return Line.of(of, layers, rows.stream().mapToDouble(error).toArray());
    }

    private static double drawn(Errors errors) {
      return Math.max(errors.measured(), LEAST_DRAWN);
    }
  }
}
