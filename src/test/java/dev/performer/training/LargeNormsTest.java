package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.graph.Tensors;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Queries and keys of length 3 to 4 at D = 8, where 4,096 features still leave an error of tens of
 * percent: that is the estimator, whose variance grows as exp |q + k|², and not float32 or a fault.
 */
class LargeNormsTest {
  private static final int LENGTH = 12;
  private static final int SIZE = 8;
  private static final int FEATURES = 4096;

  private final double[][] queries;
  private final double[][] keys;
  private final double[][] values;

  LargeNormsTest() {
    Random random = new Random(11);
    queries = rows(random, 3.5);
    keys = rows(random, 3.5);
    values = rows(random, 0);
  }

  /** Directions at random, of a length; 0 for Gaussian rows. */
  private static double[][] rows(Random random, double norm) {
    double[][] rows = new double[LENGTH][SIZE];
    for (double[] row : rows) {
      double square = 0;
      for (int i = 0; i < SIZE; i++) {
        row[i] = random.nextGaussian();
        square += row[i] * row[i];
      }
      for (int i = 0; i < SIZE; i++) {
        row[i] = (float) (norm == 0 ? row[i] : norm * row[i] / Math.sqrt(square));
      }
    }
    return rows;
  }

  private static FavorConfig config(Kernel kernel) {
    return FavorConfig.builder()
        .kernel(kernel)
        .causal(false)
        .features(FEATURES)
        .directions(Projection.Directions.ORTHOGONAL)
        .build();
  }

  private float[] inFloat32(Kernel kernel, float[] p) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      var projection = tf.reshape(tf.constant(p), tf.constant(new int[] {FEATURES, SIZE}));
      var out =
          FavorAttention.of(config(kernel), projection)
              .attend(tf, matrix(tf, queries), matrix(tf, keys), matrix(tf, values), null);
      try (Result result = session.runner().fetch(out).run()) {
        return Tensors.floats(result.get(0));
      }
    }
  }

  private static Operand<TFloat32> matrix(Ops tf, double[][] rows) {
    return tf.dtypes.cast(
        tf.reshape(tf.constant(rows), tf.constant(new int[] {1, 1, LENGTH, SIZE})), TFloat32.class);
  }

  /** Lemma 1 as it is read, in double precision, with the same directions. */
  private double[] twin(Kernel kernel, float[] p) {
    double[] out = new double[LENGTH * SIZE];
    double scale = Math.pow(SIZE, -0.25);
    for (int i = 0; i < LENGTH; i++) {
      double sum = 0;
      for (int j = 0; j < LENGTH; j++) {
        double weight = 0;
        for (int m = 0; m < FEATURES; m++) {
          double u = 0;
          for (int d = 0; d < SIZE; d++) {
            u += p[m * SIZE + d] * scale * (queries[i][d] + keys[j][d]);
          }
          weight += kernel == Kernel.HYPERBOLIC ? Math.cosh(u) : Math.exp(u);
        }
        weight *= Math.exp(-scale * scale * dot(keys[j], keys[j]) / 2);
        sum += weight;
        for (int d = 0; d < SIZE; d++) {
          out[i * SIZE + d] += weight * values[j][d];
        }
      }
      for (int d = 0; d < SIZE; d++) {
        out[i * SIZE + d] /= sum;
      }
    }
    return out;
  }

  private double[] exact() {
    double[] out = new double[LENGTH * SIZE];
    for (int i = 0; i < LENGTH; i++) {
      double sum = 0;
      for (int j = 0; j < LENGTH; j++) {
        double weight = Math.exp(dot(queries[i], keys[j]) / Math.sqrt(SIZE));
        sum += weight;
        for (int d = 0; d < SIZE; d++) {
          out[i * SIZE + d] += weight * values[j][d];
        }
      }
      for (int d = 0; d < SIZE; d++) {
        out[i * SIZE + d] /= sum;
      }
    }
    return out;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static double distance(double[] a, double[] b) {
    double error = 0;
    double size = 0;
    for (int i = 0; i < a.length; i++) {
      error += (a[i] - b[i]) * (a[i] - b[i]);
      size += b[i] * b[i];
    }
    return Math.sqrt(error / size);
  }

  private static double[] wide(float[] x) {
    double[] wide = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      wide[i] = x[i];
    }
    return wide;
  }

  @ParameterizedTest
  @EnumSource(names = {"SOFTMAX", "HYPERBOLIC"})
  void whatIsFarFromExactIsTheEstimatorItself(Kernel kernel) {
    float[] p = config(kernel).projection(SIZE).draw(5);
    double[] twin = twin(kernel, p);
    double ours = distance(wide(inFloat32(kernel, p)), twin);
    assertThat(ours).as("float32 against its float64 twin").isLessThan(1e-4);
    double error = distance(twin, exact());
    assertThat(error).as("the twin against exact attention").isGreaterThan(100 * ours);
    assertThat(error).isBetween(0.02, 0.6);
  }

  /**
   * Draws scatter around exact attention: what many have in common is nearer to it than each is.
   */
  @Test
  void errorFallsWithDraws() {
    double[] exact = exact();
    double first = 0;
    double[] mean = new double[exact.length];
    int draws = 24;
    for (int draw = 0; draw < draws; draw++) {
      double[] one =
          twin(Kernel.HYPERBOLIC, config(Kernel.HYPERBOLIC).projection(SIZE).draw(100 + draw));
      first += distance(one, exact) / draws;
      for (int i = 0; i < mean.length; i++) {
        mean[i] += one[i] / draws;
      }
    }
    assertThat(distance(mean, exact)).isLessThan(0.6 * first);
  }
}
