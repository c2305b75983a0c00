package dev.performer.attention.projection;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.data.NpyArray;
import dev.performer.testing.Golden;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class TensorFlowProjectionsTest {
  /** Two units in the last place of a row of length ten. */
  private static final double TOLERANCE = 2e-6;

  private final Golden golden = Golden.folder("gr_tf");
  private final JsonNode params =
      golden.cases("projection_matrices").findFirst().orElseThrow().get("params").get("matrices");
  private final Map<String, NpyArray> matrices = golden.arrays("projection_matrices.npz");

  @TestFactory
  List<DynamicTest> everyMatrixIsReproduced() {
    List<String> specs =
        matrices.keySet().stream()
            .map(name -> name.substring(0, name.lastIndexOf('/')))
            .distinct()
            .filter(spec -> isOrthogonal(params.get(spec)))
            .sorted()
            .toList();
    assertThat(specs).hasSizeGreaterThan(20);
    return specs.stream().map(s -> DynamicTest.dynamicTest(s, () -> check(s))).toList();
  }

  /** Givens rotations and a global seed are not offered. */
  private static boolean isOrthogonal(JsonNode p) {
    return !p.get("struct_mode").asBoolean() && !p.path("global_seed").isNumber();
  }

  private void check(String spec) {
    JsonNode p = params.get(spec);
    ProjectionMatrix matrix =
        new TensorFlowProjections(
                p.get("m").asInt(),
                p.get("d").asInt(),
                p.get("seed").asLong(),
                p.get("scaling").asDouble() == 0 ? Lengths.CHI : Lengths.SQRT_D)
            .first();
    NpyArray first = matrices.get(spec + "/first");
    assertThat(matrix.shape()).isEqualTo(first.shape());
    assertThat(Golden.deviation(matrix.values(), first.floats())).isLessThanOrEqualTo(TOLERANCE);
  }

  @TestFactory
  List<DynamicTest> redrawsAreDrawnFromTheirSeeds() {
    return golden
        .cases("selfattention_redraw")
        .map(c -> DynamicTest.dynamicTest(c.get("name").asText(), () -> checkRedraw(c)))
        .toList();
  }

  private void checkRedraw(JsonNode c) {
    Map<String, NpyArray> arrays = golden.arrays(c);
    NpyArray expected = arrays.get("P_first");
    ProjectionMatrix p =
        new TensorFlowProjections(
                (int) expected.shape()[0],
                (int) expected.shape()[1],
                arrays.get("seed").ints()[0],
                Lengths.CHI)
            .first();
    assertThat(Golden.deviation(p.values(), expected.floats())).isLessThanOrEqualTo(TOLERANCE);
  }

  @Test
  void impossibleArgumentsAreRefused() {
    assertThatThrownBy(() -> new TensorFlowProjections(0, 4, 0, Lengths.CHI))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("[0, 4]");
    assertThatThrownBy(() -> new TensorFlowProjections(1 << 20, 1 << 20, 0, Lengths.CHI))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("too large");
  }
}
