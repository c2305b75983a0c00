package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.BatchPosition;
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
