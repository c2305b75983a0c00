package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TokenSchedulerTest {
  /** Foretells the last token plus 1; NaN behind token 7, and no run at all behind token 8. */
  private static final PrefixLogits COUNTS =
      new PrefixLogits() {
        @Override
        public int vocabularySize() {
          return 10;
        }

        @Override
        public OptionalInt positions() {
          return OptionalInt.empty();
        }

        @Override
        public boolean startsItself() {
          return false;
        }

        @Override
        public float[] after(List<int[]> texts) {
          float[] logits = new float[10 * texts.size()];
          for (int r = 0; r < texts.size(); r++) {
            int last = texts.get(r)[texts.get(r).length - 1];
            if (last == 8) {
              throw new PerformerException("the model does not run");
            }
            logits[10 * r + (last + 1) % 10] = last == 7 ? Float.NaN : 5;
          }
          return logits;
        }
      };

  private static final class Heard implements TokenListener {
    private final List<Integer> tokens = new ArrayList<>();
    private final List<Double> logs = new ArrayList<>();
    private End end;
    private RuntimeException failure;

    @Override
    public boolean token(Scored token) {
      tokens.add(token.id());
      logs.add(token.logProbability());
      return true;
    }

    @Override
    public void done(End how, int cached, TextState state) {
      end = how;
    }

    @Override
    public void failed(RuntimeException why) {
      failure = why;
    }
  }

  private static Heard add(TokenScheduler scheduler, int count, int... prompt) {
    Heard heard = new Heard();
    var choice = Sampling.mostLikely().begin(0, 1);
    scheduler.add(
        new TokenRequest(
            prompt, null, count, choice, 0, OptionalInt.of(6), Set.of(), 0, false, false),
        heard);
    return heard;
  }

  @Test
  void aFailureIsThatOfItsTextOnly() {
    try (TokenScheduler scheduler = GenerationSession.of(COUNTS).scheduler(4, 0)) {
      Heard counts = add(scheduler, 3, 0, 1);
      Heard nan = add(scheduler, 3, 7);
      Heard ends = add(scheduler, 9, 2);
      while (scheduler.size() > 0) {
        scheduler.turn();
      }
      assertThat(counts.tokens).containsExactly(2, 3, 4);
      assertThat(counts.end).isEqualTo(TokenListener.End.LENGTH);
      double log = 5 - Math.log(9 + Math.exp(5));
      assertThat(counts.logs).allSatisfy(found -> assertThat(found).isEqualTo(log, within(1e-9)));
      assertThat(ends.tokens).containsExactly(3, 4, 5);
      assertThat(ends.end).isEqualTo(TokenListener.End.TOKEN);
      assertThat(nan.failure).hasMessageContaining("NaN");
      // A run that fails ends those in it, and the scheduler goes on.
      Heard broken = add(scheduler, 3, 8);
      while (scheduler.size() > 0) {
        scheduler.turn();
      }
      assertThat(broken.failure).hasMessageContaining("does not run");
      Heard after = add(scheduler, 2, 3);
      Heard left = add(scheduler, 2, 4);
      scheduler.turn();
      scheduler.close();
      assertThat(after.tokens).startsWith(4);
      assertThat(left.end != null || left.failure != null).isTrue();
    }
  }

  @Test
  void likeliestTokensComeInOrder() {
    Random random = new Random(3);
    for (int round = 0; round < 50; round++) {
      int size = 1 + random.nextInt(60);
      double[] scores = random.doubles(size).map(x -> Math.floor(8 * x)).toArray();
      var order = new LikeliestFirst(IntStream.range(0, size).toArray(), scores);
      List<Integer> found = new ArrayList<>();
      IntStream.range(0, size).forEach(i -> found.add(order.next()));
      List<Integer> expected =
          IntStream.range(0, size)
              .boxed()
              .sorted(
                  (a, b) -> scores[a] != scores[b] ? Double.compare(scores[b], scores[a]) : a - b)
              .toList();
      assertThat(found).isEqualTo(expected);
    }
  }

  @Test
  void penaltiesCountWhatWasChosenOnly() {
    float[] logits = {2, 1.5f, 0};
    var choice = Sampling.mostLikely().withPenalties(0.4, 0.3).begin(0, 1);
    List<Integer> before = new ArrayList<>(List.of(0, 0, 0, 0)); // the prompt
    List<Integer> chosen = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      int token = choice.next(0, logits, before, Set.of());
      before.add(token);
      chosen.add(token);
    }
    // 2 − 0.7 < 1.5; 1.5 − 0.7 < 1.3; 1.3 − 0.3 > 0.8; 0.7 < 0.8; 0.5 < 0.7; 0.4 < 0.5
    assertThat(chosen).containsExactly(0, 1, 0, 0, 1, 0);
    var biased = Sampling.mostLikely().withLogitBias(java.util.Map.of(2, 3.0, 99, 1.0)).begin(0, 1);
    assertThat(biased.next(0, logits, before, Set.of())).isEqualTo(2);
  }
}
