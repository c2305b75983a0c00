package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class SpanCorruptionTest {
  /** The sequence that was corrupted: each sentinel of the inputs, as the targets explain it. */
  private static int[] restored(SpanCorruption corruption, SpanCorruption.Corrupted corrupted) {
    List<Integer> tokens = new ArrayList<>();
    int first = corruption.firstSentinel();
    for (int token : corrupted.inputs()) {
      if (token < first) {
        tokens.add(token);
        continue;
      }
      int[] targets = corrupted.targets();
      int at =
          IntStream.range(0, targets.length)
              .filter(i -> targets[i] == token)
              .findFirst()
              .orElseThrow();
      for (at++; at < targets.length && targets[at] < first; at++) {
        tokens.add(targets[at]);
      }
    }
    return tokens.stream().mapToInt(Integer::intValue).toArray();
  }

  @Property(tries = 400)
  void restoringGivesTheSequenceBack(
      @ForAll @IntRange(min = 0, max = 300) int length,
      @ForAll @DoubleRange(min = 0.01, max = 0.99) double rate,
      @ForAll @DoubleRange(min = 1, max = 12) double meanSpan,
      @ForAll @IntRange(min = 2, max = 100) int sentinels,
      @ForAll long seed) {
    SpanCorruption corruption = new SpanCorruption(rate, meanSpan, 1000, sentinels);
    int[] tokens = new SplittableRandom(seed).ints(length, 0, 1000).toArray();
    var corrupted = corruption.corrupt(tokens, new SplittableRandom(seed + 1));
    assertThat(restored(corruption, corrupted)).isEqualTo(tokens);

    // Sentinels come in order, one more in the targets, and no token is in both.
    int[] inSentinels = sentinels(corrupted.inputs());
    int[] outSentinels = sentinels(corrupted.targets());
    assertThat(inSentinels).isEqualTo(IntStream.range(1000, 1000 + inSentinels.length).toArray());
    assertThat(outSentinels).isEqualTo(IntStream.range(1000, 1001 + inSentinels.length).toArray());
    assertThat(outSentinels.length).isLessThanOrEqualTo(sentinels);
    assertThat(corrupted.inputs().length + corrupted.targets().length)
        .isEqualTo(length + inSentinels.length + outSentinels.length);
    if (length > 1) {
      long noise = Math.min(Math.max(Math.round(length * rate), 1), length - 1);
      assertThat(corrupted.targets().length - outSentinels.length).isEqualTo((int) noise);
      assertThat(corrupted.inputs()[0]).isLessThan(1000);
      assertThat(corrupted.inputs()[corrupted.inputs().length - 1]).isGreaterThanOrEqualTo(1000);
    }
  }

  /** T5 at length 512: 77 tokens in 26 spans, as its own code counts. */
  @Test
  void rateAndSpansAreT5s() {
    SpanCorruption t5 = new SpanCorruption(0.15, 3, 1000, 100);
    int[] tokens = new int[512];
    double noise = 0;
    int spans = 0;
    int[] lengths = new int[80];
    int draws = 2000;
    for (int draw = 0; draw < draws; draw++) {
      var corrupted = t5.corrupt(tokens, new SplittableRandom(draw));
      int count = sentinels(corrupted.inputs()).length;
      spans += count;
      noise += corrupted.targets().length - count - 1;
      int run = 0;
      for (int token : corrupted.targets()) {
        if (token < 1000) {
          run++;
        } else if (run > 0) {
          lengths[run]++;
          run = 0;
        }
      }
    }
    assertThat(noise / draws).isEqualTo(77);
    assertThat(spans / draws).isEqualTo(26);
    // Parts of a random composition of 77 in 26 have 1 token with probability 25/76.
    assertThat(lengths[1] / (26.0 * draws)).isBetween(0.32, 0.338);
  }

  /** Where spans lie: every place but the first is about equally often corrupted. */
  @Test
  void spansAreEverywhere() {
    SpanCorruption t5 = new SpanCorruption(0.25, 2, 1000, 100);
    int[] tokens = IntStream.range(0, 40).toArray();
    int[] chosen = new int[40];
    for (int draw = 0; draw < 4000; draw++) {
      for (int token : t5.corrupt(tokens, new SplittableRandom(draw)).targets()) {
        if (token < 1000) {
          chosen[token]++;
        }
      }
    }
    assertThat(chosen[0]).isZero();
    assertThat(chosen[39]).isEqualTo(4000);
    assertThat(Arrays.stream(chosen, 8, 32)).allMatch(n -> n > 700 && n < 1300);
  }

  @Test
  void aBatchIsCorruptedRowByRowWhateverItsCompany() {
    Vocabulary vocabulary = SpanCorruption.withSentinels(ProteinVocabulary.google(), 20);
    SpanCorruption corruption = SpanCorruption.of(vocabulary);
    assertThat(corruption.firstSentinel()).isEqualTo(29);
    assertThat(corruption.sentinels()).isEqualTo(20);
    int[] a = IntStream.range(0, 60).map(i -> i % 29).toArray();
    int[] tokens = Arrays.copyOf(a, 120);
    System.arraycopy(new int[] {5, 6, 7}, 0, tokens, 60, 3);
    TokenBatch both =
        new TokenBatch(60, tokens, new int[] {60, 3}, new long[] {8, 9}, BatchPosition.START);
    TokenBatch alone = new TokenBatch(60, a, new int[] {60}, new long[] {8}, BatchPosition.START);
    TokenBatch corrupted = corruption.apply(both, 27, 1, 4);
    TokenBatch expected = corruption.apply(alone, 27, 1, 4);
    int n = expected.lengths()[0];
    assertThat(Arrays.copyOf(corrupted.tokens(), n)).isEqualTo(Arrays.copyOf(expected.tokens(), n));
    assertThat(((Label.Target) corrupted.labels().get(0)).tokens()).hasSize(9 + 3 + 1);
    TokenBatch targets = corrupted.targets(16, 27);
    for (int row = 0; row < 2; row++) {
      int[] inputs =
          Arrays.copyOfRange(
              corrupted.tokens(),
              row * corrupted.length(),
              row * corrupted.length() + corrupted.lengths()[row]);
      int[] target =
          Arrays.copyOfRange(targets.tokens(), row * 16, row * 16 + targets.lengths()[row]);
      assertThat(restored(corruption, new SpanCorruption.Corrupted(inputs, target)))
          .isEqualTo(row == 0 ? a : new int[] {5, 6, 7});
    }
    assertThat(corruption.apply(alone, 27, 1, 6).tokens()).isNotEqualTo(expected.tokens());
  }

  @Test
  void missingSentinelsAreNamed() {
    assertThatThrownBy(() -> SpanCorruption.of(ProteinVocabulary.google()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no sentinels");
    SpanCorruption corruption = new SpanCorruption(0.15, 3, 100, 5);
    assertThat(List.of(corruption.corrupt(new int[] {7}, new SplittableRandom(1)).inputs()))
        .containsExactly(new int[] {7});
  }

  private static int[] sentinels(int[] tokens) {
    return Arrays.stream(tokens).filter(token -> token >= 1000).toArray();
  }
}
