package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionDraw;
import dev.performer.attention.projection.Threefry;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What follows from a convention: whose projection is drawn, of which kind, and how it divides. */
class DrawTest {

  private static FavorKeys softmax(String convention) {
    return FavorConfig.builder().kernel(Kernel.SOFTMAX).convention(Convention.of(convention));
  }

  @ParameterizedTest
  @CsvSource({
    "google-tf, iid, chi",
    "google-tf, iid, sqrt-d",
    "google-jax, iid, sqrt-d",
    "model-garden, iid, chi",
    "model-garden, orthogonal, sqrt-d"
  })
  void whatAConventionCannotDrawIsRefused(String convention, String directions, String lengths) {
    FavorConfig config =
        softmax(convention)
            .features(8)
            .directions(Directions.of(directions))
            .lengths(Lengths.of(lengths))
            .build();
    assertThatThrownBy(() -> config.draw(4))
        .isInstanceOf(PerformerException.class)
        .hasMessageContainingAll(config.draw().label(), directions, lengths);
  }

  @ParameterizedTest
  @CsvSource({
    "performer, iid, sqrt-d",
    "google-tf, orthogonal, sqrt-d",
    "google-jax, iid, chi",
    "google-jax, orthogonal, sqrt-d",
    "model-garden, orthogonal, chi"
  })
  void whatItCanDrawIsDrawn(String convention, String directions, String lengths) {
    FavorConfig config =
        softmax(convention)
            .features(8)
            .directions(Directions.of(directions))
            .lengths(Lengths.of(lengths))
            .build();
    assertThat(config.draw(4).orElseThrow().shape()).containsExactly(8, 4);
  }

  @Test
  void jaxDrawsFromTheLegacyStreamUnlessAnotherIsGiven() {
    assertThat(softmax("google-jax").build().draw()).isEqualTo(ProjectionDraw.JAX_LEGACY);
    assertThat(softmax("google-jax").threefry(Threefry.Stream.PARTITIONABLE).build().draw())
        .isEqualTo(ProjectionDraw.JAX_PARTITIONABLE);
    assertThatThrownBy(() -> softmax("google-tf").threefry(Threefry.Stream.LEGACY).build())
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("google-tf");
  }

  @Test
  void aConventionMayMeanAnotherKernelByALabel() {
    FavorConfig garden = FavorConfig.builder().kernel(Kernel.EXP).build();
    assertThat(garden.features()).isZero();
    FavorConfig config =
        FavorConfig.builder().kernel(Kernel.EXP).convention(Convention.MODEL_GARDEN).build();
    assertThat(config.meantKernel()).isEqualTo(Kernel.SOFTMAX);
    assertThat(config.features()).isEqualTo(FavorConfig.DEFAULT_FEATURES);
    assertThatThrownBy(() -> softmax("google-jax").features(0).build())
        .hasMessageContaining("needs a projection");
    assertThat(softmax("model-garden").features(0).build().hasProjection()).isFalse();
  }

  @Test
  void theNumericalStabilizerGuardsAsInGooglesCode() {
    FavorConfig softmax = softmax("google-jax").numericalStabilizer(0.5).build();
    assertThat(softmax.epsilon()).isEqualTo(0.5);
    assertThat(softmax.denominator()).isEqualTo(new Denominator.AddNearZero(0.5));
    FavorConfig relu =
        FavorConfig.builder()
            .kernel(Kernel.RELU)
            .convention(Convention.GOOGLE_JAX)
            .numericalStabilizer(0.5)
            .build();
    assertThat(relu.epsilon()).isNull();
    assertThat(relu.denominator()).isEqualTo(new Denominator.AddNearZero(0.5));
    FavorConfig tensorFlow = softmax("google-tf").numericalStabilizer(0.5).build();
    assertThat(tensorFlow.epsilon()).isEqualTo(0.5);
    assertThat(tensorFlow.denominator()).isEqualTo(new Denominator.Unguarded());
  }
}
