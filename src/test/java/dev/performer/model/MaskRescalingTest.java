package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.graph.Tensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Embeddings by the share of masked tokens, number by number, and configurations of them. */
class MaskRescalingTest {
  private static final int[][] IDS = {{7, 2, 7, 3}, {7, 7, 7, 7}, {2, 3, 7, 7}, {2, 3, 4, 5}};
  private static final float[][] REAL = {{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 0}, {0, 0, 0, 0}};

  private static float twin(int[] ids, float[] real, int at, double trained) {
    double all = 0;
    double masked = 0;
    for (int i = 0; i < ids.length; i++) {
      all += real[i];
      masked += ids[i] == 7 ? real[i] : 0;
    }
    boolean isKept = ids[at] != 7 && real[at] == 1;
    return (float) (isKept ? (1 - trained) / (1 - masked / all) : 0);
  }

  @Test
  void isTheFormulaNumberByNumber() {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      float[][][] ones = new float[4][4][1];
      for (float[][] row : ones) {
        for (float[] cell : row) {
          cell[0] = 1;
        }
      }
      var x = tf.constant(ones);
      var rescaling = new MaskRescaling(7, 0.12);
      var masked = rescaling.apply(tf, x, tf.constant(IDS), tf.constant(REAL));
      var whole = rescaling.apply(tf, x, tf.constant(IDS), null);
      try (Result result = session.runner().fetch(masked).fetch(whole).run()) {
        float[] some = Tensors.floats((TFloat32) result.get(0));
        float[] all = Tensors.floats((TFloat32) result.get(1));
        for (int i = 0; i < 16; i++) {
          int[] ids = IDS[i / 4];
          assertThat(some[i]).isCloseTo(twin(ids, REAL[i / 4], i % 4, 0.12), within(1e-6f));
          float[] real = {1, 1, 1, 1};
          assertThat(all[i]).isCloseTo(twin(ids, real, i % 4, 0.12), within(1e-6f));
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "maskRescaling={token: 40000, trained: 0.12} | maskRescaling.token is 40000",
        "maskRescaling={token: 3, trained: 1} | maskRescaling.trained must be 0 or more and below 1",
        "maskRescaling={token: 3, trained: 0.1};task=causal-lm | counts masks of a whole sequence",
        "maskRescaling={token: 3, trained: 0.1};task=encoder;classToken=true | with a classToken",
        "rotaryFrequencies=[1, 0.1] | need positions: rotary",
        "positions=rotary;rotaryFrequencies=[1, 0.1] | headSize / 2 = 32 positive numbers",
        "positions=rotary;headSize=4;rotaryFrequencies=[1, -1] | headSize / 2 = 2 positive numbers"
      })
  void whatDoesNotFitIsNamed(String settings, String message) {
    PerformerConfig bert = PerformerConfig.preset("bert");
    assertThatThrownBy(() -> bert.with(settings.split(";")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(message);
  }
}
