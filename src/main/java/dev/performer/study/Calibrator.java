package dev.performer.study;

import dev.performer.data.NpyArray;
import dev.performer.graph.Algebra;
import dev.performer.graph.Tensors;
import dev.performer.model.LayerCalibration;
import dev.performer.model.PerformerConfig;
import dev.performer.model.PerformerConfig.Positions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat64;

/**
 * Finds, head by head, how queries and keys are to be centred and balanced so that random features
 * estimate softmax with little variance, and where those features lie.
 *
 * <p>Balanced are both by {@code T² = Σq^-½ (Σq^½ Σk Σq^½)^½ Σq^-½}, after which they have one
 * covariance; with rotary positions T may only stretch each pair of dimensions that turns, as
 * nothing else commutes with the rotations. With {@code Σ = E[(q̃+k̃)(q̃+k̃)ᵀ] = U Λ Uᵀ} of
 * independent q̃ and k̃, {@code A = (1−2Λ−√((2Λ+1)²+8Λ))/16}.
 *
 * @see <a href="https://arxiv.org/abs/2302.00787">FAVOR#</a>
 */
public record Calibrator(PerformerConfig model, Map<String, NpyArray> weights) {
  /** Least variance along a direction, of its mean over all directions of a head's x'. */
  private static final double LEAST_SHARE = 1e-4;

  /** The same, of the mean over those of the other side. */
  private static final double LEAST_SHARE_OF_OTHER = 1e-6;

  private static final double LEAST = 1e-12;

  /**
   * What was found, by layer.
   *
   * @param tokens that count
   * @param regularized heads with a direction along which queries or keys vary next to nothing
   * @param lengths of each head's queries and keys, by layer
   */
  public record Found(
      Map<Integer, LayerCalibration> layers,
      long tokens,
      int regularized,
      Map<Integer, List<Lengths>> lengths) {}

  /**
   * Root mean squares of the lengths of a head's q/D^¼ and k/D^¼, as they are and as calibrated.
   */
  public record Lengths(double query, double key, double calibratedQuery, double calibratedKey) {}

  /**
   * Calibrates layers by sequences.
   *
   * @param name of the sequences, for messages
   * @throws dev.performer.PerformerException if there are too few tokens, or numbers are not finite
   */
  public Found calibrate(
      Collection<Integer> layers, List<int[]> sequences, int pad, int paddedLength, String name) {
    var moments = HeadMoments.of(model, weights, layers, sequences, pad, paddedLength, name);
    Map<Integer, LayerCalibration> found = new TreeMap<>();
    Map<Integer, List<Lengths>> lengths = new TreeMap<>();
    int regularized = 0;
    for (var entry : moments.entrySet()) {
      Solved solved = solved(entry.getValue());
      found.put(entry.getKey(), solved.calibration);
      lengths.put(entry.getKey(), solved.lengths);
      regularized += solved.regularized;
    }
    long tokens = moments.values().stream().mapToLong(HeadMoments::tokens).max().orElse(0);
    return new Found(found, tokens, regularized, lengths);
  }

  private record Solved(LayerCalibration calibration, int regularized, List<Lengths> lengths) {}

