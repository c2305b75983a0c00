package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.graph.Tensors;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Value and gradient against the formula in float64. */
class LossOptionsTest {
  private static final int ROWS = 6; // [2, 3]
  private static final int VOCABULARY = 5;

  @ParameterizedTest
  @CsvSource({"0, 0", "0.1, 0", "0, 0.01", "0.3, 0.2", "0.9, 1"})
  void agreesWithTheFormula(double smoothing, double z) {
    Random random = new Random(3);
    float[] logits = new float[ROWS * VOCABULARY];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) (4 * random.nextGaussian()) + (i < VOCABULARY ? 80 : 0);
    }
    int[] targets = {0, 4, 2, 1, 1, 3};
    float[] weights = {1, 0, 2.5f, 1, 0, 0.5f};
    double total = 5;
    double expected = 0;
    double plain = 0;
    double[] gradient = new double[logits.length];
    for (int row = 0; row < ROWS; row++) {
      double largest = Double.NEGATIVE_INFINITY;
      for (int v = 0; v < VOCABULARY; v++) {
        largest = Math.max(largest, logits[row * VOCABULARY + v]);
      }
      double sum = 0;
      for (int v = 0; v < VOCABULARY; v++) {
        sum += Math.exp(logits[row * VOCABULARY + v] - largest);
      }
      double logZ = largest + Math.log(sum);
      double share = weights[row] / total;
      plain += weights[row] * (logZ - logits[row * VOCABULARY + targets[row]]);
      expected += share * z * logZ * logZ;
      for (int v = 0; v < VOCABULARY; v++) {
        int i = row * VOCABULARY + v;
        double p = Math.exp(logits[i] - logZ);
        double q = (v == targets[row] ? 1 - smoothing : 0) + smoothing / VOCABULARY;
        expected += share * q * (logZ - logits[i]);
        gradient[i] = share * (p - q + 2 * z * logZ * p);
      }
    }
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      var predicted = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, -1, -1)));
      var right = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1, -1)));
      var weight = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, -1)));
      LossGraph loss =
          LossGraph.build(
              tf,
              predicted,
              right.asOutput(),
              weight.asOutput(),
              new LossGraph.Options(smoothing, z));
      Output<?> slope = graph.addGradients(loss.loss(), new Output<?>[] {predicted.asOutput()})[0];
      try (Session session = new Session(graph);
          Tensor fedLogits = Tensors.of(logits, 2, 3, VOCABULARY);
          Tensor fedTargets = Tensors.of(targets, 2, 3);
          Tensor fedWeights = Tensors.of(weights, 2, 3);
          Result result =
              session
                  .runner()
                  .feed(predicted, fedLogits)
                  .feed(right, fedTargets)
                  .feed(weight, fedWeights)
                  .fetch(loss.loss())
                  .fetch(slope)
                  .fetch(loss.sums())
                  .run()) {
        assertThat((double) Tensors.floats(result.get(0))[0])
            .isCloseTo(expected, within(1e-5 * Math.max(1, expected)));
        float[] actual = Tensors.floats(result.get(1));
        for (int i = 0; i < actual.length; i++) {
          assertThat((double) actual[i])
              .isCloseTo(gradient[i], within(1e-5 * Math.max(1, Math.abs(gradient[i]))));
        }
        // What is reported is cross-entropy whatever is added to it.
        assertThat(Tensors.doubles(result.get(2))[0]).isCloseTo(plain, within(1e-5 * plain));
      }
    }
  }
}
