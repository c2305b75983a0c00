package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Greedy generation is, token by token, the argmax of the parallel form on the prefix, and its
 * logits are the parallel form's.
 */
class GreedyProofTest {
  private static final int TOKENS = 256;
  private static final int[] PROMPT = {7, 11, 2};
  private static final String SMALL =
      "preset: performer, task: causal-lm, vocabularySize: 29, hiddenSize: 32, heads: 4,"
          + " mlpSize: 64, maxLength: 512";

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{%s, layers: 3, attention: {kernel: hyperbolic, features: 32, causal: true}}",
        "{%s, layers: 3, attention: {kernel: relu, causal: true}}",
        "{%s, layers: 3, attention: {kernel: relu, causal: true, exactHeads: 2}}",
        "{%s, layers: 2, attention: {kernel: sderf, features: 32, causal: true, window: 6, sinks: [0]}}",
        "{%s, layers: 2, attention: {kernel: hyperbolic, features: 32, gate: token}}",
        "{%s, layers: 2, attention: {kernel: relu, gate: constant, exactHeads: 1}}",
        "{%s, layers: 2, shiftBos: 3, positions: learned, attention: {kernel: hyperbolic,"
            + " features: 32, causal: true, exactHeads: 2}}"
      })
  void smallModels(String yaml) {
    prove(CausalModels.write(folder.resolve("model"), yaml.formatted(SMALL)), TOKENS, 4);
  }

  @Test
  void ofAnotherCheckpoint() {
    Path model = GenerationSessionTest.imported(folder, "lm_relu");
    prove(model, 61, 2); // with the prompt, all its positions
  }

  @Test
  @Tag("slow")
  void theWholePreset() {
    String yaml =
        "{preset: performer, task: causal-lm, layers: 3, attention: {kernel: hyperbolic, causal:"
            + " true, exactHeads: 2}}";
    prove(CausalModels.write(folder.resolve("model"), yaml), TOKENS, 1);
  }

  private static void prove(Path model, int tokens, int leastDifferent) {
    try (GenerationSession session = GenerationSession.open(model);
        SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      Text greedy = generate(session, Sampling.mostLikely(), tokens);
      assertThat(greedy.differentTokens()).isGreaterThanOrEqualTo(leastDifferent);
      assertArgmaxOfEveryPrefix(predictor, greedy);
      // Greedy texts repeat themselves; drawn ones go everywhere.
      Text drawn = generate(session, new Sampling(false, 1, 0, 1, 1, 0, 1), tokens);
      assertThat(drawn.differentTokens()).isGreaterThan(12);
      float[] whole = parallel(predictor, drawn.read(drawn.ids.length - 1));
      for (int n = PROMPT.length; n < drawn.ids.length; n++) {
        float[] parallel = drawn.row(whole, n);
        assertClose(drawn.step(n), parallel, n);
        assertThat(parallel[argmax(parallel)] - parallel[argmax(drawn.step(n))])
            .as("the greedy choice of token " + n)
            .isLessThan(2 * tolerance(parallel));
      }
    }
  }

  /**
   * A generated text.
   *
   * @param ids the prompt's, too
   * @param shift 1 where the model puts a begin token in front
   * @param steps the logits from which each new token was chosen
   */
  private record Text(int[] ids, int shift, List<float[]> steps) {
    int differentTokens() {
      return new HashSet<>(Arrays.stream(ids).skip(PROMPT.length).boxed().toList()).size();
    }

    float[] step(int n) {
      return steps.get(n - PROMPT.length);
    }

    /**
     * What the parallel form is given to foretell token n; where it shifts, it ignores the last.
     */
    int[] read(int n) {
      return Arrays.copyOf(Arrays.copyOf(ids, n), n + shift);
    }

    /** The parallel form's logits of token n. */
    float[] row(float[] logits, int n) {
      int width = steps.get(0).length;
      int row = n - 1 + shift;
      return Arrays.copyOfRange(logits, row * width, (row + 1) * width);
    }
  }

  private static Text generate(GenerationSession session, Sampling sampling, int tokens) {
    List<float[]> logits = new ArrayList<>();
    Sampler recording =
        (firstRow, rows) -> {
          Sampler.Choice choice = sampling.begin(firstRow, rows);
          return (row, own, before, forbidden) -> {
            logits.add(own);
            return choice.next(row, own, before, forbidden);
          };
        };
    List<Integer> generated =
        session.generate(List.of(PROMPT), DecodingOptions.of(tokens, recording)).get(0).tokens();
    assertThat(generated).hasSize(tokens);
    int[] ids =
        IntStream.concat(Arrays.stream(PROMPT), generated.stream().mapToInt(i -> i)).toArray();
    return new Text(ids, session.startsItself() ? 1 : 0, logits);
  }

  private static void assertArgmaxOfEveryPrefix(SavedModelPredictor predictor, Text text) {
    int ties = 0;
    for (int n = PROMPT.length; n < text.ids.length; n++) {
      float[] parallel = text.row(parallel(predictor, text.read(n)), n);
      assertClose(text.step(n), parallel, n);
      int best = argmax(parallel);
      if (best != text.ids[n]) {
        assertThat(parallel[best] - parallel[text.ids[n]])
            .as("token " + n)
            .isLessThan(2 * tolerance(parallel));
        ties++;
      }
    }
    assertThat(ties).as("near-ties that fell the other way").isLessThanOrEqualTo(1);
  }

  private static float[] parallel(SavedModelPredictor predictor, int[] tokens) {
    return predictor
        .predict("serving_default", Map.of("tokens", NpyArray.of(tokens, 1, tokens.length)))
        .get("logits")
        .floats();
  }

  private static float tolerance(float[] logits) {
    float scale = 1;
    for (float logit : logits) {
      scale = Math.max(scale, Math.abs(logit));
    }
    return 2e-5f * scale;
  }

  private static void assertClose(float[] step, float[] parallel, int n) {
    float worst = 0;
    for (int id = 0; id < step.length; id++) {
      worst = Math.max(worst, Math.abs(step[id] - parallel[id]));
    }
    assertThat(worst).as("logits of token " + n).isLessThan(tolerance(parallel));
  }

  /** Of the tokens that may come: padding may not. */
  private static int argmax(float[] x) {
    return IntStream.range(1, x.length)
        .filter(id -> id != 27)
        .reduce(0, (a, b) -> x[b] > x[a] ? b : a);
  }
}
