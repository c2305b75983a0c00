package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.Set;
import java.util.function.LongUnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

class ExampleBatchesTest {
  private static final int SEPARATOR = 999;
  private static final Vocabulary VOCABULARY = vocabulary(1001);

  @Property(tries = 100)
  void aPermutationHasEachNumberOnce(
      @ForAll @LongRange(min = 0, max = 3000) long size, @ForAll long key) {
    LongUnaryOperator order = Seeds.permutation(size, key);
    assertThat(LongStream.range(0, size).map(order).sorted().toArray())
        .isEqualTo(LongStream.range(0, size).toArray());
  }

  @Test
  void aPermutationOfMoreThanMemoryStaysInside() {
    LongUnaryOperator order = Seeds.permutation(1L << 50, 7);
    Set<Long> seen = new HashSet<>();
    for (long i = (1L << 50) - 10_000; i < 1L << 50; i++) {
      long place = order.applyAsLong(i);
      assertThat(place).isBetween(0L, (1L << 50) - 1);
      assertThat(seen.add(place)).isTrue();
    }
  }

  /** Every number at every place about equally often, over many keys; chi-squared of 49 cells. */
  @Test
  void permutationsAreUniform() {
    int[][] counts = new int[7][7];
    int keys = 7000;
    for (int key = 0; key < keys; key++) {
      LongUnaryOperator order = Seeds.permutation(7, key);
      for (int i = 0; i < 7; i++) {
        counts[i][(int) order.applyAsLong(i)]++;
      }
    }
    double chi = 0;
    for (int[] row : counts) {
      for (int count : row) {
        chi += Math.pow(count - keys / 7.0, 2) / (keys / 7.0);
      }
    }
    assertThat(chi).isLessThan(70); // 36 degrees of freedom: 99.9 % are below 68
  }

  @Property(tries = 150)
  void everyExampleIsInAnEpochOnce(
      @ForAll @IntRange(min = 1, max = 90) int count,
      @ForAll @IntRange(min = 1, max = 40) int bucket,
      @ForAll @IntRange(min = 1, max = 50) int window,
      @ForAll boolean indexed,
      @ForAll boolean shuffle,
      @ForAll long seed) {
    Batching batching = batching(40, 130, bucket, shuffle, window);
    List<Example> examples = examples(count, 30, seed);
    Batches batches = new ExampleBatches(source(examples, indexed), VOCABULARY, batching, seed);
    assertThat(tokens(list(batches.epoch(2))))
        .containsExactlyInAnyOrderElementsOf(
            examples.stream().map(e -> text(e.tokens())).filter(t -> !t.equals("[]")).toList());
  }

  @Property(tries = 150)
  void packedRowsHoldEveryExampleOnce(
      @ForAll @IntRange(min = 1, max = 60) int count,
      @ForAll @IntRange(min = 2, max = 50) int length,
      @ForAll boolean indexed,
      @ForAll boolean shuffle,
      @ForAll Packing.Mode mode,
      @ForAll long seed) {
    Batching batching = batching(length, 4 * length, length, shuffle, 8);
    List<Example> examples =
        examples(count, 30, seed).stream().filter(e -> e.tokens().length > 0).toList();
    Packing packing = new Packing(length, OptionalInt.of(SEPARATOR), mode);
    List<TokenBatch> batches =
        list(
            new ExampleBatches(
                    source(examples, indexed), VOCABULARY, batching, Optional.of(packing), seed)
                .epoch(0));

    // Rows may be in any order; an example that is cut in two goes on in some other row.
    List<int[]> rows = rows(batches);
    long total = examples.stream().mapToLong(e -> e.tokens().length + 1).sum();
    assertThat(rows.stream().mapToLong(row -> row.length).sum()).isEqualTo(total);
    int[] all = rows.stream().flatMapToInt(Arrays::stream).sorted().toArray();
    int[] expected =
        IntStream.concat(
                examples.stream().flatMapToInt(e -> Arrays.stream(e.tokens())),
                IntStream.generate(() -> SEPARATOR).limit(examples.size()))
            .sorted()
            .toArray();
    assertThat(all).isEqualTo(expected);
    if (mode == Packing.Mode.SPLIT) {
      assertThat(rows.stream().filter(row -> row.length < length).count()).isLessThanOrEqualTo(1);
    } else if (length > 31) {
      List<String> whole = new ArrayList<>();
      rows.forEach(row -> whole.addAll(split(row)));
      assertThat(whole)
          .containsExactlyInAnyOrderElementsOf(
              examples.stream().map(e -> text(e.tokens())).toList());
    }
  }

