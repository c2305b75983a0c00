package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.BatchSize;
import dev.performer.data.Batches.BatchPosition;
import dev.performer.data.Batching;
import dev.performer.data.CopyTask;
import dev.performer.data.ExampleBatches;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.TokenBatch;
import org.junit.jupiter.api.Test;

class ObjectiveTest {
  private static final TokenBatch BATCH =
      new TokenBatch(
          4,
          new int[] {1, 2, 3, 27, 4, 27, 27, 27},
          new int[] {3, 1},
          new long[] {1, 2},
          BatchPosition.START);

  @Test
  void causalTargetsAreTheNextTokens() {
    LabelledBatch batch =
        new Objective.CausalLanguageModel(false).label(BATCH, ProteinVocabulary.google(), 1, 0);
    assertThat(batch.inputs()).isEqualTo(BATCH.tokens());
    assertThat(batch.weights()).containsExactly(1, 1, 0, 0, 0, 0, 0, 0);
    assertThat(batch.targets()).startsWith(2, 3);
    assertThat(batch.mask()).containsExactly(1, 1, 1, 0, 1, 0, 0, 0);
  }

  /** Of a copy task, only the second half counts. */
  @Test
  void weightsOfExamplesSayWhichTokensCount() {
    CopyTask task = new CopyTask(5, 9, 1, 3);
    Batching batching =
        new Batching(8, new BatchSize.Sequences(1), 8, false, false, false, false, 1);
    TokenBatch tokens = new ExampleBatches(task, task.vocabulary(), batching, 1).epoch(0).next();
    for (boolean shifts : new boolean[] {false, true}) {
      LabelledBatch batch =
          new Objective.CausalLanguageModel(shifts).label(tokens, task.vocabulary(), 1, 0);
      float[] expected = shifts ? new float[] {0, 0, 0, 1, 1, 0} : new float[] {0, 0, 1, 1, 0, 0};
      assertThat(batch.weights()).startsWith(expected);
      assertThat(batch.targets()[3]).isEqualTo(task.get(0).tokens()[shifts ? 3 : 4]);
    }
  }

  @Test
  void aModelThatShiftsIsAskedForTheSameTokens() {
    LabelledBatch batch =
        new Objective.CausalLanguageModel(true).label(BATCH, ProteinVocabulary.google(), 1, 0);
    assertThat(batch.weights()).containsExactly(1, 1, 1, 0, 1, 0, 0, 0);
    assertThat(batch.targets()).isEqualTo(BATCH.tokens());
  }

  @Test
  void maskedWeightsAreWhereTokensWereChosen() {
    LabelledBatch batch =
        new Objective.MaskedLanguageModel(new Masking(1, 1, 0))
            .label(BATCH, ProteinVocabulary.google(), 1, 0);
    assertThat(batch.weights()).containsExactly(1, 1, 1, 0, 1, 0, 0, 0);
    assertThat(batch.targets()).isEqualTo(BATCH.tokens());
    assertThat(batch.inputs()).containsExactly(28, 28, 28, 27, 28, 27, 27, 27);
  }
}
