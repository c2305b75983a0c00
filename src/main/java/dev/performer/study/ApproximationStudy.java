package dev.performer.study;

import dev.performer.PerformerException;
import dev.performer.attention.Attention;
import dev.performer.attention.Convention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.graph.Tensors;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
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

  /** The paper's figure 4: L = 4096, D = 16, q and k ~ 0.5·N(0, 1), 15 draws. */
  public static final ApproximationStudy FIGURE_4 =
      new ApproximationStudy(4096, 16, 0.5, 15, 1, Convention.PERFORMER, false);

  /**
   * @throws PerformerException if a size is not positive
   */
  public ApproximationStudy {
    if (length <= 0 || headSize <= 0 || draws <= 0 || !(amplitude > 0)) {
      throw new PerformerException(
          "length, head size, draws and amplitude must be positive: %d, %d, %d, %s"
              .formatted(length, headSize, draws, amplitude));
    }
  }

  /**
   * What is tried.
   *
   * @param kernel one that estimates softmax
   * @param directions how directions are drawn
   * @param lengths how long they are
   */
  public record Variant(
      Kernel kernel, Projection.Directions directions, Projection.Lengths lengths) {
    /**
     * @throws PerformerException if the kernel does not estimate softmax
     */
    public Variant {
      if (!kernel.isSoftmax()) {
        throw new PerformerException(
            "kernel " + kernel + " does not estimate softmax, so there is no error to measure");
      }
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
   * @param variant what was tried
   * @param features M, directions of the projection
   * @param error mean squared error over the variance of the exact output, both means over draws
   * @param standardError of that ratio, from the scatter of the draws' errors
   */
  public record Row(Variant variant, int features, double error, double standardError) {}

  /**
   * Measures every variant at every number of features; draw i has the same data everywhere.
   *
   * @param progress takes each row as it is done
   */
  public ApproximationReport run(
      List<Variant> variants, List<Integer> features, Consumer<Row> progress) {
    variants.forEach(v -> features.forEach(m -> config(v, m))); // refuse before the long work
    List<float[][]> data = new ArrayList<>();
    Random random = new Random(seed);
    for (int i = 0; i < draws; i++) {
      data.add(
          new float[][] {
            gaussian(random, amplitude), gaussian(random, amplitude), gaussian(random, 1)
          });
    }
    List<float[]> exact = outputs(new ExactAttention(causal), data);
    List<Row> rows = new ArrayList<>();
    for (Variant variant : variants) {
      for (int m : features) {
        Row row = measure(variant, m, data, exact);
        rows.add(row);
        progress.accept(row);
      }
    }
    return new ApproximationReport(this, rows);
  }

  private FavorConfig config(Variant v, int m) {
    if (m <= 0) {
      throw new PerformerException("the number of features must be positive, not " + m);
    }
    return FavorConfig.builder()
        .kernel(v.kernel())
        .convention(convention)
        .features(m)
        .causal(causal)
        .directions(v.directions())
        .lengths(v.lengths())
        .build();
  }

  private Row measure(Variant variant, int m, List<float[][]> data, List<float[]> exact) {
    FavorConfig config = config(variant, m);
    Projection projection = config.projection(headSize);
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Operand<TFloat32> p =
          tf.placeholder(
              TFloat32.class, Placeholder.shape(Shape.of(projection.rows(), projection.columns())));
      Attended attended = attended(tf, FavorAttention.of(config, p));
      double[] errors = new double[draws];
      double[] variances = new double[draws];
      try (Session session = new Session(graph)) {
        for (int i = 0; i < draws; i++) {
          float[] drawn = projection.draw(seed + 1_000_003L * (i + 1));
          try (Tensor matrix = Tensors.of(drawn, projection.rows(), projection.columns())) {
            float[] out = attended.run(session.runner().feed(p, matrix), data.get(i), this);
            errors[i] = meanSquaredError(out, exact.get(i));
            variances[i] = variance(exact.get(i));
          }
        }
      }
      return row(variant, m, errors, variances);
    }
  }

  private static Row row(Variant variant, int m, double[] errors, double[] variances) {
    double error = mean(errors);
    double scale = mean(variances);
    double scatter = 0;
    for (double e : errors) {
      scatter += (e - error) * (e - error) / Math.max(1, errors.length - 1);
    }
    return new Row(variant, m, error / scale, Math.sqrt(scatter / errors.length) / scale);
  }

  private static double mean(double[] x) {
    double sum = 0;
    for (double e : x) {
      sum += e;
    }
    return sum / x.length;
  }

  private List<float[]> outputs(Attention attention, List<float[][]> data) {
    try (Graph graph = new Graph()) {
      Attended attended = attended(Ops.create(graph), attention);
      try (Session session = new Session(graph)) {
        return data.stream().map(d -> attended.run(session.runner(), d, this)).toList();
      }
    }
  }

  /** A graph of one attention: its placeholders and its output. */
  private record Attended(List<Operand<TFloat32>> inputs, Operand<TFloat32> output) {
    float[] run(Session.Runner runner, float[][] data, ApproximationStudy study) {
      try (Tensor q = study.tensor(data[0]);
          Tensor k = study.tensor(data[1]);
          Tensor v = study.tensor(data[2]);
          Result r =
              runner
                  .feed(inputs.get(0), q)
                  .feed(inputs.get(1), k)
                  .feed(inputs.get(2), v)
                  .fetch(output)
                  .run()) {
        return Tensors.floats(r.get(0));
      }
    }
  }

  private Attended attended(Ops tf, Attention attention) {
    List<Operand<TFloat32>> inputs = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      inputs.add(
          tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(1, 1, length, headSize))));
    }
    return new Attended(
        inputs, attention.attend(tf, inputs.get(0), inputs.get(1), inputs.get(2), null));
  }

  private Tensor tensor(float[] x) {
    return Tensors.of(x, 1, 1, length, headSize);
  }

  private float[] gaussian(Random random, double deviation) {
    float[] x = new float[Math.multiplyExact(length, headSize)];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) (deviation * random.nextGaussian());
    }
    return x;
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
    double mean = 0;
    for (float e : x) {
      mean += e;
    }
    mean /= x.length;
    double sum = 0;
    for (float e : x) {
      sum += (e - mean) * (e - mean);
    }
    return sum / x.length;
  }
}
