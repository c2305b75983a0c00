package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;

/** Wrong options end in one line that names what was meant. */
class ConfigTest {

  @Test
  void everyLabelIsFoundAgain() {
    for (Kernel kernel : Kernel.values()) {
      assertThat(Kernel.of(kernel.label())).isEqualTo(kernel);
    }
    for (Convention convention : Convention.known()) {
      assertThat(Convention.of(convention.label())).isEqualTo(convention);
    }
  }

  @Test
  void typosNameTheNearest() {
    assertThatThrownBy(() -> Kernel.of("sofmax"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("did you mean 'softmax'");
    assertThatThrownBy(() -> Convention.of("google-tff"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("did you mean 'google-tf'");
    assertThatThrownBy(() -> Projection.Directions.of("ortho"))
        .hasMessageContaining("did you mean 'orthogonal'");
    assertThatThrownBy(() -> Projection.Lengths.of("sqrtd")).hasMessageContaining("'sqrt-d'");
  }

  @Test
  void partsThatDoNotGoTogetherAreRefused() {
    assertThatThrownBy(() -> FavorConfig.of(Kernel.FAVOR_PLUS_PLUS).withCausal(true))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("cannot be causal");
    assertThatThrownBy(() -> FavorConfig.of(Kernel.HYPERBOLIC).withFeatures(-1))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("negative");
    assertThatThrownBy(() -> FavorAttention.of(FavorConfig.of(Kernel.SOFTMAX)))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("needs a projection");
    assertThatThrownBy(() -> FavorConfig.of(Kernel.RELU).projection(8))
        .isInstanceOf(PerformerException.class);
    assertThatThrownBy(() -> FavorConfig.of(Kernel.RELU).toBuilder().chunk(-1).build())
        .isInstanceOf(PerformerException.class);
  }

  @Test
  void anUnknownHeadSizeIsNamed() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      var x = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(1, 2, -1, -1)));
      assertThatThrownBy(
              () -> FavorAttention.of(FavorConfig.of(Kernel.RELU)).attend(tf, x, x, x, null))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("head size");
    }
  }
}
