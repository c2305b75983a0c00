package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class SequenceBatchesTest {
  private static final Vocabulary VOCABULARY = ProteinVocabulary.google();
  private static final Tokenizer LETTERS = new LetterTokenizer(VOCABULARY);

  @Property(tries = 60)
  void everySequenceIsInAnEpochOnceAndWithinTheBudget(
      @ForAll @IntRange(min = 1, max = 120) int count,
      @ForAll @IntRange(min = 1, max = 40) int window,
      @ForAll @IntRange(min = 1, max = 70) int bucket,
      @ForAll @IntRange(min = 1, max = 64) int length,
      @ForAll boolean shuffle,
      @ForAll long seed) {
    int budget = 200;
    Batching batching =
        new Batching(
            length, new BatchSize.Tokens(budget), bucket, false, true, shuffle, shuffle, window);
    List<String> sequences = randomSequences(count, 90, seed);
    ExampleBatches batches = ExampleBatches.of(source(sequences), LETTERS, batching, seed);

    List<String> expected = new ArrayList<>();
    List<String> found = new ArrayList<>();
    for (TokenBatch batch : list(batches.epoch(3))) {
      assertThat(batch.length()).isLessThanOrEqualTo(length);
      assertThat(batch.rows() == 1 || batch.rows() * batch.length() <= budget).isTrue();
      assertThat(batch.length() % bucket == 0 || batch.length() == length).isTrue();
      int[] mask = batch.mask();
      for (int row = 0; row < batch.rows(); row++) {
        int from = row * batch.length();
        int n = batch.lengths()[row];
        found.add(VOCABULARY.decode(Arrays.copyOfRange(batch.tokens(), from, from + n)));
        for (int i = 0; i < batch.length(); i++) {
          assertThat(mask[from + i]).isEqualTo(i < n ? 1 : 0);
          assertThat(i < n || batch.tokens()[from + i] == 27).isTrue();
        }
      }
    }
    for (String sequence : sequences) {
      String whole = sequence + ">";
      expected.add(whole.substring(0, Math.min(length, whole.length())));
    }
    if (shuffle) {
      assertThat(found)
          .extracting(String::length)
          .containsExactlyInAnyOrderElementsOf(expected.stream().map(String::length).toList());
      for (String crop : found) {
        assertThat(sequences).anyMatch(sequence -> (sequence + ">").contains(crop));
      }
    } else {
      assertThat(found).containsExactlyInAnyOrderElementsOf(expected);
    }
  }

  @Property(tries = 30)
  void resumingAnywhereGivesTheSameBatches(
      @ForAll @IntRange(min = 0, max = 40) int skipped, @ForAll long seed) {
    Batching batching = new Batching(48, new BatchSize.Tokens(200), 16, true, true, true, true, 7);
    SequenceSource source = source(randomSequences(40, 90, 5));
    try (var whole = ExampleBatches.of(source, LETTERS, batching, seed).from(BatchPosition.START)) {
      BatchPosition position = BatchPosition.START;
      for (int i = 0; i < skipped; i++) {
        position = whole.next().position().next();
      }
      try (var resumed = ExampleBatches.of(source, LETTERS, batching, seed).from(position)) {
        for (int i = 0; i < 30; i++) {
          assertSame(resumed.next(), whole.next());
        }
      }
    }
  }

  @Test
  void epochsDifferInOrderAndCrops() {
    SequenceSource source = source(randomSequences(50, 200, 1));
    Batching batching = Batching.training(64, 640);
    ExampleBatches batches = ExampleBatches.of(source, LETTERS, batching, 7);
    assertThat(list(batches.epoch(0)).get(0).tokens())
        .isNotEqualTo(list(batches.epoch(1)).get(0).tokens());
    assertThat(list(batches.epoch(0)).get(0).tokens())
        .isNotEqualTo(
            list(ExampleBatches.of(source, LETTERS, batching, 8).epoch(0)).get(0).tokens());
  }

  @Test
  void fixedLengthGivesOneShapeAndFixedSizeFullBatches() {
    Batching batching =
        Batching.training(64, 640).withFixedLength(80).withSize(new BatchSize.Sequences(8));
    List<TokenBatch> batches =
        list(ExampleBatches.of(source(randomSequences(50, 200, 1)), LETTERS, batching, 7).epoch(0));
    assertThat(batches).allMatch(batch -> batch.length() == 80);
    assertThat(batches.stream().mapToInt(TokenBatch::rows).sorted().toArray())
        .containsExactly(2, 8, 8, 8, 8, 8, 8);
  }

  @Test
  void cropsASequenceOfOneHundredThousandLetters() {
    SequenceSource source = source(List.of("ACDEFGHIKLMNPQRSTVWY".repeat(5000), "MK"));
    Batching training =
        new Batching(512, new BatchSize.Tokens(1024), 64, true, true, true, true, 8192);
    TokenBatch crop = list(ExampleBatches.of(source, LETTERS, training, 3).epoch(0)).get(0);
    assertThat(crop.length()).isEqualTo(512);
    List<TokenBatch> whole =
        list(ExampleBatches.of(source, LETTERS, training.forEvaluation(), 3).epoch(0));
    assertThat(whole.get(0).tokens()).startsWith(25, 0, 1, 2);
    assertThat(whole.get(0).lengths()).contains(512, 4);
  }

  @Test
  void skipsEmptySequencesAndRefusesToTrainOnNothingElse() {
    SequenceSource mixed = source(List.of("", "--", "MK", ""));
    assertThat(list(ExampleBatches.of(mixed, LETTERS, Batching.training(8, 8), 1).epoch(0)))
        .hasSize(1);
    SequenceSource empty = source(List.of("", "-.-"));
    try (var stream =
        ExampleBatches.of(empty, LETTERS, Batching.training(8, 8), 1).from(BatchPosition.START)) {
      assertThatThrownBy(stream::next)
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("nothing to train on");
    }
  }

  @Test
  void refusesEndsThatTheVocabularyLacks() {
    assertThatThrownBy(
            () ->
                ExampleBatches.of(
                    source(List.of("MK")),
                    new LetterTokenizer(ProteinVocabulary.padFirst()),
                    new Batching(8, new BatchSize.Tokens(8), 64, false, true, true, true, 8192),
                    1))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no end token");
  }

  @Test
  void reportsWhatItReplacedOnce() {
    ExampleBatches batches =
        ExampleBatches.of(source(List.of("MJK")), LETTERS, Batching.training(8, 8), 1);
    assertThat(batches.reportOnce()).isEmpty();
    list(batches.epoch(0));
    assertThat(batches.reportOnce().orElseThrow()).contains("'J' × 1");
    assertThat(batches.reportOnce()).isEmpty();
  }

  @Test
  void paddingOfTheShippedProteinsIsSmall() {
    ExampleBatches batches =
        ExampleBatches.of(
            SequenceSource.fasta(Path.of("training/data/train.fasta.gz")),
            LETTERS,
            Batching.training(512, 16384),
            1);
    long real = 0;
    long all = 0;
    int rows = 0;
    for (TokenBatch batch : list(batches.epoch(0))) {
      real += Arrays.stream(batch.lengths()).sum();
      all += batch.tokens().length;
      rows += batch.rows();
      assertThat(batch.tokens().length).isLessThanOrEqualTo(16384);
    }
    assertThat(rows).isEqualTo(4000);
    assertThat(real).isGreaterThan(all * 88 / 100);
  }

  private static void assertSame(TokenBatch actual, TokenBatch expected) {
    assertThat(actual.position()).isEqualTo(expected.position());
    assertThat(actual.tokens()).isEqualTo(expected.tokens());
    assertThat(actual.lengths()).isEqualTo(expected.lengths());
    assertThat(actual.keys()).isEqualTo(expected.keys());
  }

  private static List<TokenBatch> list(DataStream<TokenBatch> stream) {
    List<TokenBatch> result = new ArrayList<>();
    try (stream) {
      stream.forEachRemaining(result::add);
    }
    return result;
  }

  private static SequenceSource source(List<String> sequences) {
    return SequenceSource.of(
        sequences.stream().map(residues -> new ProteinSequence("p", "", residues)).toList());
  }

  private static List<String> randomSequences(int count, int longest, long seed) {
    Random random = new Random(seed);
    List<String> result = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      StringBuilder text = new StringBuilder();
      int length = 1 + random.nextInt(longest);
      for (int j = 0; j < length; j++) {
        text.append("ACDEFGHIKLMNPQRSTVWY".charAt(random.nextInt(20)));
      }
      result.add(text.toString());
    }
    return result;
  }
}
