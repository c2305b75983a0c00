package dev.performer.savedmodel;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SavedModelPredictorTest {

  @ParameterizedTest
  @CsvSource({
    "models/protein_exp, saved_model, expected.npz, 4",
    "models/kernel_encoder, saved_model, expected.npz, 3",
    "models/gr_relu_causal, saved_model, expected.npz, 2",
    "models/keras3_transformer, exported_saved_model, expected.npz, 3",
  })
  void predictsWhatPythonPredicted(String name, String form, String file, int cases) {
    Map<String, NpyArray> expected = ReferenceModels.arrays(name, file);
    try (SavedModelPredictor predictor =
        SavedModelPredictor.load(ReferenceModels.directory(name).resolve(form))) {
      SignatureSpec spec = predictor.directory().signature("serving_default");
      for (int i = 0; i < cases; i++) {
        Map<String, NpyArray> inputs = ReferenceModels.under(expected, "in" + i);
        if (inputs.size() == 1) {
          inputs =
              Map.of(spec.inputs().keySet().iterator().next(), inputs.values().iterator().next());
        }
        Map<String, NpyArray> outputs = predictor.predict("serving_default", inputs);
        Map<String, NpyArray> wanted = ReferenceModels.under(expected, "out" + i);
        assertThat(wanted).isNotEmpty();
        for (Map.Entry<String, NpyArray> entry : wanted.entrySet()) {
          NpyArray got =
              outputs.size() == 1
                  ? outputs.values().iterator().next()
                  : outputs.get(entry.getKey());
          assertThat(got.shape()).isEqualTo(entry.getValue().shape());
          assertThat(ModelComparison.difference(got.doubles(), entry.getValue())).isLessThan(1e-5);
        }
      }
    }
  }

  @Test
  void eightThreadsShareOnePredictor() throws Exception {
    Map<String, NpyArray> expected =
        ReferenceModels.arrays("models/gr_relu_causal", "expected.npz");
    Path model = ReferenceModels.directory("models/gr_relu_causal").resolve("saved_model");
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      SignatureSpec spec = predictor.directory().signature("serving_default");
      String input = spec.inputs().keySet().iterator().next();
      List<Callable<Double>> calls = new ArrayList<>();
      for (int i = 0; i < 400; i++) {
        NpyArray x = ReferenceModels.under(expected, "in" + i % 2).values().iterator().next();
        NpyArray y = ReferenceModels.under(expected, "out" + i % 2).values().iterator().next();
        calls.add(
            () -> {
              Map<String, NpyArray> outputs =
                  predictor.predict("serving_default", Map.of(input, x));
              return ModelComparison.difference(outputs.values().iterator().next().doubles(), y);
            });
      }
      for (Future<Double> difference : threads.invokeAll(calls)) {
        assertThat(difference.get()).isLessThan(1e-5);
      }
    } finally {
      threads.shutdownNow();
    }
  }

  @ParameterizedTest
  @CsvSource({"protein_exp", "protein_relu_causal"})
  void runsTheTrainingStepOfTheModelItself(String model) {
    Map<String, NpyArray> expected = ReferenceModels.arrays("models/" + model, "expected.npz");
    Path directory = ReferenceModels.directory("models/" + model).resolve("train_saved_model");
    NpyArray tokens = expected.get("grad_in/tokens");
    float[] losses = expected.get("train_step_losses").floats();
    try (SavedModelPredictor predictor = SavedModelPredictor.load(directory)) {
      SignatureSpec step = predictor.directory().signature("train_step");
      assertThat(step.inputs()).containsOnlyKeys("tokens", "targets", "learning_rate");
      for (float loss : losses) {
        Map<String, NpyArray> inputs =
            Map.of(
                "tokens", tokens,
                "targets", tokens,
                "learning_rate", NpyArray.of(new float[] {0.05f}));
        NpyArray result = predictor.predict("train_step", inputs).values().iterator().next();
        assertThat(result.doubles()[0]).isCloseTo(loss, within(2e-5));
      }
    }
  }

  private static Offset<Double> within(double tolerance) {
    return Offset.offset(tolerance);
  }

  @Test
  void convertsWhereNoValueChanges() {
    Map<String, NpyArray> expected = ReferenceModels.arrays("models/protein_exp", "expected.npz");
    NpyArray tokens = expected.get("in1/tokens");
    NpyArray wide = longs(tokens.longs(), tokens.shape());
    try (SavedModelPredictor predictor = protein()) {
      Map<String, NpyArray> a = predictor.predict("serving_default", Map.of("tokens", tokens));
      Map<String, NpyArray> b = predictor.predict("serving_default", Map.of("tokens", wide));
      assertThat(a).isEqualTo(b);
      NpyArray tooLarge = longs(new long[] {1L << 40}, 1, 1);
      refuses(predictor, Map.of("tokens", tooLarge), "must be int32, not int64", "1099511627776");
      NpyArray floats = NpyArray.of(new float[] {1, 2}, 1, 2);
      refuses(predictor, Map.of("tokens", floats), "tokens must be int32, not float32");
    }
  }

  @Test
  void handlesHalfPrecisionBooleansAndBytes() {
    Path directory = ReferenceModels.directory("made/structure").resolve("saved_model");
    try (SavedModelPredictor predictor = SavedModelPredictor.load(directory)) {
      Map<String, NpyArray> inputs = new HashMap<>();
      inputs.put("h", NpyArray.of(new float[] {1.5f, -2f, 0f, 3f}, 2, 2));
      inputs.put("flag", new NpyArray(NpyType.BOOL, new long[0], new byte[] {1}));
      inputs.put("u", new NpyArray(NpyType.UINT8, new long[] {2}, new byte[] {7, (byte) 200}));
      Map<String, NpyArray> outputs = predictor.predict("types", inputs);
      assertThat(outputs.get("h").floats()).containsExactly(3f, -4f, 0f, 6f);
      assertThat(outputs.get("b").floats()).containsExactly(1.5f, -2f, 0f, 3f);
      assertThat(outputs.get("flag").longs()).containsExactly(0);
      assertThat(outputs.get("u").longs()).containsExactly(8, 201);
    }
  }

  @Test
  void refusesTypesThatJavaLacks() {
    Path directory = ReferenceModels.directory("made/structure").resolve("saved_model");
    try (SavedModelPredictor predictor = SavedModelPredictor.load(directory)) {
      NpyArray bytes = new NpyArray(NpyType.UINT8, new long[] {1}, new byte[] {7});
      assertThatThrownBy(() -> predictor.predict("int16", Map.of("u", bytes)))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("the output i is of type int16, which has no array here");
    }
  }

  @Test
  void keepsStateBetweenRunsAndFetchesSharedTensors() {
    Path directory = ReferenceModels.directory("made/structure").resolve("saved_model");
    NpyArray x = NpyArray.of(new float[] {1, 2, 3}, 1, 3);
    try (SavedModelPredictor predictor = SavedModelPredictor.load(directory)) {
      long first = predictor.predict("counted", Map.of("x", x)).get("calls").longs()[0];
      long second = predictor.predict("counted", Map.of("x", x)).get("calls").longs()[0];
      assertThat(second).isEqualTo(first + 1);
      assertThat(predictor.predict("level", Map.of("x", x))).containsOnlyKeys("same", "x", "y");
    }
  }

  @Test
  void saysWhatIsExpected() {
    Path structure = ReferenceModels.directory("made/structure").resolve("saved_model");
    NpyArray row = NpyArray.of(new int[] {1, 2}, 2);
    NpyArray tokens = NpyArray.of(new int[] {1, 2}, 1, 2);
    try (SavedModelPredictor predictor = protein();
        SavedModelPredictor other = SavedModelPredictor.load(structure)) {
      refuses(predictor, Map.of(), "takes [tokens int32 [?, ?]]", "missing: [tokens]");
      refuses(predictor, Map.of("tokens", tokens, "mask", tokens), "unknown: [mask]");
      refuses(predictor, Map.of("tokens", row), "must have shape [?, ?], not [2]");
      assertThatThrownBy(() -> predictor.predict("serving", Map.of("tokens", tokens)))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("no signature serving; it has [embed, serving_default]");
      assertThatThrownBy(() -> other.predict("text", Map.of("text", tokens)))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("text")
          .hasMessageContaining("must have shape [?], not [1, 2]");
      assertThatThrownBy(() -> other.predict("text", Map.of("text", row)))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("the input text must be string, not int32");
      List<byte[]> words = List.of("söz".getBytes(UTF_8), new byte[0], new byte[] {0, -1});
      var lengths = other.predict("text", Map.of("text", NpyArray.of(words, 3))).get("length");
      assertThat(lengths.ints()).containsExactly(4, 0, 2);
      NpyArray outOfVocabulary = NpyArray.of(new int[] {1, 2000}, 1, 2);
      refuses(predictor, Map.of("tokens", outOfVocabulary), "serving_default", "failed: ");
    }
  }

  private static void refuses(
      SavedModelPredictor predictor, Map<String, NpyArray> inputs, String... parts) {
    assertThatThrownBy(() -> predictor.predict("serving_default", inputs))
        .isInstanceOf(PerformerException.class)
        .hasMessageContainingAll(parts)
        .extracting(e -> e.getMessage().lines().count())
        .isEqualTo(1L);
  }

  private static SavedModelPredictor protein() {
    return SavedModelPredictor.load(
        ReferenceModels.directory("models/protein_exp").resolve("saved_model"));
  }

  private static NpyArray longs(long[] values, long... shape) {
    ByteBuffer bytes = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asLongBuffer().put(values);
    return new NpyArray(NpyType.INT64, shape, bytes.array());
  }
}
