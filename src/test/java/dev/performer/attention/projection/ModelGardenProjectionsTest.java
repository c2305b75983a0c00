package dev.performer.attention.projection;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.NpyArray;
import dev.performer.testing.Golden;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class ModelGardenProjectionsTest {
  private static final double TOLERANCE = 2e-6;

  private final Golden golden = Golden.folder("tfm");
  private final Map<String, NpyArray> matrices = golden.arrays("projection_matrices.npz");

  @TestFactory
  List<DynamicTest> everyMatrixIsReproduced() {
    JsonNode params =
        golden.cases("projection_matrices").findFirst().orElseThrow().get("params").get("matrices");
    assertThat(matrices).hasSizeGreaterThan(9);
    return matrices.keySet().stream()
        .map(name -> DynamicTest.dynamicTest(name, () -> check(name, params.get(name))))
        .toList();
  }

  private void check(String name, JsonNode p) {
    int m = p.get("m").asInt();
    int d = p.get("d").asInt();
    long seed0 = p.get("seed").get(0).asLong();
    long seed1 = p.get("seed").get(1).asLong();
    float[] expected = matrices.get(name).floats();
    float[] actual = ModelGardenProjections.of(m, d, seed0, seed1).values();
    assertThat(Golden.deviation(actual, expected)).isLessThanOrEqualTo(TOLERANCE);
    if (seed1 == seed0 + 1) {
      assertThat(ModelGardenProjections.ofLayer(m, d, seed0).values()).isEqualTo(actual);
    }
  }

  @Test
  void redrawsKeepTheRowLengthsAndChangeTheDirections() {
    NpyArray norms = golden.arrays("projection_matrices_redraw.npz").get("row_norms_first");
    ProjectionMatrix one = redrawn();
    ProjectionMatrix two = redrawn();
    assertThat(one.values()).isNotEqualTo(two.values());
    for (ProjectionMatrix p : List.of(one, two)) {
      assertThat(Golden.deviation(rowNorms(p), norms.floats())).isLessThan(1e-6);
      assertThat(dot(p, 0, 1) / norms.floats()[0] / norms.floats()[1]).isLessThan(1e-6);
    }
  }

  private static ProjectionMatrix redrawn() {
    float[] values = ProjectionGraph.evaluate(tf -> ModelGardenProjections.redraw(tf, 6, 4));
    return new ProjectionMatrix(values, 6, 4);
  }

  private static float[] rowNorms(ProjectionMatrix p) {
    float[] norms = new float[p.rows()];
    for (int i = 0; i < norms.length; i++) {
      norms[i] = (float) Math.sqrt(dot(p, i, i));
    }
    return norms;
  }

  private static double dot(ProjectionMatrix p, int i, int j) {
    double sum = 0;
    for (int c = 0; c < p.columns(); c++) {
      sum += (double) p.at(i, c) * p.at(j, c);
    }
    return sum;
  }
}
