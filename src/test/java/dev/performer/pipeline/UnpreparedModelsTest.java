package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Tokenizer;
import dev.performer.model.TextEmbedding.Pooling;
import dev.performer.savedmodel.ModelCard.Objective;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.serving.Sampling;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** Signatures of a Python model that nobody prepared, against what Python computes with them. */
class UnpreparedModelsTest {
  private static final Path MODEL =
      ReferenceModels.directory("made/running").resolve("saved_model");
  private static final Map<String, NpyArray> EXPECTED =
      ReferenceModels.arrays("made/running", "expected.npz");
  private static final List<String> PROMPTS = List.of("5 7 9", "11", "3 4 5 6 7 8 2");
  private static final int NEW = 10;
  private static final GenerationOptions GREEDY =
      GenerationOptions.DEFAULT.withMaxTokens(NEW).withSampler(Sampling.mostLikely());

  private static ModelOptions options(String signature, String vocabulary) {
    return ModelOptions.DEFAULT.withSignature(signature).withTokenizer(Tokenizer.named(vocabulary));
  }

  private static TextGenerator generator(ModelOptions options) {
    return TextGenerator.load(Model.open(MODEL, options));
  }

  private static List<String> texts(TextGenerator generator, GenerationOptions options) {
    var all = generator.generate(PROMPTS, options);
    return all.stream().map(TextGenerator.Generation::text).toList();
  }

  /** Logits of five spare ids, float16 and bfloat16, fixed lengths, windows, shifted inputs. */
  @ParameterizedTest
  @CsvSource({"each,1e-2", "fixed,2e-2", "last,1e-5", "window,1e-5", "shifted,1e-5"})
  void greedyDecodingIsPythons(String signature, double tolerance) {
    int[] ids = EXPECTED.get("greedy/" + signature).ints();
    double[] logs = EXPECTED.get("log/" + signature).doubles();
    try (TextGenerator generator = generator(options(signature, "ids:28"))) {
      for (int batch : new int[] {1, 3}) {
        var all = generator.generate(PROMPTS, GREEDY.withBatch(batch));
        for (int r = 0; r < all.size(); r++) {
          var one = all.get(r);
          int from = r * NEW;
          assertThat(one.tokens())
              .containsExactlyElementsOf(Arrays.stream(ids, from, from + NEW).boxed().toList());
          for (int i = 0; i < NEW; i++) {
            assertThat(one.logProbabilities().get(i))
                .isCloseTo(logs[from + i], within(tolerance * Math.max(1, -logs[from + i])));
          }
        }
      }
      assertThat(generator.notes()).anyMatch(note -> note.contains("reads the whole text again"));
    }
  }

  @Test
  void spareIdsNeverCome() {
    var wild = GREEDY.withSampler(Sampling.DEFAULT.withTemperature(1e6).withSeed(3));
    try (TextGenerator generator = generator(options("shifted", "ids:28"))) {
      var all = generator.generate(PROMPTS, wild.withMaxTokens(60));
      assertThat(all).flatExtracting(TextGenerator.Generation::tokens).allMatch(id -> id < 28);
      assertThat(texts(generator, wild.withMaxTokens(60).withBatch(2)))
          .isEqualTo(all.stream().map(TextGenerator.Generation::text).toList());
    }
    try (TextGenerator generator = generator(options("shifted", "ids"))) {
      assertThat(generator.generate(List.of(""), wild.withMaxTokens(300)))
          .flatExtracting(TextGenerator.Generation::tokens)
          .anyMatch(id -> id >= 28);
    }
  }

