package dev.performer.attention.modelgarden;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.attention.LinearAttention;
import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.attention.modelgarden.KernelAttentionConfig.CausalWindowed;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Padding;
import dev.performer.testing.FedGraph;
import java.util.OptionalDouble;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat64;

/** Windows of chunks against a plain double loop, in float64. */
class CausalWindowTest {
  private static final double EPSILON = 1e-6;
  private static final int M = 3;
  private static final int V = 2;

  @ParameterizedTest(name = "T={0} C={1} W={2} decay={3} padding={4}")
  @CsvSource({
    "12, 4, 1, , NONE",
    "12, 4, 2, 0.9, NONE",
    "12, 1, 3, 0.5, NONE",
    "12, 1, 100, , NONE",
    "21, 3, 5, 0.7, NONE",
    "21, 3, 7, 1, NONE",
    "22, 3, 6, 0.7, RIGHT",
    "13, 5, 2, , RIGHT",
    "13, 5, 2, 0.8, LEFT",
    "3, 8, 4, 0.8, RIGHT",
    "3, 8, 4, 0.8, LEFT",
    "15, 2, 3, 1.5, RIGHT",
    "15, 2, 3, 0, LEFT",
    "1, 1, 1, , NONE"
  })
  void everyWindow(int length, int chunk, int window, Double decay, Padding padding) {
    CausalWindowed setting =
        new CausalWindowed(
            chunk,
            window,
            decay == null ? OptionalDouble.empty() : OptionalDouble.of(decay),
            padding);
    Random random = new Random(31L * length + chunk);
    double[] q = random.doubles((long) length * M, 0.1, 1).toArray();
    double[] k = random.doubles((long) length * M, 0.1, 1).toArray();
    double[] v = random.doubles((long) length * V, -1, 1).toArray();
    try (FedGraph graph = new FedGraph()) {
      Ops tf = graph.tf;
      Operand<TFloat64> out =
          new CausalWindow(setting, new Denominator.AddAlways(EPSILON))
              .attend(
                  tf, constant(tf, q, length), constant(tf, k, length), constant(tf, v, length));
      double[] expected = naive(setting, q, k, v, length);
      assertThat(graph.runDoubles(out)).containsExactly(expected, within(1e-12));
    }
  }

  private static Operand<TFloat64> constant(Ops tf, double[] values, int length) {
    return tf.constant(Shape.of(1, 1, length, values.length / length), DataBuffers.of(values));
  }

  private static double[] naive(
      CausalWindowed setting, double[] q, double[] k, double[] v, int length) {
    int chunk = setting.chunk();
    int front = setting.padding() == Padding.LEFT ? Math.floorMod(-length, chunk) : 0;
    double[] out = new double[length * V];
    // Row 0 of the result is row 0 of the padded sequence.
    for (int row = 0; row < length; row++) {
      int query = row - front;
      double[] sums = new double[V + 1];
      for (int key = 0; key < length && query >= 0; key++) {
        int back = (query + front) / chunk - (key + front) / chunk;
        if (back >= 0 && back < setting.window()) {
          double weight = Math.pow(setting.decay().orElse(1), back) * dot(q, query, k, key);
          for (int c = 0; c < V; c++) {
            sums[c] += weight * v[key * V + c];
          }
          sums[V] += weight;
        }
      }
      for (int c = 0; c < V; c++) {
        out[row * V + c] = sums[c] / (sums[V] + EPSILON);
      }
    }
    return out;
  }

  private static double dot(double[] q, int query, double[] k, int key) {
    double sum = 0;
    for (int m = 0; m < M; m++) {
      sum += q[query * M + m] * k[key * M + m];
    }
    return sum;
  }

  @Test
  void chunksOfOneAndAWindowOverAllAreCausalAttention() {
    int length = 37;
    Random random = new Random(5);
    try (FedGraph graph = new FedGraph()) {
      Ops tf = graph.tf;
      Operand<TFloat64> q = constant(tf, random.doubles(length * M, 0, 1).toArray(), length);
      Operand<TFloat64> k = constant(tf, random.doubles(length * M, 0, 1).toArray(), length);
      Operand<TFloat64> v = constant(tf, random.doubles(length * V, -1, 1).toArray(), length);
      Denominator denominator = new Denominator.AddAlways(EPSILON);
      CausalWindowed setting = new CausalWindowed(1, length, OptionalDouble.empty(), Padding.NONE);
      Operand<TFloat64> windowed = new CausalWindow(setting, denominator).attend(tf, q, k, v);
      Operand<TFloat64> causal = LinearAttention.causal(tf, q, k, v, null, denominator, 8, null);
      assertThat(graph.runDoubles(windowed))
          .containsExactly(graph.runDoubles(causal), within(1e-12));
    }
  }
}
