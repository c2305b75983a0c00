package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.training.optim.Optimizer;
import dev.performer.training.optim.Schedule;
import org.junit.jupiter.api.Test;

class LoopOptionsTest {
  private static JsonNode json(String text) throws Exception {
    return new ObjectMapper().readTree(text.replace('\'', '"'));
  }

  @Test
  void jsonGivesTheOptionsBack() {
    LoopOptions options =
        LoopOptions.builder()
            .steps(7)
            .batch(new BatchSize.Sequences(3))
            .optimizer(new Optimizer.Lion(0.9, 0.95, 0, true))
            .schedule(new Schedule.Cosine(2e-3, 4, 0.1))
            .xla(true)
            .build();
    assertThat(LoopOptions.DEFAULT.with(options.toJson(), "test")).isEqualTo(options);
    assertThat(FineTuneOptions.LOOP.with(LoopOptions.DEFAULT.toJson(), "test"))
        .isEqualTo(LoopOptions.DEFAULT);
    assertThat(options.with()).isEqualTo(options);
    assertThat(options.with("batchTokens=64").batch()).isEqualTo(new BatchSize.Tokens(64));
  }

  @Test
  void readsTheNamesThatKeysOnceHad() throws Exception {
    LoopOptions options =
        LoopOptions.DEFAULT.with(
            json("{'clip': 2, 'schedule': 'linear', 'finalRate': 0.5, 'batchSequences': null}"),
            "test");
    assertThat(options.clipNorm()).isEqualTo(2);
    assertThat(options.schedule()).isEqualTo(new Schedule.Linear(1e-3, 100, 0.5));
    assertThat(options.batch()).isEqualTo(LoopOptions.DEFAULT.batch());
    assertThat(LoopOptions.of("schedule=inverse-sqrt").schedule())
        .isEqualTo(new Schedule.InverseSquareRoot(1e-3, 100));
    // Every recipe.yaml of before has both keys of the batch.
    assertThat(
            LoopOptions.DEFAULT
                .with(json("{'batchTokens': 16384, 'batchSequences': 32}"), "test")
                .batch())
        .isEqualTo(new BatchSize.Sequences(32));
  }

  @Test
  void namesTheKeyThatIsWrong() {
    for (String[] wrong :
        new String[][] {
          {"steps=0", "steps must be at least 1, not 0"},
          {"batchTokens=0", "batchTokens must be at least 1, not 0"},
          {"learningRate=0", "learningRate must be above 0"},
          {"schedule=cosin", "did you mean cosine?"},
          {"finalShares=1", "unknown key finalShares; did you mean finalShare?"},
          {"learningrate=1", "did you mean learningRate?"},
          {"patience=1", null},
          {"optimizer={name: adam}", "did you mean adamw?"}
        }) {
      if (wrong[1] == null) {
        assertThat(LoopOptions.of(wrong[0]).patience()).isEqualTo(1);
      } else {
        assertThatThrownBy(() -> LoopOptions.of(wrong[0]))
            .isInstanceOf(PerformerException.class)
            .hasMessageContaining(wrong[1])
            .hasMessageNotContaining("\n");
      }
    }
  }

  @Test
  void aFineTuningOfFormat1GoesOn() throws Exception {
    JsonNode old =
        json(
            "{'format': 1, 'objective': {'kind': 'x'}, 'batching': {'length': 64, 'size': {'kind':"
                + " 'tokens', 'tokens': 1024}}, 'optimizer': {'beta1': 0.9, 'beta2': 0.98,"
                + " 'epsilon': 1e-9, 'weightDecay': 0.01, 'clipNorm': 3.0}, 'schedule': {'kind':"
                + " 'inverse-square-root', 'peak': 0.01, 'warmup': 5}, 'steps': 30,"
                + " 'evaluateEvery': 0, 'evaluationBatches': 0, 'checkpointEvery': 4,"
                + " 'keepCheckpoints': 2, 'logEvery': 10, 'seed': 7, 'data': {'train': 't'}}");
    JsonNode now = FineTuneOptions.current(old);
    assertThat(now.path("training"))
        .isEqualTo(
            FineTuneOptions.LOOP.toBuilder()
                .batch(new BatchSize.Tokens(1024))
                .schedule(new Schedule.InverseSquareRoot(0.01, 5))
                .clipNorm(3)
                .steps(30)
                .evaluateEvery(0)
                .checkpointEvery(4)
                .seed(7)
                .build()
                .toJson());
    assertThat(now.fieldNames())
        .toIterable()
        .containsExactlyInAnyOrder("format", "objective", "batching", "data", "training");
  }
}