  @Property(tries = 120)
  void resumingAnywhereGivesTheSameBatches(
      @ForAll @IntRange(min = 0, max = 60) int skipped,
      @ForAll @IntRange(min = 1, max = 50) int bucket,
      @ForAll boolean indexed,
      @ForAll boolean packed,
      @ForAll boolean shuffle,
      @ForAll long seed) {
    List<Example> examples = examples(50, 40, seed);
    Optional<Packing> packing =
        packed
            ? Optional.of(new Packing(48, OptionalInt.of(SEPARATOR), Packing.Mode.SPLIT))
            : Optional.empty();
    Batching batching = batching(32, 128, bucket, shuffle, 9);
    ExampleSource source = source(examples, indexed);
    BatchPosition position = BatchPosition.START;
    try (var whole =
        new ExampleBatches(source, VOCABULARY, batching, packing, seed).from(position)) {
      for (int i = 0; i < skipped; i++) {
        position = whole.next().position().next();
      }
      try (var resumed =
          new ExampleBatches(source, VOCABULARY, batching, packing, seed).from(position)) {
        for (int i = 0; i < 20; i++) {
          assertSame(resumed.next(), whole.next());
        }
      }
    }
  }

  @Property(tries = 60)
  void bucketedOrderIsTheSameEachTimeAndAnotherInTheNextEpoch(
      @ForAll @IntRange(min = 1, max = 16) int bucket, @ForAll boolean indexed, @ForAll long seed) {
    Batching batching = batching(40, 160, bucket, true, 30);
    List<Example> examples = examples(80, 30, 11);
    ExampleBatches batches =
        new ExampleBatches(source(examples, indexed), VOCABULARY, batching, seed);
    List<String> first = tokens(list(batches.epoch(0)));
    assertThat(tokens(list(batches.epoch(0)))).isEqualTo(first);
    assertThat(tokens(list(batches.epoch(1)))).isNotEqualTo(first);
    for (TokenBatch batch : list(batches.epoch(0))) {
      assertThat(batch.length() % bucket == 0 || batch.length() == 40).isTrue();
      assertThat(batch.rows() == 1 || batch.rows() * batch.length() <= 160).isTrue();
    }
  }

  @Property(tries = 60)
  void labelsStayWithTheirExamples(
      @ForAll @IntRange(min = 1, max = 50) int bucket, @ForAll boolean indexed, @ForAll long seed) {
    List<Example> examples = new ArrayList<>();
    for (int i = 1; i <= 60; i++) {
      int[] tokens = new int[1 + i % 9];
      Arrays.fill(tokens, i);
      float[] weights = new float[tokens.length];
      Arrays.fill(weights, i);
      Label label =
          switch (i % 4) {
            case 0 -> new Label.Weights(weights);
            case 1 -> new Label.Category(i);
            case 2 -> new Label.Value(i);
            default -> new Label.Target(tokens);
          };
      examples.add(new Example(tokens, label));
    }
    Batching batching = batching(40, 160, bucket, true, 7);
    int rows = 0;
    for (TokenBatch batch :
        list(new ExampleBatches(source(examples, indexed), VOCABULARY, batching, seed).epoch(0))) {
      for (int row = 0; row < batch.rows(); row++, rows++) {
        int first = batch.tokens()[row * batch.length()];
        float found = number(batch.labels().get(row));
        assertThat(found).isEqualTo(first);
      }
    }
    assertThat(rows).isEqualTo(60);
  }