  @Test
  void logitsThatSeeWhatComesContinueNothing() {
    assertThatThrownBy(() -> generator(options("masked", "ids")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContainingAll(MODEL.toString(), "masked", "depend on later tokens")
        .matches(e -> ((PerformerException) e).settings().equals(List.of("objective")));
    try (TextGenerator forced =
        generator(options("masked", "ids").withObjective(Objective.CAUSAL_LM))) {
      assertThat(texts(forced, GREEDY.withBatch(1))).isEqualTo(texts(forced, GREEDY));
    }
  }

  @Test
  void whatIsMissingIsNamed() {
    assertThatThrownBy(() -> generator(options("encode", "ids:28")))
        .hasMessageContainingAll(MODEL.toString(), "encode", "last_hidden_state");
    try (TextGenerator generator = generator(options("fixed", "ids"))) {
      assertThatThrownBy(() -> generator.generate("1 2 3", GREEDY.withMaxTokens(15)))
          .hasMessageContaining("exceed the 16 positions");
      assertThatThrownBy(() -> generator.generate("1 33", GREEDY))
          .hasMessageContainingAll("token 33", "0 to 32");
      assertThatThrownBy(() -> generator.generate("1 x", GREEDY))
          .hasMessageContaining("'x' is no token id");
      assertThatThrownBy(() -> generator.generate("", GREEDY)).hasMessageContaining("empty");
    }
    assertThatThrownBy(() -> generator(options("each", "ids").withTensors(null, null, "cache")))
        .hasMessageContainingAll(MODEL.toString(), "cache", "no row for each text");
    assertThatThrownBy(() -> generator(options(null, "ids")))
        .matches(e -> ((PerformerException) e).settings().equals(List.of("signature")));
    // The table of positions ends.
    try (TextGenerator generator = generator(options("each", "ids"))) {
      assertThatThrownBy(() -> generator.generate("1 2 3", GREEDY.withMaxTokens(23)))
          .hasMessageContaining("exceed the 24 positions");
    }
  }

  @Test
  void theObjectiveIsFound() {
    var each = Model.open(MODEL, options("each", "ids")).languageModel();
    assertThat(each.isCausal()).isTrue();
    assertThat(each.shiftsInputs()).isFalse();
    var shifted = Model.open(MODEL, options("shifted", "ids")).languageModel();
    assertThat(shifted.isCausal()).isTrue();
    assertThat(shifted.shiftsInputs()).isTrue();
    var masked = Model.open(MODEL, options("masked", "ids")).languageModel();
    assertThat(masked.isCausal()).isFalse();
    assertThat(masked.notes()).anyMatch(note -> note.contains("depend on later tokens"));
  }

  /** The same tokens, scored, are as likely as they were when they were generated. */
  @ParameterizedTest
  @CsvSource({"each,1e-5", "shifted,1e-5"})
  void scoresAreThoseOfGeneration(String signature, double tolerance) {
    var options = options(signature, "ids:28");
    try (TextGenerator generator = generator(options);
        Scorer scorer = Scorer.load(Model.open(MODEL, options))) {
      for (var one : generator.generate(PROMPTS, GREEDY)) {
        double[] scored = scorer.score(one.text()).tokens();
        int prompt = scored.length - NEW;
        for (int i = 0; i < NEW; i++) {
          assertThat(scored[prompt + i])
              .isCloseTo(one.logProbabilities().get(i), within(tolerance));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(value = Pooling.class, mode = Mode.EXCLUDE, names = "MEAN_INNER") // MeanInnerTest
  void vectorsArePythons(Pooling pooling) {
    boolean isVector = pooling == Pooling.NONE; // here: the output with a vector for each text
    var chosen =
        isVector
            ? new EmbeddingSpec.Options("pooler_output", null, null)
            : new EmbeddingSpec.Options(null, pooling, null);
    double[] expected = EXPECTED.get("vector/" + pooling).doubles();
    Model model = Model.open(MODEL, options("encode", "ids"));
    try (Embedder embedder = Embedder.load(EmbeddingSpec.of(model, chosen, false))) {
      List<float[]> vectors = embedder.embed(PROMPTS);
      int size = expected.length / PROMPTS.size();
      for (int i = 0; i < expected.length; i++) {
        assertThat((double) vectors.get(i / size)[i % size])
            .isCloseTo(expected[i], within(1e-5 * Math.max(1, Math.abs(expected[i]))));
      }
    }
    var unit = new EmbeddingSpec.Options(chosen.output(), chosen.pooling(), true);
    try (Embedder embedder = Embedder.load(EmbeddingSpec.of(model, unit, false))) {
      assertThat(embedder.embed(PROMPTS))
          .allSatisfy(
              vector ->
                  assertThat(
                          IntStream.range(0, vector.length)
                              .mapToDouble(c -> (double) vector[c] * vector[c])
                              .sum())
                      .isCloseTo(1, within(1e-6)));
    }
  }

  @Test
  void vectorsOfLogitsAreNone() {
    Model model = Model.open(MODEL, options("each", "ids:33"));
    assertThatThrownBy(() -> EmbeddingSpec.of(model))
        .hasMessageContainingAll(MODEL.toString(), "each", "result");
    var pooled = new EmbeddingSpec.Options("pooler_output", Pooling.MEAN, null);
    Model encoder = Model.open(MODEL, options("encode", "ids"));
    assertThatThrownBy(() -> EmbeddingSpec.of(encoder, pooled, false))
        .hasMessageContaining("no tokens to pool");
  }

  /** An output that has no row for each text is no reason to refuse the others. */
  @Test
  void textsArePredicted() {
    try (Predictor predictor = Predictor.load(Model.open(MODEL, options("each", "ids")))) {
      var outputs = predictor.predict(PROMPTS);
      assertThat(outputs).containsOnlyKeys("result", "tokens", "lengths");
      assertThat(outputs.get("result").shape()).containsExactly(3, 7, 33);
    }
  }
}
