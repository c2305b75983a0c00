package dev.performer.attention.projection;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.TensorFlowProjections.Blocks;
import dev.performer.data.NpyArray;
import dev.performer.testing.Golden;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
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
  List<DynamicTest> everyMatrixOfBothCallsIsReproduced() {
    Set<String> specs = new HashSet<>();
    matrices.keySet().forEach(name -> specs.add(name.substring(0, name.lastIndexOf('/'))));
    assertThat(specs).hasSizeGreaterThan(35);
    return specs.stream().sorted().map(s -> DynamicTest.dynamicTest(s, () -> check(s))).toList();
  }

  private void check(String spec) {
    JsonNode p = params.get(spec);
    JsonNode global = p.path("global_seed");
    TensorFlowProjections projections =
        new TensorFlowProjections(
            p.get("m").asInt(),
            p.get("d").asInt(),
            p.get("seed").asLong(),
            TensorFlowProjections.lengths(p.get("scaling").asDouble()),
            p.get("struct_mode").asBoolean() ? Blocks.GIVENS : Blocks.ORTHOGONAL,
            global.isNumber() ? OptionalLong.of(global.asLong()) : OptionalLong.empty());
    List<ProjectionMatrix> calls = projections.calls(2);
    NpyArray first = matrices.get(spec + "/first");
    assertThat(calls.get(0).shape()).isEqualTo(first.shape());
    double a = Golden.deviation(calls.get(0).values(), first.floats());
    double b = Golden.deviation(calls.get(1).values(), matrices.get(spec + "/second").floats());
    assertThat(Math.max(a, b)).isLessThanOrEqualTo(TOLERANCE);
    assertThat(Golden.deviation(projections.first().values(), calls.get(0).values())).isZero();
  }

  @TestFactory
  List<DynamicTest> redrawsFollowTheSumOfTheQueries() {
    return golden
        .cases("selfattention_redraw")
        .map(c -> DynamicTest.dynamicTest(c.get("name").asText(), () -> checkRedraw(c)))
        .toList();
  }

  private void checkRedraw(JsonNode c) {
    Map<String, NpyArray> arrays = golden.arrays(c);
    int seed = arrays.get("seed").ints()[0];
    assertThat(TensorFlowProjections.redrawSeed(arrays.get("qsum").floats()[0])).isEqualTo(seed);
    NpyArray expected = arrays.get("P_first");
    ProjectionMatrix p =
        TensorFlowProjections.of((int) expected.shape()[0], (int) expected.shape()[1], seed)
            .first();
    assertThat(Golden.deviation(p.values(), expected.floats())).isLessThanOrEqualTo(TOLERANCE);
  }

  @Test
  void redrawSeedsOverflowAsTheyDoInPython() {
    for (float sum : new float[] {21.5f, -21.5f, 30, 1e6f, Float.POSITIVE_INFINITY, Float.NaN}) {
      assertThat(TensorFlowProjections.redrawSeed(sum)).isEqualTo(Integer.MIN_VALUE);
    }
    assertThat(TensorFlowProjections.redrawSeed(-0.5f)).isEqualTo(50_000_000);
    assertThat(TensorFlowProjections.redrawSeed(1e-9f)).isEqualTo(1);
    assertThat(TensorFlowProjections.redrawSeed(0)).isZero();
  }

  @Test
  void givensRotationsKeepTheirNonOrthogonalCase() {
    float[] q = GivensRotations.block(4, 0);
    double[] published = {
      0.817714, 0.348396, 0.479868, 0, -0.516836, 0.007614, 1.06167, 0, 0.244319, -0.744614,
      0.124278, -0.770264, 0.187402, -0.571145, 0.095326, 1.004209
    };
    for (int i = 0; i < q.length; i++) {
      assertThat((double) q[i]).isCloseTo(published[i], within(1e-6));
    }
    assertThat(GivensRotations.block(1, 9)).containsExactly(1f);
  }

  @Test
  void aGlobalAndALocalSeedOfZeroAreNotUnseeded() {
    TensorFlowProjections zeros =
        new TensorFlowProjections(3, 4, 0, Lengths.CHI, Blocks.ORTHOGONAL, OptionalLong.of(0));
    assertThat(zeros.first().values()).isEqualTo(zeros.first().values());
  }

  @Test
  void impossibleArgumentsAreRefused() {
    assertThatThrownBy(() -> TensorFlowProjections.of(0, 4, 0))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("[0, 4]");
    assertThatThrownBy(() -> TensorFlowProjections.of(1 << 20, 1 << 20, 0))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("too large");
    assertThatThrownBy(() -> TensorFlowProjections.lengths(2))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("scaling 2");
    assertThatThrownBy(
            () ->
                new TensorFlowProjections(
                        4, 4, -1, Lengths.CHI, Blocks.GIVENS, OptionalLong.empty())
                    .first())
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("between 0 and 4294967295");
  }
}
