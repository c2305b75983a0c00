package dev.performer.study;

import static dev.performer.PerformerException.require;
import static dev.performer.study.Table.columns;
import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.toList;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonUnwrapped;
import dev.performer.attention.Attention;
import dev.performer.attention.Convention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Layout;
import dev.performer.chart.Chart.Legend;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import dev.performer.graph.Tensors;
import dev.performer.training.Feed;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;

/**
 * How close FAVOR+ comes to softmax attention on Gaussian queries, keys and values: the protocol of
 * the paper's figure 4, for any kernel.
 *
 * @param amplitude standard deviation of queries and keys
 * @param draws how many fresh data and projections are averaged
 */
public record ApproximationStudy(
    int length,
    int headSize,
    double amplitude,
    int draws,
    long seed,
    Convention convention,
    boolean causal) {
  /** Checks sizes. */
  public ApproximationStudy {
    boolean isFit = length > 0 && headSize > 0 && draws > 0 && amplitude > 0;
    String text = "length, head size, draws and amplitude must be positive: %d, %d, %d, %s";
    require(isFit, text, length, headSize, draws, amplitude);
  }

  /** What is tried: a kernel that estimates softmax, and how its directions are drawn. */
  public record Variant(
      Kernel kernel,
      @JsonProperty("projection") Directions directions,
      @JsonProperty("rowLengths") Lengths lengths) {
    public Variant {
      String text = "kernel %s does not estimate softmax, so there is no error to measure";
      require(kernel.isSoftmax(), text, kernel);
    }

    @Override
    public String toString() {
      return kernel + ", " + directions + ", " + lengths;
    }
  }

  /** All combinations, each checked as {@link Variant} is. */
  public static List<Variant> variants(
      List<Kernel> kernels, List<Directions> directions, List<Lengths> lengths) {
    List<Variant> variants = new ArrayList<>();
    for (Kernel kernel : kernels) {
      for (Directions direction : directions) {
        lengths.forEach(l -> variants.add(new Variant(kernel, direction, l)));
      }
    }
    return variants;
  }

  /**
   * One measurement.
   *
   * @param features M, directions of the projection
   * @param error mean squared error over the variance of the exact output, both means over draws
   * @param standardError of that ratio, from the scatter of the draws' errors
   */
  public record Row(
      @JsonUnwrapped Variant variant, int features, double error, double standardError) {}

  /** Measures every variant at every number of features; draw i has the same data everywhere. */
  public Report run(List<Variant> variants, List<Integer> features, Consumer<Row> progress) {
    variants.forEach(v -> features.forEach(m -> config(v, m))); // refuse before the long work
    Random random = new Random(seed);
    List<float[][]> data = new ArrayList<>();
    for (int i = 0; i < draws; i++) {
      float[] queries = gaussian(random, amplitude);
      data.add(new float[][] {queries, gaussian(random, amplitude), gaussian(random, 1)});
    }
    List<float[]> exact = outputs(null, data);
    double scale = exact.stream().mapToDouble(ApproximationStudy::variance).average().orElseThrow();
    List<Row> rows = new ArrayList<>();
    for (Variant variant : variants) {
      for (int m : features) {
        List<float[]> outputs = outputs(config(variant, m), data);
        Row row = row(variant, m, outputs, exact, scale);
        rows.add(row);
        progress.accept(row);
      }
    }
    return new Report(this, rows);
  }

  private FavorConfig config(Variant v, int m) {
    require(m > 0, "the number of features must be positive, not %d", m);
    var keys = FavorConfig.builder().kernel(v.kernel).directions(v.directions).lengths(v.lengths);
    return keys.convention(convention).features(m).causal(causal).build();
  }

  private float[] gaussian(Random random, double deviation) {
    float[] x = new float[Math.multiplyExact(length, headSize)];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) (deviation * random.nextGaussian());
    }
    return x;
  }

  /** Attention's outputs for each draw's data: FAVOR+ with fresh projections, or null for exact. */
  private List<float[]> outputs(FavorConfig favor, List<float[][]> data) {
    Projection projection = favor == null ? null : favor.projection(headSize);
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      var q = placeholder(tf, 1, 1, length, headSize);
      var k = placeholder(tf, 1, 1, length, headSize);
      var v = placeholder(tf, 1, 1, length, headSize);
      Attention attention = new ExactAttention(causal);
      Operand<TFloat32> p = null;
      if (favor != null) {
        p = placeholder(tf, projection.rows(), projection.columns());
        attention = FavorAttention.of(favor, p);
      }
      var out = attention.attend(tf, q, k, v, null);
      List<float[]> outputs = new ArrayList<>();
      for (int i = 0; i < draws; i++) {
        float[][] drawn = data.get(i);
        try (Feed feed = new Feed()) {
          feed.put(q, Tensors.of(drawn[0], 1, 1, length, headSize));
          feed.put(k, Tensors.of(drawn[1], 1, 1, length, headSize));
          feed.put(v, Tensors.of(drawn[2], 1, 1, length, headSize));
          if (favor != null) {
            float[] matrix = projection.draw(seed + 1_000_003L * (i + 1));
            feed.put(p, Tensors.of(matrix, projection.rows(), projection.columns()));
          }
          Session.Runner runner = session.runner().fetch(out);
          feed.into(runner);
          try (Result result = runner.run()) {
            outputs.add(Tensors.floats(result.get(0)));
          }
        }
      }
      return outputs;
    }
  }

  private static Operand<TFloat32> placeholder(Ops tf, long... shape) {
    return tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(shape)));
  }

  private static Row row(
      Variant variant, int m, List<float[]> outputs, List<float[]> exact, double scale) {
    double[] errors = new double[exact.size()];
    Arrays.setAll(errors, i -> meanSquaredError(outputs.get(i), exact.get(i)));
    double error = mean(errors.length, i -> errors[i]);
    double squares = Arrays.stream(errors).map(e -> (e - error) * (e - error)).sum();
    double scatter = squares / Math.max(1, errors.length - 1) / errors.length;
    return new Row(variant, m, error / scale, Math.sqrt(scatter) / scale);
  }

  private static double meanSquaredError(float[] out, float[] exact) {
    return mean(exact.length, i -> Math.pow((double) out[i] - exact[i], 2));
  }

  private static double variance(float[] x) {
    double mean = mean(x.length, i -> x[i]);
    return mean(x.length, i -> (double) x[i] * x[i]) - mean * mean;
  }

  private static double mean(int count, IntToDoubleFunction value) {
    return IntStream.range(0, count).mapToDouble(value).average().orElseThrow();
  }

  /** An error with as many digits as it is worth. */
  public static String number(double x) {
    return Table.format(x >= 100 ? "%.0f" : x >= 0.1 ? "%.2f" : "%.4f", x);
  }

  /** What came of a study; all variants have the same numbers of features. */
  public record Report(@JsonUnwrapped ApproximationStudy study, List<Row> rows) {
    private static final List<Line.Dash> DASHES =
        List.of(Line.Dash.DASHED, Line.Dash.SOLID, Line.Dash.DOTTED);
    private static final List<Line.Marker> MARKERS =
        List.of(Line.Marker.CIRCLE, Line.Marker.DIAMOND, Line.Marker.CROSS);

    /** Markdown: a line for each variant, a column for each number of features. */
    public String table() {
      var features = rows.stream().map(Row::features).distinct().toList();
      Table table =
          new Table("kernel | projection | row lengths" + columns(features, m -> "M=" + m));
      for (var row : byVariant().entrySet()) {
        String variant = row.getKey().toString().replace(", ", " | ");
        table.row(variant + columns(row.getValue(), r -> number(r.error)));
      }
      return table.toString();
    }

    /** The error over M: colour by kernel, dash by directions, marker by row lengths. */
    public Chart chart() {
      String title = "FAVOR+ against softmax: L=" + study.length + ", D=" + study.headSize;
      var layout = new Layout(1000, 650, Scale.POWERS_OF_TWO, Scale.DECADES, Legend.BESIDE);
      Chart chart = Chart.of(title, "features M", "mean squared error / variance", layout);
      var variants = byVariant();
      var kernels = variants.keySet().stream().map(Variant::kernel).distinct().toList();
      var directions = variants.keySet().stream().map(Variant::directions).distinct().toList();
      var lengths = variants.keySet().stream().map(Variant::lengths).distinct().toList();
      for (var entry : variants.entrySet()) {
        Variant v = entry.getKey();
        var features = entry.getValue().stream().map(Row::features).toList();
        var errors = entry.getValue().stream().map(Row::error).toList();
        chart =
            chart.with(
                Line.of(v.toString(), features, errors)
                    .withColour(kernels.indexOf(v.kernel))
                    .withDash(DASHES.get(directions.indexOf(v.directions) % DASHES.size()))
                    .withMarker(MARKERS.get(lengths.indexOf(v.lengths) % MARKERS.size())));
      }
      return chart;
    }

    private Map<Variant, List<Row>> byVariant() {
      return rows.stream().collect(groupingBy(Row::variant, LinkedHashMap::new, toList()));
    }
  }
}
