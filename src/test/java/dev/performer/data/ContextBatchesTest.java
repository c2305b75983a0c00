package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ContextBatchesTest {
  /** Rows of 16, 11, 18 and 3 tokens, in two batches; every token is another number. */
  private static final Batches ROWS =
      new Batches() {
        @Override
        public String name() {
          return "numbers";
        }

        @Override
        public Vocabulary vocabulary() {
          return Vocabulary.ofIds(1000, null);
        }

        @Override
        public DataStream<TokenBatch> epoch(long epoch, long index) {
          var first = batch(0, 16, 11);
          var second = batch(100, 18, 3);
          return DataStream.of(List.of(batch(200, 5), first, second).iterator()).after(index);
        }

        private TokenBatch batch(int from, int... lengths) {
          List<TokenBatch.Row> rows = new ArrayList<>();
          for (int i = 0; i < lengths.length; i++) {
            int begin = from + 30 * i;
            int[] tokens = IntStream.range(begin, begin + lengths[i]).toArray();
            rows.add(new TokenBatch.Row(tokens, Label.NONE, i));
          }
          return TokenBatch.padded(rows, 20, 999, BatchPosition.START);
        }
      };

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 8, 16})
  void guessesAreTheSameAndHaveHalfOfTheContextBeforeThem(int context) {
    TreeSet<Integer> guessed = new TreeSet<>();
    int count = 0;
    try (var batches = new ContextBatches(ROWS, 16, context).epoch(0)) {
      while (batches.hasNext()) {
        TokenBatch batch = batches.next();
        assertThat(batch.length()).isEqualTo(context);
        float[] weights = batch.weights();
        for (int i = 0; i < weights.length; i++) {
          int column = i % context;
          assertThat(weights[i]).isEqualTo(column < context / 2 ? 0 : 1);
          if (column > 0) {
            assertThat(batch.tokens()[i]).isEqualTo(batch.tokens()[i - 1] + 1);
          }
          if (weights[i] > 0) {
            guessed.add(batch.tokens()[i]);
            count++;
          }
        }
      }
    }
    // The last half of the row of 16, and of the last 16 tokens of the row of 18.
    List<Integer> expected =
        IntStream.concat(IntStream.range(8, 16), IntStream.range(110, 118)).boxed().toList();
    assertThat(guessed).containsExactlyElementsOf(expected);
    assertThat(count).isEqualTo(expected.size());
  }

  @Test
  void aGuessThatCountsNothingCountsNothingInAnyWindow() {
    float[] own = new float[16];
    Arrays.fill(own, 0, 12, 1);
    var row = new TokenBatch.Row(new int[16], new Label.Weights(own), 0);
    TokenBatch batch = TokenBatch.padded(List.of(row), 16, 0, Batches.BatchPosition.START);
    Batches one =
        new Batches() {
          @Override
          public String name() {
            return "one";
          }

          @Override
          public Vocabulary vocabulary() {
            return ROWS.vocabulary();
          }

          @Override
          public DataStream<TokenBatch> epoch(long epoch, long index) {
            return DataStream.of(List.of(batch).iterator());
          }
        };
    try (var batches = new ContextBatches(one, 16, 4).epoch(0)) {
      double counted = 0;
      for (float weight : batches.next().weights()) {
        counted += weight;
      }
      assertThat(counted).isEqualTo(4);
    }
  }

  @Test
  void refusesContextsThatDoNotCoverTheHalf() {
    assertThatThrownBy(() -> new ContextBatches(ROWS, 16, 3)).hasMessageContaining("even");
    assertThatThrownBy(() -> new ContextBatches(ROWS, 16, 6)).hasMessageContaining("divide");
  }
}
