package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.checkpoint.Checkpoints;
import dev.performer.checkpoint.ImportOptions;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.training.ImportedWeights;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GenerationSessionTest {
  private static final Set<Integer> FORBIDDEN = Set.of(25, 27, 28);
  @TempDir Path folder;

  private Path imported(String name) {
    return imported(folder, name);
  }

  static Path imported(Path folder, String name) {
    Path source = Path.of("src/test/resources/reference/jax/protein_lm", name);
    Path model = folder.resolve(name);
    ImportedWeights.of(Checkpoints.load(source, ImportOptions.builder().build()), source, false)
        .write(model, false);
    return model;
  }

  private static List<GenerationSession.Continuation> run(
      GenerationSession session, List<int[]> prompts, int tokens, Sampling sampling, int firstRow) {
    return session.generate(
        prompts,
        DecodingOptions.of(tokens, sampling).withForbidden(FORBIDDEN).withFirstRow(firstRow));
  }

  @ParameterizedTest
  @ValueSource(strings = {"lm_relu", "lm_exact", "lm_softmax_favor"})
  void greedyIsTheArgmaxOfTheParallelFormOnThePrefix(String name) {
    Path model = imported(name);
    List<int[]> prompts =
        List.of(new int[] {10, 0, 5}, new int[] {}, new int[] {3, 3, 7, 12, 19, 1, 2});
    int count = 50;
    List<GenerationSession.Continuation> generated;
    try (GenerationSession session = GenerationSession.open(model)) {
      generated = run(session, prompts, count, Sampling.mostLikely(), 0);
    }
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      for (int r = 0; r < prompts.size(); r++) {
        int[] text = Arrays.copyOf(prompts.get(r), prompts.get(r).length + count);
        for (int n = prompts.get(r).length; n < text.length; n++) {
          text[n] = argmax(predictor, Arrays.copyOf(text, n + 1));
        }
        assertThat(generated.get(r).tokens())
            .as(name + ", prompt " + r)
            .containsExactlyElementsOf(
                Arrays.stream(text).skip(prompts.get(r).length).boxed().toList());
      }
    }
  }

  /** The last token is not read: the model shifts. */
  private static int argmax(SavedModelPredictor predictor, int[] prefix) {
    NpyArray tokens = NpyArray.of(prefix, 1, prefix.length);
    float[] logits =
        predictor.predict("serving_default", Map.of("tokens", tokens)).get("logits").floats();
    int from = logits.length - 29;
    int best = -1;
    for (int id = 0; id < 29; id++) {
      if (!FORBIDDEN.contains(id) && (best < 0 || logits[from + id] > logits[from + best])) {
        best = id;
      }
    }
    return best;
  }

  @Test
  void theSeedDecidesAndBatchesDoNot() {
    Path model = imported("lm_relu");
    Sampling sampling = new Sampling(false, 0.9, 10, 0.95, 1.2, 4, 7);
    List<int[]> prompts = List.of(new int[] {1, 2}, new int[] {5, 6, 7, 8});
    try (GenerationSession session = GenerationSession.open(model)) {
      var together = run(session, prompts, 30, sampling, 0);
      assertThat(run(session, prompts, 30, sampling, 0)).isEqualTo(together);
      assertThat(run(session, prompts.subList(1, 2), 30, sampling, 1).get(0).tokens())
          .isEqualTo(together.get(1).tokens());
      Sampling other = new Sampling(false, 0.9, 10, 0.95, 1.2, 4, 8);
      assertThat(run(session, prompts, 30, other, 0)).isNotEqualTo(together);
    }
  }

  @Test
  void modelsAndLengthsThatCannotBe() {
    try (GenerationSession session = GenerationSession.open(imported("lm_relu"))) {
      assertThatThrownBy(() -> run(session, List.of(new int[60]), 5, Sampling.mostLikely(), 0))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("64 positions")
          .hasMessageContaining("at most 4");
    }
    Path masked = imported("bert_exact");
    assertThatThrownBy(() -> GenerationSession.open(masked))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("causal");
  }

  private static final String SMALL =
      "preset: performer, task: causal-lm, vocabularySize: 29, hiddenSize: 16, heads: 2, layers: 1,"
          + " mlpSize: 16, maxLength: 12, positions: learned, attention: {kernel: relu, causal: true}";

  @Test
  void theLastTokenNeedsNoPosition() {
    Path own = CausalModels.write(folder.resolve("own"), "{%s}".formatted(SMALL));
    Path shifts =
        CausalModels.write(folder.resolve("shifts"), "{%s, shiftBos: 25}".formatted(SMALL));
    try (GenerationSession session = GenerationSession.open(own)) {
      assertThat(session.room(3)).isEqualTo(10);
      assertThat(run(session, List.of(new int[3]), 10, Sampling.mostLikely(), 0).get(0).tokens())
          .hasSize(10);
      assertThat(run(session, List.of(new int[12]), 1, Sampling.mostLikely(), 0).get(0).tokens())
          .hasSize(1);
      assertThatThrownBy(() -> run(session, List.of(new int[3]), 11, Sampling.mostLikely(), 0))
          .hasMessageContaining("at most 10 tokens");
      assertThatThrownBy(() -> run(session, List.of(new int[13]), 1, Sampling.mostLikely(), 0))
          .hasMessageContaining("shorten the prompt");
    }
    try (GenerationSession session = GenerationSession.open(shifts)) {
      assertThat(run(session, List.of(new int[3]), 9, Sampling.mostLikely(), 0).get(0).tokens())
          .hasSize(9);
      assertThatThrownBy(() -> run(session, List.of(new int[3]), 10, Sampling.mostLikely(), 0))
          .hasMessageContaining("at most 9 tokens");
    }
  }

  @Test
  void promptsThatCannotBe() {
    Path own = CausalModels.write(folder.resolve("own"), "{%s}".formatted(SMALL));
    try (GenerationSession session = GenerationSession.open(own)) {
      for (int id : new int[] {29, -1, Integer.MAX_VALUE}) {
        assertThatThrownBy(
                () -> run(session, List.of(new int[] {1, id}), 2, Sampling.mostLikely(), 0))
            .isInstanceOf(PerformerException.class)
            .hasMessageContaining("token " + id)
            .hasMessageContaining("0 to 28");
      }
      assertThatThrownBy(() -> run(session, List.of(new int[] {27}), 2, Sampling.mostLikely(), 0))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("padding");
      assertThatThrownBy(() -> run(session, List.of(new int[0]), 2, Sampling.mostLikely(), 0))
          .hasMessageContaining("empty");
      assertThat(run(session, List.of(), 2, Sampling.mostLikely(), 0)).isEmpty();
      assertThat(run(session, List.of(new int[] {1}), 0, Sampling.mostLikely(), 0).get(0).tokens())
          .isEmpty();
    }
  }

  @Test
  void damagedWeightsAreToldWithTheStep() {
    // Reading token 7 at position 3 gives NaN: only then.
    Path own =
        CausalModels.write(
            folder.resolve("own"),
            "{%s}".formatted(SMALL),
            weights -> {
              String name =
                  weights.keySet().stream().filter(n -> n.contains("position")).findFirst().get();
              NpyArray table = weights.get(name);
              float[] values = table.floats().clone();
              values[3 * 16] = Float.NaN;
              weights.put(name, NpyArray.of(values, table.shape()));
            });
    try (GenerationSession session = GenerationSession.open(own)) {
      assertThat(run(session, List.of(new int[] {1}), 3, Sampling.mostLikely(), 0).get(0).tokens())
          .hasSize(3);
      assertThatThrownBy(() -> run(session, List.of(new int[] {1}), 4, Sampling.mostLikely(), 4))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("new token 4 of prompt 5")
          .hasMessageContaining("NaN");
    }
  }

  @Test
  void everyRowEndsForItself() {
    Sampling sampling = new Sampling(false, 2, 0, 1, 1, 0, 3);
    List<int[]> prompts =
        List.of(new int[] {1, 2}, new int[] {}, new int[] {5, 6, 7, 8, 9}, new int[] {4});
    try (GenerationSession session = GenerationSession.open(imported("lm_relu"))) {
      var free = run(session, prompts, 40, sampling, 0);
      int end = free.get(0).tokens().get(5);
      var decoding = DecodingOptions.of(40, sampling).withEnd(end).withForbidden(FORBIDDEN);
      var ended = session.generate(prompts, decoding);
      for (int r = 0; r < prompts.size(); r++) {
        int at = free.get(r).tokens().indexOf(end);
        assertThat(ended.get(r).ended()).isEqualTo(at >= 0);
        assertThat(ended.get(r).tokens())
            .isEqualTo(at < 0 ? free.get(r).tokens() : free.get(r).tokens().subList(0, at));
        // alone it is the same
        var alone = session.generate(prompts.subList(r, r + 1), decoding.withFirstRow(r)).get(0);
        assertThat(alone.tokens()).isEqualTo(ended.get(r).tokens());
      }
      assertThat(ended.stream().map(c -> c.tokens().size()).distinct().count()).isGreaterThan(1);
    }
  }

  /**
   * Java reads no weights, TensorFlow does: opening costs the heap the same, whatever their size.
   */
  @Test
  void openingReadsTheWeightsOnce() {
    Path small = CausalModels.write(folder.resolve("small"), "{%s}".formatted(SMALL));
    Path large =
        CausalModels.write(
            folder.resolve("large"), "{%s}".formatted(SMALL.replace("29,", "300000,")));
    allocatedByOpening(small); // classes are loaded
    assertThat(allocatedByOpening(large) - allocatedByOpening(small))
        .as("bytes on the heap, where the weights are 19 MB")
        .isLessThan(4_000_000);
  }

  private static long allocatedByOpening(Path model) {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    GenerationSession.open(model).close();
    return threads.getCurrentThreadAllocatedBytes() - before;
  }

  /** Attention would hide it from the model that chose it. */
  @Test
  void paddingNeverComes() {
    Path own = CausalModels.write(folder.resolve("own"), "{%s}".formatted(SMALL));
    Sampling flat = new Sampling(false, 1e9, 0, 1, 1, 0, 0);
    try (GenerationSession session = GenerationSession.open(own)) {
      var texts =
          session.generate(Collections.nCopies(100, new int[] {1}), DecodingOptions.of(10, flat));
      var counts = new int[29];
      texts.forEach(text -> text.tokens().forEach(token -> counts[token]++));
      assertThat(counts[27]).isZero();
      assertThat(counts[26]).isPositive();
    }
  }
}
