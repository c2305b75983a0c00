package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Dense.Precision;
import java.nio.charset.StandardCharsets;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StepBenchmarkTest {
  @ParameterizedTest
  @CsvSource({"false, FLOAT32", "true, FLOAT32", "false, BFLOAT16"})
  void itsStepsTrain(boolean xla, Precision precision) {
    PerformerConfig config =
        config(
            "{'task': 'causal-lm', 'vocabularySize': 16, 'hiddenSize': 16, 'layers': 1, 'heads': 2,"
                + " 'padId': null, 'attention': {'kernel': 'softmax', 'features': 8, 'causal':"
                + " true}}");
    try (StepBenchmark benchmark = new StepBenchmark(config, 2, 32, xla, precision)) {
      StepBenchmark.Step first = benchmark.step();
      assertThat(first.loss()).isCloseTo(Math.log(16), Offset.offset(1.0));
      double last = first.loss();
      for (int i = 0; i < 30; i++) {
        StepBenchmark.Step step = benchmark.step();
        assertThat(step.milliseconds()).isPositive();
        last = step.loss();
      }
      assertThat(last).isLessThan(first.loss());
    }
  }

  @Test
  void aModelWithoutLogitsIsRefused() {
    PerformerConfig config =
        config("{'task': 'classification', 'classes': 3, 'layers': 1, 'padId': null}");
    assertThatThrownBy(() -> new StepBenchmark(config, 1, 8))
        .isInstanceOf(PerformerException.class)
        .hasMessage("task classification has no logits of tokens; measure a language model");
  }

  private static PerformerConfig config(String json) {
    byte[] bytes = json.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    return PerformerConfig.of(StrictJson.readTree(bytes, "the test"), "the test");
  }
}
