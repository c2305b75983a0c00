package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.data.NpyArray;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.ServingForm;
import dev.performer.savedmodel.ServingGraph;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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

  /** Matrices large enough to be kept in another order; a few rows, many, and a few again. */
  @ParameterizedTest
  @CsvSource({"FLOAT32, 1e-4", "BFLOAT16, 0.05"})
  void rowsOfAnyNumberAreThoseOfTheSignature(ServingForm.Precision precision, float tolerance) {
    String yaml = "{%s, attention: {kernel: relu, causal: true}}".formatted(SMALL);
    String wide = yaml.replace("hiddenSize: 16", "hiddenSize: 256").replace(": 24", ": 1024");
    Path model = folder.resolve("model");
    CausalModels.write(
        model, wide, all -> all.replace("layer_0/mlp/out/bias", NpyArray.of(new float[256], 256)));
    if (precision != ServingForm.Precision.FLOAT32) {
      Path narrow = folder.resolve("narrow");
      var form = ServingForm.AS_IS.in(precision);
      ServingGraph.export(SavedModelDirectory.open(model), form, narrow);
      model = narrow;
    }
    try (var predictor = SavedModelPredictor.load(model);
        var own = StateDecoder.of(predictor)) {
      int[][] prompts = {{3, 4, 5}, {7}};
      List<TextState> read = own.read(Arrays.asList(null, null), List.of(prompts));
      Map<String, NpyArray> known = prefill(predictor, prompts);
      known.put(PerformerSignatures.TOKEN, NpyArray.of(new int[] {6, 8}, 2));
      known.put(PerformerSignatures.POSITION, NpyArray.of(new int[] {3, 1}, 2));
      var next = predictor.predict(PerformerSignatures.STEP, known);
      float[] expected = next.get(PerformerSignatures.LOGITS).floats();
      for (int times : new int[] {1, 5, 1, 4}) {
        List<TextState> rows = new ArrayList<>();
        Collections.nCopies(times, read).forEach(rows::addAll);
        try (Decoder.Batch batch = own.join(null, new int[0], rows)) {
          int[] tokens = new int[2 * times];
          Arrays.setAll(tokens, r -> r % 2 == 0 ? 6 : 8);
          float[] logits = batch.step(tokens);
          for (int r = 0; r < times; r++) {
            float[] pair =
                Arrays.copyOfRange(logits, r * expected.length, (r + 1) * expected.length);
            assertThat(pair).containsExactly(expected, within(tolerance));
          }
        }
      }
      read.forEach(TextState::close);
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
