package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.data.NpyArray;
import dev.performer.data.OutputFile;
import dev.performer.data.TokenRows;
import dev.performer.distill.ModelSequences;
import dev.performer.model.AttentionConfig;
import dev.performer.model.FavorConversion;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.study.AttentionErrors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * {@code approximate --model}: FAVOR+ against exact attention, on a model's own queries and keys.
 */
final class ModelApproximation {
  /** Tokens of a sequence at most, where nothing is given; the closed form costs the cube of it. */
  static final int DEFAULT_LENGTH = 256;

  private final Path path;
  private final PerformerModels.Saved model;
  private final List<AttentionErrors.Trial> trials;

  /**
   * @throws PerformerException if it is no model of ours, or a layer attends in a way that cannot
   *     be compared
   */
  ModelApproximation(Path path, FavorKeys given) {
    this.path = path;
    model = PerformerModels.load(path);
    trials = new ArrayList<>();
    for (int i = 0; i < model.config().layers(); i++) {
      trials.add(trial(i, given));
    }
  }

  /** Measures on some sequences of a file. */
  Measured measure(Path data, int count, int length) {
    var longest = model.config().longestSequence();
    int most = longest.isPresent() ? Math.min(length, longest.getAsInt()) : length;
    ModelSequences reader = new ModelSequences(path, model, Optional.empty());
    TokenRows rows = reader.read(data, most).atMost(count);
    List<AttentionErrors.Row> errors =
        new AttentionErrors(model.config(), model.weights())
            .measure(trials, rows.rows(), reader.pad(), reader.paddedLength());
    return new Measured(path, trials, errors, rows.rows().size(), rows.notes());
  }

  private AttentionErrors.Trial trial(int layer, FavorKeys given) {
    AttentionConfig own = model.config().attentionOf(layer);
    if (!(own instanceof AttentionConfig.Exact) && !(own instanceof AttentionConfig.Favor)) {
      throw new PerformerException(
          path + ": layer " + layer + " attends as Model Garden does, which estimates no softmax");
    }
    if (own instanceof AttentionConfig.Favor favor && !given.isGiven()) {
      NpyArray stored = model.weights().get("layer_" + layer + "/attention/projection");
      if (stored == null) {
        throw new PerformerException(
            path
                + ": layer "
                + layer
                + " has no projection, so it estimates no softmax; say --features to try one");
      }
      return new AttentionErrors.Trial(favor.config(), stored.floats());
    }
    FavorConfig tried =
        new FavorConversion(given.over(FavorConversion.defaults()).build(), Set.of())
            .favor(own, layer);
    int size = model.config().headSize();
    return new AttentionErrors.Trial(
        tried, tried.draw(size).map(ProjectionMatrix::values).orElse(null));
  }

  /**
   * What came of it.
   *
   * @param sequences how many were read
   * @param notes on the data
   */
  record Measured(
      Path model,
      List<AttentionErrors.Trial> trials,
      List<AttentionErrors.Row> rows,
      int sequences,
      List<String> notes) {

    String table() {
      StringBuilder text =
          new StringBuilder(
              "| layer | kernel | M | norm of q, mean (max) | norm of k, mean (max) | largest logit |"
                  + " relative error | expected | of the median query | expected | heads |\n"
                  + "|---|---|---|---|---|---|---|---|---|---|---|\n");
      for (AttentionErrors.Row row : rows) {
        AttentionErrors.Errors all = row.all();
        FavorConfig favor = trials.get(row.layer()).favor();
        double[] heads =
            row.heads().stream().mapToDouble(AttentionErrors.Errors::measured).toArray();
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

    Map<String, Object> json() {
      List<Map<String, Object>> list = new ArrayList<>();
      for (AttentionErrors.Row row : rows) {
        FavorConfig favor = trials.get(row.layer()).favor();
        Map<String, Object> one = new LinkedHashMap<>();
        one.put("layer", row.layer());
        one.put("kernel", favor.kernel().label());
        one.put("features", favor.features());
        one.put("rowLengths", favor.lengths().toString());
        one.put("exactHeads", favor.exactHeads());
        put(one, row.all());
        List<Map<String, Object>> heads = new ArrayList<>();
        for (AttentionErrors.Errors errors : row.heads()) {
          Map<String, Object> head = new LinkedHashMap<>();
          put(head, errors);
          heads.add(head);
        }
        one.put("heads", heads);
        list.add(one);
      }
      Map<String, Object> root = new LinkedHashMap<>();
      root.put("model", model.toString());
      root.put("sequences", sequences);
      root.put("layers", list);
      return root;
    }

    private static void put(Map<String, Object> into, AttentionErrors.Errors errors) {
      into.put("queryNorm", errors.queryNorm());
      into.put("largestQueryNorm", errors.largestQueryNorm());
      into.put("keyNorm", errors.keyNorm());
      into.put("largestKeyNorm", errors.largestKeyNorm());
      into.put("largestLogit", errors.largestLogit());
      into.put("measured", finite(errors.measured()));
      into.put("expected", finite(errors.expected()));
      into.put("medianMeasured", finite(errors.medianMeasured()));
      into.put("medianExpected", finite(errors.medianExpected()));
    }

    private static Double finite(double x) {
      return Double.isFinite(x) ? x : null;
    }

    void draw(Path file) {
      XYChart chart =
          new XYChartBuilder()
              .width(900)
              .height(500)
              .title("FAVOR+ against exact attention")
              .xAxisTitle("layer")
              .yAxisTitle("error relative to exact attention")
              .build();
      chart.getStyler().setYAxisLogarithmic(true);
      double[] layers = rows.stream().mapToDouble(AttentionErrors.Row::layer).toArray();
      double[] measured = rows.stream().mapToDouble(r -> above0(r.all().measured())).toArray();
      chart.addSeries("measured", layers, measured).setMarker(SeriesMarkers.CIRCLE);
      double[] expected = rows.stream().mapToDouble(r -> r.all().expected()).toArray();
      if (Arrays.stream(expected).allMatch(x -> x > 0 && x < 1e6)) {
        chart.addSeries("expected", layers, expected).setMarker(SeriesMarkers.DIAMOND);
      }
      List<Double> xs = new ArrayList<>();
      List<Double> ys = new ArrayList<>();
      for (AttentionErrors.Row row : rows) {
        for (AttentionErrors.Errors head : row.heads()) {
          xs.add((double) row.layer());
          ys.add(above0(head.measured()));
        }
      }
      XYSeries heads = chart.addSeries("each head, measured", xs, ys);
      heads.setXYSeriesRenderStyle(XYSeries.XYSeriesRenderStyle.Scatter);
      heads.setMarker(SeriesMarkers.CROSS);
      OutputFile.write(
          file, out -> BitmapEncoder.saveBitmap(chart, out, BitmapEncoder.BitmapFormat.PNG));
    }

    private static double above0(double x) {
      return Math.max(x, 1e-12);
    }

    private static String number(double x) {
      if (Double.isNaN(x)) {
        return "–";
      }
      return Double.isInfinite(x)
          ? "> 1e300"
          : String.format(Locale.ROOT, x < 1e4 ? "%.3f" : "%.0e", x);
    }
  }
}