  @Test
  void weightsAreCroppedWithTheirTokensAndEndsCountNothing() {
    int[] tokens = IntStream.range(0, 50).toArray();
    float[] weights = new float[50];
    for (int i = 0; i < 50; i++) {
      weights[i] = i + 1000;
    }
    ExampleSource source =
        ExampleSource.of("numbers", List.of(new Example(tokens, new Label.Weights(weights))));
    Batching batching = new Batching(20, new BatchSize.Sequences(1), 20, true, true, true, true, 4);
    Set<Integer> starts = new HashSet<>();
    for (int epoch = 0; epoch < 200; epoch++) {
      TokenBatch batch = new ExampleBatches(source, VOCABULARY, batching, 3).epoch(epoch).next();
      float[] cropped = batch.weights();
      for (int i = 0; i < 20; i++) {
        int token = batch.tokens()[i];
        assertThat(cropped[i]).isEqualTo(token < 50 ? token + 1000 : 0);
      }
      starts.add(batch.tokens()[0]);
    }
    assertThat(starts).hasSizeGreaterThan(20).contains(VOCABULARY.bos().getAsInt());
  }

  @Test
  void anyBatchOfALargeSourceIsHadAtOnce() {
    CopyTask task = new CopyTask(9, 4, 1L << 40, 1);
    Batching batching =
        new Batching(9, new BatchSize.Sequences(3), 9, false, false, true, false, 4);
    ExampleBatches batches = new ExampleBatches(task, task.vocabulary(), batching, 5);
    long last = ((1L << 40) + 2) / 3 - 1;
    try (var end = batches.epoch(0, last)) {
      assertThat(end.next().rows()).isEqualTo(1); // 2^40 = 1 mod 3
      assertThat(end.hasNext()).isFalse();
    }
  }

  @Test
  void heldOutPartsAreTheWholeAndNumberedOnesAgreeWithStreams() {
    for (int count = 1; count < 30; count++) {
      for (int every = 2; every < 6; every++) {
        List<Example> examples = examples(count, 5, count);
        HeldOut<ExampleSource> numbered = HeldOut.of(source(examples, true), every);
        HeldOut<ExampleSource> streamed = HeldOut.of(source(examples, false), every);
        List<String> train = texts(numbered.train());
        List<String> validation = texts(numbered.validation());
        assertThat(train).isEqualTo(texts(streamed.train()));
        assertThat(validation).isEqualTo(texts(streamed.validation()));
        List<String> all = new ArrayList<>(train);
        all.addAll(validation);
        assertThat(all)
            .containsExactlyInAnyOrderElementsOf(
                examples.stream().map(e -> text(e.tokens())).toList());
      }
    }
  }

  @Test
  void nothingUsableIsAnErrorAndNoEndlessLoop() {
    for (boolean indexed : new boolean[] {true, false}) {
      for (List<Example> none :
          List.<List<Example>>of(List.of(), List.of(Example.of(), Example.of()))) {
        for (int bucket : new int[] {4, 40}) {
          Batches batches =
              new ExampleBatches(
                  source(none, indexed), VOCABULARY, batching(40, 80, bucket, true, 5), 1);
          try (var stream = batches.from(BatchPosition.START)) {
            assertThatThrownBy(stream::next)
                .isInstanceOf(PerformerException.class)
                .hasMessageContaining("the test's examples holds no sequence with tokens");
          }
        }
      }
    }
  }

