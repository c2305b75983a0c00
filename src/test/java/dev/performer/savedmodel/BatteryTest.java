package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Set;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What can be trained is what Python trains, with Python's gradients. */
class BatteryTest {
  private static final Battery BATTERY = new Battery(ReferenceModels.directory("made/battery"));

  @ParameterizedTest
  @ValueSource(
      strings = {
        "batch_norm_training",
        "bfloat16_compute",
        "cast_to_int_and_back",
        "cholesky",
        "cross_entropy_float64",
        "float16_variables",
        "only_through_int",
        "qr_wide",
        "ragged_to_dense",
        "second_order",
        "stateless_noise",
        "stop_gradient",
        "string_lookup",
        "t5_buckets",
        "tied_positions"
      })
  void promisesAndComputesPythonsGradients(String graph) {
    assertThat(BATTERY.problems(graph)).isEmpty();
  }

  static Set<String> graphs() {
    return BATTERY.graphs();
  }

  @Tag("slow")
  @ParameterizedTest
  @MethodSource("graphs")
  void promisesAndComputesPythonsGradientsOfAll(String graph) {
    assertThat(BATTERY.problems(graph)).isEmpty();
  }
}
