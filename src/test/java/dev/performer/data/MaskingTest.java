package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import java.util.Arrays;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MaskingTest {
  private static final Vocabulary VOCABULARY = ProteinVocabulary.google();

  @ParameterizedTest
  @CsvSource({"0.15, 0.1, 0.8", "0.15, 0.8, 0.1", "0.5, 0, 1", "1, 1, 0"})
  void proportionsAreAsSet(double rate, double mask, double random) {
    TokenBatch batch = batch(1000, 100, 100);
    var masked = new Masking(rate, mask, random).apply(batch, VOCABULARY, 5, 0);
    int chosen = 0;
    int masks = 0;
    int kept = 0;
    for (int i = 0; i < batch.tokens().length; i++) {
      if (masked.chosen()[i]) {
        chosen++;
        masks += masked.inputs()[i] == 28 ? 1 : 0;
        kept += masked.inputs()[i] == batch.tokens()[i] ? 1 : 0;
        assertThat(masked.inputs()[i] == 28 || masked.inputs()[i] < 25).isTrue();
      } else {
        assertThat(masked.inputs()[i]).isEqualTo(batch.tokens()[i]);
      }
    }
    assertThat(chosen / 100_000.0).isCloseTo(rate, within(0.005));
    assertThat(masks / (double) chosen).isCloseTo(mask, within(0.015));
    // A random token is the right one in one of 25 cases.
    assertThat(kept / (double) chosen).isCloseTo(1 - mask - random * 24 / 25, within(0.015));
  }

  @Test
  void sameSeedAndStepGiveTheSameAndOthersDoNot() {
    TokenBatch batch = batch(4, 50, 50);
    var first = Masking.PROTEIN_LM.apply(batch, VOCABULARY, 5, 7);
    assertThat(Masking.PROTEIN_LM.apply(batch, VOCABULARY, 5, 7).inputs())
        .isEqualTo(first.inputs());
    assertThat(Masking.PROTEIN_LM.apply(batch, VOCABULARY, 5, 8).inputs())
        .isNotEqualTo(first.inputs());
    assertThat(Masking.PROTEIN_LM.apply(batch, VOCABULARY, 6, 7).inputs())
        .isNotEqualTo(first.inputs());
  }

  @Test
  void aSequenceIsMaskedAlikeInBatchesOfAnySize() {
    TokenBatch batch = batch(3, 60, 40);
    TokenBatch alone =
        new TokenBatch(
            40,
            Arrays.copyOfRange(batch.tokens(), 60, 100),
            new int[] {40},
            new long[] {batch.keys()[1]},
            BatchPosition.START);
    var together = Masking.BERT.apply(batch, VOCABULARY, 5, 0);
    var single = Masking.BERT.apply(alone, VOCABULARY, 5, 0);
    assertThat(single.inputs()).isEqualTo(Arrays.copyOfRange(together.inputs(), 60, 100));
    assertThat(single.chosen()).isEqualTo(Arrays.copyOfRange(together.chosen(), 60, 100));
  }

  @Test
  void paddingAndEndsAreNeverChosenAndOneTokenAlwaysIs() {
    TokenBatch batch = batch(50, 20, 10);
    for (int row = 0; row < 50; row++) {
      batch.tokens()[row * 20] = 25;
      batch.tokens()[row * 20 + 9] = 26;
    }
    var all = new Masking(1, 1, 0).apply(batch, VOCABULARY, 1, 0);
    for (int i = 0; i < all.chosen().length; i++) {
      int column = i % 20;
      assertThat(all.chosen()[i]).isEqualTo(column > 0 && column < 9);
    }
    for (long step = 0; step < 50; step++) {
      var few = new Masking(1e-9, 1, 0).apply(batch(1, 20, 10), VOCABULARY, 1, step);
      int chosen = 0;
      for (int i = 0; i < 20; i++) {
        if (few.chosen()[i]) {
          chosen++;
          assertThat(i).isLessThan(10);
          assertThat(few.inputs()[i]).isEqualTo(28);
        }
      }
      assertThat(chosen).isEqualTo(1);
    }
  }

  @Test
  void refusesToMaskWithoutAMaskToken() {
    OptionalInt none = OptionalInt.empty();
    Vocabulary bare =
        new Vocabulary(ProteinVocabulary.letters("ACDE"), none, none, none, none, none);
    TokenBatch batch =
        new TokenBatch(2, new int[] {0, 1}, new int[] {2}, new long[] {1}, BatchPosition.START);
    assertThatThrownBy(() -> Masking.BERT.apply(batch, bare, 1, 0))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no mask token");
    assertThat(new Masking(1, 0, 1).apply(batch, bare, 1, 0).chosen()).containsOnly(true);
  }

  @Test
  void refusesSharesThatMakeNoSense() {
    assertThatThrownBy(() -> new Masking(0, 1, 0)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Masking(0.1, 0.6, 0.6))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Masking(Double.NaN, 0.5, 0.5))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static TokenBatch batch(int rows, int length, int real) {
    int[] tokens = new int[rows * length];
    Arrays.fill(tokens, 27);
    int[] lengths = new int[rows];
    long[] keys = new long[rows];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < real; i++) {
        tokens[row * length + i] = (row + i) % 20;
      }
      lengths[row] = real;
      keys[row] = 100 + row;
    }
    return new TokenBatch(length, tokens, lengths, keys, BatchPosition.START);
  }
}
