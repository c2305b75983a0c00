package dev.performer.study;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonUnwrapped;
import dev.performer.PerformerException;
import dev.performer.attention.Attention;
import dev.performer.attention.Convention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.graph.Tensors;
import dev.performer.training.Feed;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
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
 * @param length L
 * @param headSize D
 * @param amplitude standard deviation of queries and keys
 * @param draws how many fresh data and projections are averaged
 * @param seed of all draws
 * @param convention of the features
 * @param causal whether both attentions are causal
 */
public record ApproximationStudy(
    int length,
    int headSize,
    double amplitude,
    int draws,
    long seed,
    Convention convention,
    boolean causal) {

  /**
   * @throws PerformerException if a size is not positive
   */
  public ApproximationStudy {
    require(
        length > 0 && headSize > 0 && draws > 0 && amplitude > 0,
        "length, head size, draws and amplitude must be positive: %d, %d, %d, %s",
        length,
        headSize,
        draws,
        amplitude);
  }

  /** What is tried: a kernel that estimates softmax, and how its directions are drawn. */
  public record Variant(
      Kernel kernel,
      @JsonProperty("projection") Projection.Directions directions,
      @JsonProperty("rowLengths") Projection.Lengths lengths) {
    public Variant {
      require(
          kernel.isSoftmax(),
          "kernel %s does not estimate softmax, so there is no error to measure",
          kernel);
    }

    @Override
    public String toString() {
      return kernel + ", " + directions + ", " + lengths;
    }
  }

  /** All combinations, each checked as {@link Variant} is. */
  public static List<Variant> variants(
      List<Kernel> kernels,
      List<Projection.Directions> directions,
      List<Projection.Lengths> lengths) {
    List<Variant> variants = new ArrayList<>();
    for (Kernel kernel : kernels) {
      for (Projection.Directions direction : directions) {
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

  /**
   * Measures every variant at every number of features; draw i has the same data everywhere.
   *
   * @param progress takes each row as it is done
   */
  public ApproximationReport run(
      List<Variant> variants, List<Integer> features, Consumer<Row> progress) {
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
    return new ApproximationReport(this, rows);
  }

  private FavorConfig config(Variant v, int m) {
    require(m > 0, "the number of features must be positive, not %d", m);
    return FavorConfig.builder()
        .kernel(v.kernel())
        .convention(convention)
        .features(m)
        .causal(causal)
        .directions(v.directions())
        .lengths(v.lengths())
        .build();
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
    double[] errors =
        IntStream.range(0, exact.size())
            .mapToDouble(i -> meanSquaredError(outputs.get(i), exact.get(i)))
            .toArray();
    double error = Arrays.stream(errors).average().orElseThrow();
    double squares = Arrays.stream(errors).map(e -> (e - error) * (e - error)).sum();
    double scatter = squares / Math.max(1, errors.length - 1) / errors.length;
    return new Row(variant, m, error / scale, Math.sqrt(scatter) / scale);
  }

  private static double meanSquaredError(float[] out, float[] exact) {
    double sum = 0;
    for (int i = 0; i < exact.length; i++) {
      double d = (double) out[i] - exact[i];
      sum += d * d;
    }
    return sum / exact.length;
  }

  private static double variance(float[] x) {
    double sum = 0;
    double squares = 0;
    for (float e : x) {
      sum += e;
      squares += (double) e * e;
    }
    double mean = sum / x.length;
    return squares / x.length - mean * mean;
  }
}
