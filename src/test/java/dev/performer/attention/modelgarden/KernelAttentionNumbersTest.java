package dev.performer.attention.modelgarden;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.data.NpyArray;
import dev.performer.testing.FedGraph;
import dev.performer.testing.Golden;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat32;

/** Model Garden's attention on a tiny example, worked out from the formulas alone in float64. */
class KernelAttentionNumbersTest {

  @ParameterizedTest(name = "{0}, {1} features, short {2}, masked {3}")
  @CsvSource(
      delimiter = '|',
      value = {
        "exp|3|false|false|1.032480 1.197087 0.980029 1.166889 1.093951 1.237304 1.167212 1.281330",
        "exp|3|false|true|0.910745 1.105560 0.867915 1.084887 0.960060 1.134262 1.033283 1.172011",
        "exp|0|false|false|0.962529 1.155248 0.971613 1.162873 0.976772 1.167204 0.969984 1.161505",
        "expmod|3|false|false|0.977236 1.147061 0.918229 1.113269 1.045072 1.190879 1.129753"
            + " 1.241348",
        "expplus|3|false|false|0.999848 1.171294 0.936231 1.134334 1.081529 1.224429 1.171806"
            + " 1.279122",
        "relu|3|false|false|0.720398 0.985207 0.735939 0.999103 1.172469 1.261647 1.440773"
            + " 1.423010",
        "elu|3|false|false|1.018136 1.174753 0.993538 1.162673 1.075247 1.211933 1.136385 1.246455",
        "square|3|false|false|1.083609 1.186958 0.998581 1.122108 1.150303 1.241268 1.000849"
            + " 1.123690",
        "identity|3|true|false|1.050544 1.192801 0.979836 1.154514 1.134203 1.248103 1.255322"
            + " 1.308563"
      })
  void everyTransform(
      String transform, int features, boolean isShort, boolean masked, String expected) {
    KernelAttentionConfig config =
        KernelAttentionConfig.ofKeras(
            Map.of(
                "feature_transform", transform,
                "num_random_features", features,
                "is_short_seq", isShort));
    float[] published = new float[8];
    String[] words = expected.split(" ");
    for (int i = 0; i < 8; i++) {
      published[i] = Float.parseFloat(words[i]);
    }
    try (FedGraph graph = new FedGraph()) {
      Ops tf = graph.tf;
      NpyArray p = NpyArray.of(new float[] {.5f, -1, 1.2f, .3f, -.8f, .9f}, 3, 2);
      Operand<TFloat32> heads =
          new KernelAttention(config)
              .attend(
                  tf,
                  wave(graph, n -> Math.sin(0.7 * n + 0.1)),
                  wave(graph, n -> Math.cos(0.5 * n - 0.3)),
                  wave(graph, n -> Math.sin(0.3 * n) + 0.5),
                  masked ? graph.feed(NpyArray.of(new float[] {1, 1, 0, 1}, 1, 4)) : null,
                  features == 0 ? null : graph.feed(p))
              .rest();
      float[] actual = graph.run(List.of(heads)).get(0);
      assertThat(Golden.deviation(actual, published)).isLessThan(2e-6);
    }
  }

  @Test
  void narrowTypesAreWidenedInside() {
    KernelAttentionConfig config =
        KernelAttentionConfig.ofKeras(Map.of("num_random_features", 3, "begin_kernel", 1));
    try (FedGraph graph = new FedGraph()) {
      Ops tf = graph.tf;
      Operand<TFloat32> x = wave(graph, n -> Math.sin(0.7 * n + 0.1));
      Operand<TFloat32> p =
          new ProjectionMatrix(new float[] {.5f, -1, 1.25f, .25f, -.75f, .875f}, 3, 2).constant(tf);
      Operand<TBfloat16> narrow = tf.dtypes.cast(x, TBfloat16.class);
      KernelAttention.Outputs<TBfloat16> heads =
          new KernelAttention(config)
              .attend(tf, narrow, narrow, narrow, null, tf.dtypes.cast(p, TBfloat16.class));
      assertThat(heads.rest().type()).isEqualTo(TBfloat16.class);
      Operand<TFloat32> rounded = tf.dtypes.cast(narrow, TFloat32.class);
      KernelAttention.Outputs<TFloat32> wide =
          new KernelAttention(config).attend(tf, rounded, rounded, rounded, null, p);
      List<float[]> values =
          graph.run(
              List.of(
                  tf.dtypes.cast(heads.rest(), TFloat32.class),
                  wide.rest(),
                  tf.dtypes.cast(heads.begin().orElseThrow(), TFloat32.class),
                  wide.begin().orElseThrow()));
      assertThat(Golden.relativeDeviation(values.get(0), values.get(1))).isLessThan(0.004);
      assertThat(Golden.relativeDeviation(values.get(2), values.get(3))).isLessThan(0.004);
    }
  }

  private static Operand<TFloat32> wave(FedGraph graph, DoubleUnaryOperator of) {
    float[] values = new float[8];
    for (int n = 0; n < 8; n++) {
      values[n] = (float) of.applyAsDouble(n);
    }
    return graph.feed(NpyArray.of(values, 1, 4, 1, 2));
  }

  @Test
  void trainingRedrawsAtEveryRunAndOnlyIfToldSo() {
    Map<String, Object> keras = new HashMap<>(Map.of("num_random_features", 6, "redraw", true));
    try (FedGraph graph = new FedGraph()) {
      Ops tf = graph.tf;
      Operand<TFloat32> held = tf.zeros(tf.constant(new int[] {6, 4}), TFloat32.class);
      KernelAttention redraws = new KernelAttention(KernelAttentionConfig.ofKeras(keras));
      Operand<TFloat32> p = redraws.trainingProjection(tf, held);
      assertThat(p.shape().asArray()).containsExactly(6, 4);
      List<float[]> runs = graph.runTwice(p);
      assertThat(Golden.deviation(runs.get(0), runs.get(1))).isGreaterThan(0.1);
      float[] norms =
          Golden.folder("tfm")
              .arrays("projection_matrices_redraw.npz")
              .get("row_norms_second")
              .floats();
      for (float[] run : runs) {
        for (int row = 0; row < 6; row++) {
          double sum = 0;
          for (int c = 0; c < 4; c++) {
            sum += run[row * 4 + c] * run[row * 4 + c];
          }
          assertThat(Math.sqrt(sum)).isCloseTo(norms[row], within(1e-5));
        }
      }
      // With begin_kernel Model Garden never redraws.
      keras.put("begin_kernel", 2);
      KernelAttention keeps = new KernelAttention(KernelAttentionConfig.ofKeras(keras));
      assertThat(keeps.trainingProjection(tf, held)).isSameAs(held);
    }
  }
}
