package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.data.NpyArray;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ConstantStepTest {
  private static final int STEPS = 2 * ConstantStep.LONGEST_WAIT + 3;
  private static final String SMALL =
      "preset: performer, task: causal-lm, vocabularySize: 29, hiddenSize: 16, heads: 4,"
          + " layers: 2, mlpSize: 24, maxLength: 64";

  @TempDir Path folder;

  /** Each row of two, and what is taken of one at every length, against the signature. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "{%s, attention: {kernel: hyperbolic, features: 12, causal: true}}",
        "{%s, attentionBias: true, attention: {kernel: relu, causal: true, exactHeads: 2}}",
        "{%s, positions: rotary, tiedOutput: true, attention: {exact: true}}",
        "{%s, attention: {kernel: softmax, convention: google-jax, features: 12, causal: true}}",
        "{%s, attention: {kernel: relu, features: 5, convention: google-jax, causal: true}}"
      })
  void stepsAreThoseOfTheSignature(String yaml) {
    Path model = CausalModels.write(folder.resolve("model"), yaml.formatted(SMALL));
    try (var predictor = SavedModelPredictor.load(model);
        var own = StateDecoder.of(predictor)) {
      assertThat(ConstantStep.of(predictor, PerformerModels.requireConfig(model)))
          .hasValueSatisfying(ConstantStep::close);
      int[][] prompts = {{3, 4, 5}, {7}};
      List<TextState> states = own.read(Arrays.asList(null, null), List.of(prompts));
      Map<String, NpyArray> known = prefill(predictor, prompts);
      try (Decoder.Batch batch = own.join(null, new int[0], states)) {
        states.forEach(TextState::close);
        for (int i = 0; i < STEPS; i++) {
          int[] tokens = {(5 * i) % 29, (3 * i + 1) % 29};
          known.put(PerformerSignatures.TOKEN, NpyArray.of(tokens, 2));
          known.put(PerformerSignatures.POSITION, NpyArray.of(new int[] {3 + i, 1 + i}, 2));
          known = new HashMap<>(predictor.predict(PerformerSignatures.STEP, known));
          float[] expected = known.remove(PerformerSignatures.LOGITS).floats();
          assertThat(batch.step(tokens)).containsExactly(expected, within(1e-4f));
          if (i % 7 == 2) {
            requireSame(batch, known);
          }
        }
      }
    }
  }

  private static Map<String, NpyArray> prefill(SavedModelPredictor predictor, int[][] prompts) {
    int[] ids = {prompts[0][0], prompts[0][1], prompts[0][2], prompts[1][0], 0, 0};
    Map<String, NpyArray> inputs = new HashMap<>();
    inputs.put(PerformerSignatures.TOKENS, NpyArray.of(ids, 2, 3));
    inputs.put(PerformerSignatures.LENGTHS, NpyArray.of(new int[] {3, 1}, 2));
    Map<String, NpyArray> known =
        new HashMap<>(predictor.predict(PerformerSignatures.PREFILL, inputs));
    known.remove(PerformerSignatures.LOGITS);
    return known;
  }

  private static void requireSame(Decoder.Batch batch, Map<String, NpyArray> known) {
    try (TextState taken = batch.take(0, new int[0])) {
      taken
          .rows()
          .tensors()
          .forEach(
              (name, tensor) -> {
                float[] row = dev.performer.graph.Tensors.floats(tensor);
                float[] all = known.get(name).floats();
                assertThat(row)
                    .as(name)
                    .containsExactly(Arrays.copyOf(all, row.length), within(1e-4f));
              });
    }
  }

  @Test
  void otherModelsUseTheirSignature() {
    String yaml = "{%s, attention: {kernel: relu, causal: true}}";
    Path model = CausalModels.write(folder.resolve("model"), yaml.formatted(SMALL));
    String wider = yaml.replace("hiddenSize: 16", "hiddenSize: 32").formatted(SMALL);
    Path other =
        CausalModels.write(folder.resolve("other"), wider.replace("layers: 2", "layers: 3"));
    try (var predictor = SavedModelPredictor.load(model)) {
      var config = PerformerModels.requireConfig(other);
      assertThat(ConstantStep.of(predictor, config)).isEmpty();
    }
  }
}