  private Solved solved(HeadMoments moments) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Algebra<TFloat64> a = new Algebra<>(tf, TFloat64.class);
      int heads = model.heads();
      int size = model.headSize();
      var matrices = new long[] {heads, size, size};
      var columns = new long[] {heads, size, 1};
      Operand<TFloat64> q = constant(tf, moments.queryCovariance(), matrices);
      Operand<TFloat64> k = constant(tf, moments.keyCovariance(), matrices);
      Operand<TFloat64> spreadOfQueries = spread(a, q);
      Operand<TFloat64> spreadOfKeys = spread(a, k);
      Spectrum ofQueries = spectrum(a, q, spreadOfQueries, spreadOfKeys);
      Spectrum ofKeys = spectrum(a, k, spreadOfKeys, spreadOfQueries);
      boolean isRotary = model.positions() == Positions.ROTARY;
      Spectrum square = isRotary ? pairs(a, ofQueries, ofKeys) : dense(a, ofQueries, ofKeys);
      Operand<TFloat64> t = square.power(a, 0.5);
      Operand<TFloat64> inverse = square.power(a, -0.5); // symmetric, so T⁻ᵀ too
      var balancedQueries = a.matMul(t, a.matMul(ofQueries.power(a, 1), t));
      var balancedKeys = a.matMul(inverse, a.matMul(ofKeys.power(a, 1), inverse));
      var sum = tf.linalg.selfAdjointEig(tf.math.add(balancedQueries, balancedKeys));
      Operand<TFloat64> lambda = tf.math.maximum(sum.e(), a.constant(0));
      Operand<TFloat64> more = a.plus(a.times(lambda, 2), 1); // 2Λ+1
      var root = tf.math.sqrt(tf.math.add(tf.math.square(more), a.times(lambda, 8)));
      Operand<TFloat64> amounts =
          a.times(tf.math.sub(a.plus(a.times(lambda, -2), 1), root), 1.0 / 16);
      var queryCentre = a.matMul(t, constant(tf, moments.queryMean(), columns));
      var keyCentre = a.matMul(inverse, constant(tf, moments.keyMean(), columns));
      Operand<TFloat64> raised =
          tf.math.maximum(ofQueries.isRaised(a), ofKeys.isRaised(a)); // [H, 1]
      List<Operand<TFloat64>> all =
          List.of(
              t,
              inverse,
              queryCentre,
              keyCentre,
              amounts,
              sum.v(),
              raised,
              trace(a, balancedQueries),
              trace(a, balancedKeys));
      Session.Runner runner = session.runner();
      all.forEach(runner::fetch);
      try (Result result = runner.run()) {
        double[][] v = new double[all.size()][];
        for (int i = 0; i < v.length; i++) {
          v[i] = Tensors.doubles(result.get(i));
        }
        boolean foldsMean = model.attentionBias() && !isRotary;
        var calibration =
            new LayerCalibration(v[0], v[1], moments.keyMean(), v[2], v[3], v[4], v[5], foldsMean);
        List<Lengths> lengths = new ArrayList<>();
        for (int h = 0; h < heads; h++) {
          double query = length(moments.queryMean(), moments.queryCovariance(), h, size);
          double key = length(moments.keyMean(), moments.keyCovariance(), h, size);
          lengths.add(new Lengths(query, key, Math.sqrt(v[7][h]), Math.sqrt(v[8][h])));
        }
        return new Solved(calibration, (int) Arrays.stream(v[6]).sum(), lengths);
      }
    }
  }

  private static double length(double[] mean, double[] covariance, int head, int size) {
    double sum = 0;
    for (int i = head * size; i < (head + 1) * size; i++) {
      sum += mean[i] * mean[i] + covariance[i * size + i % size];
    }
    return Math.sqrt(sum);
  }

  /** {@code [H, 1]}. */
  private static Operand<TFloat64> trace(Algebra<TFloat64> a, Operand<TFloat64> matrices) {
    Ops tf = a.tf();
    var diagonal = tf.linalg.matrixDiagPart(matrices, tf.constant(0), a.constant(0));
    return a.sum(diagonal, -1);
  }

  private static Operand<TFloat64> constant(Ops tf, double[] values, long... shape) {
    return tf.reshape(tf.constant(values), tf.constant(shape));
  }

  /** The mean variance over directions, {@code [H, 1]}. */
  private static Operand<TFloat64> spread(Algebra<TFloat64> a, Operand<TFloat64> covariance) {
    return a.times(trace(a, covariance), 1.0 / Algebra.size(covariance, -1, "the head size"));
  }

  /** Eigenvalues, {@code [H, D]}, as found and at least as large as they may be, and vectors. */
  private record Spectrum(
      Operand<TFloat64> found, Operand<TFloat64> values, Operand<TFloat64> vectors) {
    Operand<TFloat64> power(Algebra<TFloat64> a, double exponent) {
      Ops tf = a.tf();
      var powers = tf.expandDims(tf.math.pow(values, a.constant(exponent)), tf.constant(1));
      return a.matMulTransposed(tf.math.mul(vectors, powers), vectors);
    }

    /** 1 for a head with an eigenvalue that was too small, {@code [H, 1]}. */
    Operand<TFloat64> isRaised(Algebra<TFloat64> a) {
      return a.max(a.cast(a.tf().dtypes.cast(a.tf().math.less(found, values), TFloat64.class)), -1);
    }
  }

  private static Spectrum spectrum(
      Algebra<TFloat64> a,
      Operand<TFloat64> covariance,
      Operand<TFloat64> own,
      Operand<TFloat64> other) {
    Ops tf = a.tf();
    var eigen = tf.linalg.selfAdjointEig(covariance);
    Operand<TFloat64> least =
        tf.math.maximum(a.times(own, LEAST_SHARE), a.times(other, LEAST_SHARE_OF_OTHER));
    least = a.plus(least, LEAST);
    return new Spectrum(eigen.e(), tf.math.maximum(eigen.e(), least), eigen.v());
  }

  /** T² that gives both sides one covariance. */
  private static Spectrum dense(Algebra<TFloat64> a, Spectrum queries, Spectrum keys) {
    Operand<TFloat64> root = queries.power(a, 0.5);
    Operand<TFloat64> inverse = queries.power(a, -0.5);
    var inner = a.matMul(root, a.matMul(keys.power(a, 1), root));
    Operand<TFloat64> middle = eigen(a, inner).power(a, 0.5);
    return eigen(a, a.matMul(inverse, a.matMul(middle, inverse)));
  }

  private static Spectrum eigen(Algebra<TFloat64> a, Operand<TFloat64> matrix) {
    var eigen = a.tf().linalg.selfAdjointEig(matrix);
    Operand<TFloat64> positive = a.tf().math.maximum(eigen.e(), a.constant(Double.MIN_NORMAL));
    return new Spectrum(eigen.e(), positive, eigen.v());
  }

  /** The same of pairs (i, i+D/2) as wholes: a diagonal. */
  private static Spectrum pairs(Algebra<TFloat64> a, Spectrum queries, Spectrum keys) {
    Ops tf = a.tf();
    var square = tf.math.sqrt(tf.math.div(ofPairs(a, keys), ofPairs(a, queries))); // [H, D]
    int size = (int) Algebra.size(square, -1, "the head size");
    Operand<TFloat64> one = tf.linalg.tensorDiag(tf.fill(tf.array(size), a.constant(1)));
    return new Spectrum(square, square, tf.math.mul(tf.onesLike(queries.vectors), one));
  }

  private static Operand<TFloat64> ofPairs(Algebra<TFloat64> a, Spectrum of) {
    Ops tf = a.tf();
    var diagonal = tf.linalg.matrixDiagPart(of.power(a, 1), tf.constant(0), a.constant(0));
    var halves = tf.split(tf.constant(1), diagonal, 2L).output();
    Operand<TFloat64> sum = tf.math.add(halves.get(0), halves.get(1)); // [H, D/2]
    return a.concat(1, List.of(sum, sum));
  }
}
