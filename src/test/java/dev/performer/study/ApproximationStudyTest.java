package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The paper's figure 4, and that more features come closer. */
class ApproximationStudyTest {
  /** The paper's figure 4: L = 4096, D = 16, q and k ~ 0.5·N(0, 1), 15 draws. */
  private static final ApproximationStudy FIGURE_4 =
      new ApproximationStudy(4096, 16, 0.5, 15, 1, Convention.PERFORMER, false);

  @Test
  void ourBestMapAt64FeaturesIsWithinTheBound() {
    var best =
        new ApproximationStudy.Variant(
            Kernel.HYPERBOLIC, Projection.Directions.ORTHOGONAL, Projection.Lengths.SQRT_D);
    List<ApproximationStudy.Row> rows = FIGURE_4.run(List.of(best), List.of(64), row -> {}).rows();
    assertThat(rows).hasSize(1);
    assertThat(rows.get(0).error()).isLessThanOrEqualTo(0.008);
  }

  @Test
  void errorsFallWithFeatures() {
    var study = new ApproximationStudy(512, 16, 0.7, 6, 3, Convention.PERFORMER, true);
    var chi = Projection.Lengths.CHI;
    var orthogonal = Projection.Directions.ORTHOGONAL;
    var rows =
        study
            .run(
                ApproximationStudy.variants(
                    List.of(Kernel.SOFTMAX, Kernel.HYPERBOLIC), List.of(orthogonal), List.of(chi)),
                List.of(16, 256),
                row -> {})
            .rows();
    assertThat(rows.get(1).error()).isLessThan(rows.get(0).error() / 3);
    assertThat(rows.get(3).error()).isLessThan(rows.get(2).error() / 3);
  }

  @Test
  void whatCannotBeMeasuredIsRefusedBeforeTheWork() {
    assertThatThrownBy(
            () ->
                new ApproximationStudy.Variant(
                    Kernel.RELU, Projection.Directions.IID, Projection.Lengths.CHI))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("relu");
    assertThatThrownBy(() -> new ApproximationStudy(0, 16, 1, 1, 1, Convention.PERFORMER, false))
        .isInstanceOf(PerformerException.class);
  }
}