  @Test
  void labelsThatAreMissingOrCannotBePackedAreNamed() {
    ExampleSource labelled =
        ExampleSource.of("L", List.of(new Example(new int[] {1}, new Label.Category(1))));
    Batching batching = batching(4, 8, 4, false, 5);
    TokenBatch batch = new ExampleBatches(labelled, VOCABULARY, batching, 1).epoch(0).next();
    assertThat(batch.categories()).containsExactly(1);
    assertThatThrownBy(batch::values).isInstanceOf(PerformerException.class);
    assertThatThrownBy(() -> batch.targets(3, 0)).isInstanceOf(PerformerException.class);
    Packing packing = new Packing(4, OptionalInt.empty(), Packing.Mode.WHOLE);
    try (var packed =
        new ExampleBatches(labelled, VOCABULARY, batching, Optional.of(packing), 1).epoch(0)) {
      assertThatThrownBy(packed::next)
          .isInstanceOf(PerformerException.class)
          .hasMessage("L: examples with labels cannot be packed; leave packing out");
    }
  }

  private static Batching batching(
      int length, int tokens, int bucket, boolean shuffle, int window) {
    return new Batching(
        length, new BatchSize.Tokens(tokens), bucket, false, false, shuffle, shuffle, window);
  }

  private static Vocabulary vocabulary(int size) {
    List<String> tokens = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      tokens.add("t" + i);
    }
    tokens.addAll(List.of("<bos>", "<eos>", "<pad>"));
    return Vocabulary.of(tokens, "<pad>", null, "<bos>", "<eos>", null);
  }

  /** Some of them empty. */
  private static List<Example> examples(int count, int longest, long seed) {
    Random random = new Random(seed);
    List<Example> examples = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      examples.add(Example.of(random.ints(random.nextInt(longest + 1), 0, SEPARATOR).toArray()));
    }
    return examples;
  }

  private static ExampleSource source(List<Example> examples, boolean indexed) {
    IndexedExamples numbered = ExampleSource.of("the test's examples", examples);
    if (indexed) {
      return numbered;
    }
    return new ExampleSource() {
      @Override
      public String name() {
        return numbered.name();
      }

      @Override
      public DataStream<Example> open() {
        return numbered.open();
      }
    };
  }

  private static List<TokenBatch> list(DataStream<TokenBatch> stream) {
    List<TokenBatch> batches = new ArrayList<>();
    try (stream) {
      stream.forEachRemaining(batches::add);
    }
    return batches;
  }

  private static List<int[]> rows(List<TokenBatch> batches) {
    List<int[]> rows = new ArrayList<>();
    for (TokenBatch batch : batches) {
      for (int row = 0; row < batch.rows(); row++) {
        int start = row * batch.length();
        rows.add(Arrays.copyOfRange(batch.tokens(), start, start + batch.lengths()[row]));
      }
    }
    return rows;
  }

  private static List<String> tokens(List<TokenBatch> batches) {
    return rows(batches).stream().map(ExampleBatchesTest::text).toList();
  }

  private static List<String> texts(ExampleSource source) {
    List<String> texts = new ArrayList<>();
    try (var stream = source.open()) {
      stream.forEachRemaining(example -> texts.add(text(example.tokens())));
    }
    return texts;
  }

  private static List<String> split(int[] row) {
    List<String> parts = new ArrayList<>();
    int start = 0;
    for (int i = 0; i < row.length; i++) {
      if (row[i] == SEPARATOR) {
        parts.add(text(Arrays.copyOfRange(row, start, i)));
        start = i + 1;
      }
    }
    assertThat(start).isEqualTo(row.length);
    return parts;
  }

  private static float number(Label label) {
    if (label instanceof Label.Weights weighted) {
      return weighted.weights()[0];
    } else if (label instanceof Label.Category category) {
      return category.id();
    } else if (label instanceof Label.Value value) {
      return value.value();
    }
    return ((Label.Target) label).tokens()[0];
  }

  private static String text(int[] tokens) {
    return Arrays.toString(tokens);
  }

  private static void assertSame(TokenBatch found, TokenBatch expected) {
    assertThat(found.position()).isEqualTo(expected.position());
    assertThat(found.tokens()).isEqualTo(expected.tokens());
    assertThat(found.lengths()).isEqualTo(expected.lengths());
    assertThat(found.keys()).isEqualTo(expected.keys());
  }
}
