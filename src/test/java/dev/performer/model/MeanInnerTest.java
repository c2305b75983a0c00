package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.graph.Tensors;
import dev.performer.model.TextEmbedding.Pooling;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The mean of all tokens but the first and the last, in a graph and beside it. */
class MeanInnerTest {
  private static final float[][] MASK = {
    {1, 1, 1, 1, 1},
    {1, 1, 1, 0, 0},
    {0, 1, 1, 1, 1},
    {1, 1, 0, 0, 0},
    {1, 0, 0, 0, 0},
    {0, 0, 0, 0, 0}
  };
  private static final float[] EXPECTED = {(1 + 2 + 3) / 3f, 1, (2 + 3) / 2f, 0, 0, 0};

  @Test
  void leavesOutTheFirstAndTheLastToken() {
    for (int row = 0; row < MASK.length; row++) {
      boolean[] real = new boolean[5];
      for (int i = 0; i < 5; i++) {
        real[i] = MASK[row][i] == 1;
      }
      double[] weights = Pooling.MEAN_INNER.weights(real);
      double mean = 0;
      for (int i = 0; i < 5; i++) {
        mean += weights[i] * i;
      }
      assertThat(mean).isCloseTo(EXPECTED[row], within(1e-6));
    }
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      float[][][] states = new float[MASK.length][5][1];
      for (float[][] row : states) {
        for (int i = 0; i < 5; i++) {
          row[i][0] = i;
        }
      }
      var how = new TextEmbedding(Pooling.MEAN_INNER, false, null);
      var vectors = how.of(tf, tf.constant(states), tf.constant(MASK));
      try (Result result = session.runner().fetch(vectors).run()) {
        assertThat(Tensors.floats((TFloat32) result.get(0)))
            .containsExactly(EXPECTED, within(1e-6f));
      }
    }
  }
}
