package dev.performer.attention.modelgarden;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.Inputs;
import dev.performer.attention.Kernel;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Linear;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Short;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalDouble;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** What Model Garden refuses, or fails at, is refused with one clear line. */
class KernelAttentionRefusalsTest {

  private static Map<String, Object> keras(Object... namesAndValues) {
    Map<String, Object> arguments = new HashMap<>();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      arguments.put((String) namesAndValues[i], namesAndValues[i + 1]);
    }
    return arguments;
  }

  private static void assertRefused(ThrowingCallable call, String... parts) {
    assertThatThrownBy(call)
        .isInstanceOf(PerformerException.class)
        .hasMessageContainingAll(parts)
        .message()
        .doesNotContain("\n");
  }

  private static void assertRefused(Map<String, Object> keras, String... parts) {
    assertRefused(() -> KernelAttentionConfig.ofKeras(keras), parts);
  }

  @Test
  void unknownTransforms() {
    assertRefused(keras("feature_transform", "leaky_relu"), "'leaky_relu'", "expplus");
    assertRefused(
        () ->
            new KernelAttentionConfig(
                Kernel.TANH, 8, 0, false, new Linear(), 0, OptionalDouble.empty(), false),
        "tanh");
  }

  @Test
  void redrawWithoutFeatures() {
    assertRefused(keras("redraw", true, "num_random_features", 0), "redraw needs a projection");
    assertRefused(keras("redraw", true, "num_random_features", -3), "redraw needs a projection");
  }

  @Test
  void windowsWithShortOrBeginKernel() {
    assertRefused(keras("use_causal_windowed", true, "is_short_seq", true), "exclude each other");
    assertRefused(keras("use_causal_windowed", true, "begin_kernel", 2), "do not go together");
  }

  @Test
  void impossibleWindows() {
    assertRefused(keras("use_causal_windowed", true, "causal_chunk_length", 0), "1 or more");
    assertRefused(keras("use_causal_windowed", true, "causal_window_length", 0), "1 or more");
    assertRefused(keras("use_causal_windowed", true, "causal_padding", "both"), "'both'", "left");
    assertRefused(keras("begin_kernel", -1), "0 or more");
  }

  @ParameterizedTest
  @CsvSource({
    "feature_transform, 3, a string",
    "redraw, 1, true or false",
    "num_random_features, 2.5, a whole number",
    "num_random_features, 1e12, a number below",
    "scale, NaN, a number"
  })
  void wrongTypes(String name, double value, String expected) {
    assertRefused(keras(name, value), name, expected);
  }

  @Test
  void defaultsAreModelGardens() {
    KernelAttentionConfig config = KernelAttentionConfig.defaults();
    assertThat(config.kernel()).isEqualTo(Kernel.SOFTMAX);
    assertThat(config.numRandomFeatures()).isEqualTo(256);
    assertThat(config.mixing()).isEqualTo(new Linear());
    assertThat(config.scale()).isEmpty();
    assertThat(KernelAttentionConfig.ofKeras(keras("is_short_seq", true, "scale", null)).mixing())
        .isEqualTo(new Short());
  }

  /** Queries, keys and values {@code [2, 6, 2, 4]}, mask {@code [2, 6]}, projection [8, 4]. */
  private record Inputs(Ops tf) {
    Operand<TFloat32> heads() {
      return ones(2, 6, 2, 4);
    }

    Operand<TFloat32> ones(int... shape) {
      return tf.fill(tf.constant(shape), tf.constant(1f));
    }
  }

  private static void attend(Map<String, Object> keras, int[] maskShape, int[] projectionShape) {
    try (Graph graph = new Graph()) {
      Inputs in = new Inputs(Ops.create(graph));
      new KernelAttention(KernelAttentionConfig.ofKeras(keras))
          .attend(
              in.tf(),
              in.heads(),
              in.heads(),
              in.heads(),
              maskShape == null ? null : in.ones(maskShape),
              projectionShape == null ? null : in.ones(projectionShape));
    }
  }

  @Test
  void inputsThatDoNotFit() {
    Map<String, Object> eight = keras("num_random_features", 8);
    Map<String, Object> none = keras("num_random_features", 0, "feature_transform", "relu");
    Map<String, Object> byLength = keras("num_random_features", 8, "scale_by_length", true);
    assertRefused(() -> attend(byLength, null, new int[] {8, 4}), "scale_by_length needs a mask");
    assertRefused(
        () -> attend(eight, new int[] {2, 6, 6}, new int[] {8, 4}), "[batch, length]", "[2, 6, 6]");
    assertRefused(() -> attend(eight, null, null), "is 8", "needed");
    assertRefused(() -> attend(none, null, new int[] {8, 4}), "is 0", "not expected");
    assertRefused(() -> attend(eight, null, new int[] {9, 4}), "[8, 4]", "[9, 4]");
    assertRefused(() -> attend(eight, null, new int[] {8, 5}), "[8, 4]", "[8, 5]");
  }

  @Test
  void lengthsThatAreNoMultipleOfTheChunk() {
    Map<String, Object> windowed =
        keras("num_random_features", 8, "use_causal_windowed", true, "causal_chunk_length", 4);
    assertRefused(
        () -> attend(windowed, null, new int[] {8, 4}), "multiple of the chunk length 4", "not 6");
  }
}
