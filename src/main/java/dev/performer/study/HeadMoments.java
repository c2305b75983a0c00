package dev.performer.study;

import static dev.performer.PerformerException.require;

import dev.performer.data.NpyArray;
import dev.performer.graph.Algebra;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * First and second moments of what the heads of a layer compare, {@code x' = x/D^¼}, over the
 * tokens that count.
 *
 * @param tokens how many these are
 * @param queryMean {@code [H, D]}
 * @param queryCovariance {@code [H, D, D]}
 */
record HeadMoments(
    long tokens,
    double[] queryMean,
    double[] keyMean,
    double[] queryCovariance,
    double[] keyCovariance) {
  /**
   * Runs a model on sequences and adds up, in float64.
   *
   * @param name of the data, for messages
   * @return by layer
   * @throws dev.performer.PerformerException if numbers are not finite, or tokens too few
   */
  static Map<Integer, HeadMoments> of(
      PerformerConfig model,
      Map<String, NpyArray> weights,
      Collection<Integer> layers,
      List<int[]> sequences,
      int pad,
      int paddedLength,
      String name) {
    List<Integer> chosen = List.copyOf(layers);
    int heads = model.heads();
    int size = model.headSize();
    List<double[]> sums = new ArrayList<>();
    for (int i = 0; i < 2 * chosen.size(); i++) {
      sums.add(new double[heads * (size + 1) * (size + 1)]);
    }
    new ModelPass(model, weights)
        .run(
            sequences,
            pad,
            paddedLength,
            (tf, outputs) -> products(tf, outputs, chosen, size),
            (i, values) -> Arrays.setAll(sums.get(i), j -> sums.get(i)[j] + values[j]));
    Map<Integer, HeadMoments> moments = new TreeMap<>();
    for (int i = 0; i < chosen.size(); i++) {
      double[] queries = sums.get(2 * i);
      double[] keys = sums.get(2 * i + 1);
      long tokens = Math.round(queries[queries.length - 1]);
      String few = "%s: %d tokens are too few to calibrate heads of size %d; give %d or more";
      require(tokens >= 4L * size, few, name, tokens, size, 4 * size);
      String wild =
          "%s: queries or keys of layer %d are not finite numbers; nothing can be calibrated";
      require(isFinite(queries) && isFinite(keys), wild, name, chosen.get(i));
      moments.put(
          chosen.get(i),
          new HeadMoments(
              tokens,
              mean(queries, size),
              mean(keys, size),
              covariance(queries, size),
              covariance(keys, size)));
    }
    return moments;
  }

  /** {@code Σ [x'|1]ᵀ[x'|1]} of each head's queries and keys, layer by layer. */
  private static List<Output<TFloat64>> products(
      Ops tf, Outputs outputs, List<Integer> layers, int size) {
    Algebra<TFloat64> a = new Algebra<>(tf, TFloat64.class);
    List<Output<TFloat64>> all = new ArrayList<>();
    for (int layer : layers) {
      var of = outputs.layers().get(layer);
      for (Operand<TFloat32> x : List.of(of.queries(), of.keys())) {
        Operand<TFloat64> scaled = a.times(a.cast(x), Math.pow(size, -0.25));
        Operand<TFloat64> rows = a.concat(-1, List.of(scaled, a.onesColumn(scaled)));
        Operand<TFloat64> kept = rows; // [1, H, L, D+1]
        if (outputs.mask() != null) {
          var real =
              tf.expandDims(tf.expandDims(a.cast(outputs.mask()), tf.constant(1)), tf.constant(3));
          kept =
              tf.select(
                  tf.math.greater(tf.math.mul(tf.onesLike(rows), real), a.constant(0)),
                  rows,
                  a.constant(0));
        }
        all.add(a.transposedMatMul(kept, kept).asOutput()); // [1, H, D+1, D+1]
      }
    }
    return all;
  }

  private static boolean isFinite(double[] x) {
    return Arrays.stream(x).allMatch(Double::isFinite);
  }

  private static double[] mean(double[] sums, int size) {
    int side = size + 1;
    double[] mean = new double[sums.length / side / side * size];
    for (int i = 0; i < mean.length; i++) {
      int head = i / size * side * side;
      mean[i] = sums[head + i % size * side + size] / sums[head + side * side - 1];
    }
    return mean;
  }

  private static double[] covariance(double[] sums, int size) {
    int side = size + 1;
    double[] mean = mean(sums, size);
    double[] covariance = new double[mean.length * size];
    for (int i = 0; i < covariance.length; i++) {
      int h = i / size / size;
      int row = i / size % size;
      int column = i % size;
      double count = sums[(h + 1) * side * side - 1];
      double second = sums[h * side * side + row * side + column] / count;
      covariance[i] = second - mean[h * size + row] * mean[h * size + column];
    }
    return covariance;
  }
}
