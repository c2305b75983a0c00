package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.checkpoint.Checkpoints;
import dev.performer.checkpoint.ImportOptions;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.training.ImportedWeights;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GenerationSessionTest {
  private static final Set<Integer> FORBIDDEN = Set.of(25, 27, 28);
  @TempDir Path folder;

  private Path imported(String name) {
    Path source = Path.of("src/test/resources/reference/jax/protein_lm", name);
    Path model = folder.resolve(name);
    ImportedWeights.of(Checkpoints.load(source, ImportOptions.builder().build()), source, false)
        .write(model, false);
    return model;
  }

  private static List<GenerationSession.Continuation> run(
      GenerationSession session, List<int[]> prompts, int tokens, Sampling sampling, int firstRow) {
    return session.generate(
        prompts, firstRow, tokens, sampling, OptionalInt.empty(), FORBIDDEN, (row, token) -> {});
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
      assertThat(run(session, prompts.subList(1, 2), 30, sampling, 1).get(0))
          .isEqualTo(together.get(1));
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
}
