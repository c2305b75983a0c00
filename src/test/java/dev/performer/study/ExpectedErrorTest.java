package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.graph.Tensors;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/** The closed form against its meaning, sum by sum, and against draws of the estimator itself. */
class ExpectedErrorTest {
  private static final int LENGTH = 7;
  private static final int SIZE = 8;
  private static final int FEATURES = 512;

  private final double[][] queries;
  private final double[][] keys;
  private final double[][] values;

  ExpectedErrorTest() {
    Random random = new Random(3);
    // Short enough that the second moment is not carried by events too rare to be drawn.
    queries = rows(random, 0.3);
    keys = rows(random, 0.3);
    values = rows(random, 1);
  }

  private static double[][] rows(Random random, double deviation) {
    double[][] rows = new double[LENGTH][SIZE];
    for (double[] row : rows) {
      for (int i = 0; i < SIZE; i++) {
        row[i] = (float) (deviation * random.nextGaussian());
      }
    }
    return rows;
  }

  private static boolean sees(boolean causal, int i, int j) {
    return j < LENGTH - 1 && (!causal || j <= i); // the last key is padding
  }

  private double[] closed(Kernel kernel, boolean causal) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      var scale = tf.constant(Math.pow(SIZE, -0.25));
      double[][] seen = new double[LENGTH][LENGTH];
      for (int i = 0; i < LENGTH; i++) {
        for (int j = 0; j < LENGTH; j++) {
          seen[i][j] = sees(causal, i, j) ? 1 : 0;
        }
      }
      var error =
          new ExpectedError(
              tf,
              tf.math.mul(matrix(tf, queries), scale),
              tf.math.mul(matrix(tf, keys), scale),
              matrix(tf, values),
              tf.expandDims(tf.expandDims(tf.constant(seen), tf.constant(0)), tf.constant(0)));
      try (Result result = session.runner().fetch(error.of(kernel)).run()) {
        return Tensors.doubles(result.get(0));
      }
    }
  }

  private static Operand<TFloat64> matrix(Ops tf, double[][] rows) {
    return tf.reshape(tf.constant(rows), tf.constant(new int[] {1, 1, LENGTH, SIZE}));
  }

  /** The formula as it is read. */
  private double[] asWritten(Kernel kernel, boolean causal) {
    double[] errors = new double[LENGTH];
    double sign = kernel == Kernel.TRIGONOMETRIC ? -1 : 1;
    for (int i = 0; i < LENGTH; i++) {
      double[] a = new double[LENGTH];
      double sum = 0;
      for (int j = 0; j < LENGTH; j++) {
        a[j] = sees(causal, i, j) ? Math.exp(dot(queries[i], keys[j]) / Math.sqrt(SIZE)) : 0;
        sum += a[j];
      }
      double[] o = new double[SIZE];
      for (int j = 0; j < LENGTH; j++) {
        a[j] /= sum;
        for (int d = 0; d < SIZE; d++) {
          o[d] += a[j] * values[j][d];
        }
      }
      for (int j = 0; j < LENGTH; j++) {
        for (int l = 0; l < LENGTH; l++) {
          double zz = 0;
          double vv = 0;
          for (int d = 0; d < SIZE; d++) {
            zz +=
                (queries[i][d] + sign * keys[j][d])
                    * (queries[i][d] + sign * keys[l][d])
                    / Math.sqrt(SIZE);
            vv += (values[j][d] - o[d]) * (values[l][d] - o[d]);
          }
          double c = kernel == Kernel.SOFTMAX ? Math.exp(zz) - 1 : Math.cosh(zz) - 1;
          errors[i] += a[j] * a[l] * c * vv;
        }
      }
    }
    return errors;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  @ParameterizedTest
  @CsvSource({
    "SOFTMAX, false",
    "SOFTMAX, true",
    "HYPERBOLIC, false",
    "HYPERBOLIC, true",
    "TRIGONOMETRIC, false"
  })
  void matrixProductsAreTheDoubleSum(Kernel kernel, boolean causal) {
    double[] closed = closed(kernel, causal);
    double[] written = asWritten(kernel, causal);
    for (int i = 0; i < LENGTH; i++) {
      assertThat(closed[i]).isCloseTo(written[i], within(1e-9 * (1 + written[i])));
    }
  }

  @ParameterizedTest
  @CsvSource({"SOFTMAX, false", "HYPERBOLIC, false", "HYPERBOLIC, true", "TRIGONOMETRIC, false"})
  void drawsOfTheEstimatorAgree(Kernel kernel, boolean causal) {
    double expected = 0;
    for (double error : closed(kernel, causal)) {
      expected += error / FEATURES;
    }
    double drawn = drawn(kernel, causal, 400);
    assertThat(drawn / expected).isBetween(0.85, 1.15);
  }

  /** Mean over draws of the squared error of all outputs. */
  private double drawn(Kernel kernel, boolean causal, int draws) {
    FavorConfig config =
        FavorConfig.builder()
            .kernel(kernel)
            .causal(causal)
            .features(FEATURES)
            .directions(Projection.Directions.IID)
            .build();
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      var p = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(FEATURES, SIZE)));
      Operand<TFloat32> q = tf.dtypes.cast(matrix(tf, queries), TFloat32.class);
      Operand<TFloat32> k = tf.dtypes.cast(matrix(tf, keys), TFloat32.class);
      Operand<TFloat32> v = tf.dtypes.cast(matrix(tf, values), TFloat32.class);
      float[][] mask = new float[1][LENGTH];
      for (int j = 0; j < LENGTH; j++) {
        mask[0][j] = j < LENGTH - 1 ? 1 : 0;
      }
      var out = FavorAttention.of(config, p).attend(tf, q, k, v, tf.constant(mask));
      double[] exact = exact(causal);
      double sum = 0;
      for (int draw = 0; draw < draws; draw++) {
        try (Tensor matrix = Tensors.of(config.projection(SIZE).draw(draw + 17L), FEATURES, SIZE);
            Result result = session.runner().feed(p, matrix).fetch(out).run()) {
          float[] estimate = Tensors.floats(result.get(0));
          for (int i = 0; i < estimate.length; i++) {
            sum += Math.pow(estimate[i] - exact[i], 2);
          }
        }
      }
      return sum / draws;
    }
  }

  private double[] exact(boolean causal) {
    double[] out = new double[LENGTH * SIZE];
    for (int i = 0; i < LENGTH; i++) {
      double sum = 0;
      for (int j = 0; j < LENGTH; j++) {
        if (sees(causal, i, j)) {
          double a = Math.exp(dot(queries[i], keys[j]) / Math.sqrt(SIZE));
          sum += a;
          for (int d = 0; d < SIZE; d++) {
            out[i * SIZE + d] += a * values[j][d];
          }
        }
      }
      for (int d = 0; d < SIZE; d++) {
        out[i * SIZE + d] /= sum;
      }
    }
    return out;
  }

  @Test
  void othersHaveNone() {
    assertThat(ExpectedError.isKnown(Kernel.RELU)).isFalse();
    assertThat(ExpectedError.isKnown(Kernel.FAVOR_PLUS_PLUS)).isFalse();
  }
}
