package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.data.NpyArray;
import dev.performer.graph.Variable;
import dev.performer.model.FavorConversion;
import dev.performer.savedmodel.softmax.FoundAttention;
import dev.performer.savedmodel.softmax.ImportedAttention;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Operand;
import org.tensorflow.types.TFloat32;

/** Models of {@code src/test/python/make_softmax.py}. */
class ImportedAttentionTest {
  @TempDir Path directory;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          plain          | [?, 2, ?, 4] bidirectional
          einsum_padding | [?, 2, ?, 4] bidirectional masked
          causal_band    | [?, 2, ?, 4] causal
          causal_padding | [?, 2, ?, 4] causal masked
          three_axes     | [?, 2, ?, 4] bidirectional masked
          whole_mask     | [?, 2, ?, 4] bidirectional masked
          keras_plain    | [?, 2, ?, 4] bidirectional
          keras_masked   | [?, 2, ?, 4] bidirectional masked
          keras_causal   | [?, 2, ?, 4] causal masked
          keras_cross    | [?, 2, ?, 4] causal masked; [?, 2, ?, 4] bidirectional masked
          hf_bert        | [?, 2, ?, 4] bidirectional masked; [?, 2, ?, 4] bidirectional masked
          hf_distilbert  | [?, 2, ?, 4] bidirectional masked; [?, 2, ?, 4] bidirectional masked
          hf_roberta     | [?, 2, ?, 4] bidirectional masked; [?, 2, ?, 4] bidirectional masked
          hf_gpt2        | [?, 2, ?, 4] causal masked; [?, 2, ?, 4] causal masked
          models/bert_softmax | [?, 4, ?, 8] bidirectional masked; [?, 4, ?, 8] bidirectional masked
          hf_bart        | [?, 2, ?, 4] bidirectional masked; [?, 2, ?, 4] causal masked; [?, 2, ?, 4] bidirectional masked
          """)
  void theExactTwinIsTheModel(String name, String expected) {
    boolean isOther = name.contains("/");
    Path model =
        isOther
            ? ReferenceModels.directory(name).resolve("saved_model")
            : ReferenceModels.directory("softmax/" + name);
    Path twin = directory.resolve("twin");
    try (var attention = open(model)) {
      assertThat(attention.found()).noneMatch(FoundAttention::isLeft);
      assertThat(attention.layers().stream().map(ImportedAttentionTest::said))
          .containsExactlyInAnyOrder(expected.split("; "));
      attention.write(all(attention), new Exact(), null, twin, false);
    }
    assertThat(difference(model, twin)).isLessThan(1e-5);
  }

  /** Gradients of all variables, too. */
  @ParameterizedTest
  @ValueSource(strings = {"three_axes", "keras_causal", "hf_bert", "hf_gpt2"})
  void theTwinHasTheModelsGradients(String name) {
    Path model = ReferenceModels.directory("softmax/" + name);
    Path twin = directory.resolve("twin");
    write(model, new Exact(), twin);
    Map<String, double[]> expected = gradients(model);
    Map<String, double[]> actual = gradients(twin);
    assertThat(actual.keySet()).isEqualTo(expected.keySet());
    expected.forEach(
        (variable, gradient) ->
            assertThat(
                    ModelComparison.difference(
                        actual.get(variable), NpyArray.of(gradient, gradient.length)))
                .as(variable)
                .isLessThan(1e-5));
  }

  /** By the names of variables, where all tokens are real. */
  private static Map<String, double[]> gradients(Path path) {
    Map<String, double[]> byName = new TreeMap<>();
    try (ImportedModel model = ImportedModel.load(path)) {
      SignatureSpec signature = model.signatures().get(ImportedModel.DEFAULT_SIGNATURE);
      Map<String, NpyArray> inputs = inputs(signature, 6, 0);
      var byNode = ModelComparison.gradients(model, signature.name(), inputs);
      model.variables().stream()
          .filter(variable -> byNode.containsKey(variable.handle().op().name()))
          .forEach(v -> byName.put(v.name(), byNode.get(v.handle().op().name())));
    }
    assertThat(byName).isNotEmpty();
    return byName;
  }

  @ParameterizedTest
  @CsvSource({
    "alibi, a bias is added",
    "relative_bias, a bias is added",
    "hf_t5, a bias is added",
    "given_mask, not one of keys",
    "windowed, neither causal nor open",
    "weights_out, used elsewhere"
  })
  void whatLinearAttentionCannotBeIsLeftAlone(String name, String reason) {
    try (var attention = open(ReferenceModels.directory("softmax/" + name))) {
      assertThat(attention.layers()).isEmpty();
      assertThat(attention.found()).hasSize(1);
      assertThat(attention.found().get(0) + "").startsWith("left alone: ").contains(reason);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"keras_masked", "causal_padding"})
  void favorComesNearWithItsFeatures(String name) {
    Path model = ReferenceModels.directory("softmax/" + name);
    double[] errors = new double[2];
    for (int i = 0; i < 2; i++) {
      Path favor = directory.resolve("favor" + i);
      write(model, new Favor(i == 0 ? 16 : 4096), favor);
      errors[i] = error(model, favor);
    }
    assertThat(errors[1]).isLessThan(errors[0] / 2).isLessThan(0.25);
  }

  /** Root mean square, relative. */
  private static double error(Path original, Path other) {
    try (var expected = SavedModelPredictor.load(original);
        var actual = SavedModelPredictor.load(other)) {
      SignatureSpec signature = expected.directory().signature(ImportedModel.DEFAULT_SIGNATURE);
      Map<String, NpyArray> inputs = inputs(signature, 7, 0);
      String output = signature.outputs().keySet().iterator().next();
      float[] a = expected.predict(signature.name(), inputs).get(output).floats();
      float[] b = actual.predict(signature.name(), inputs).get(output).floats();
      double wrong = 0;
      double all = 0;
      for (int i = 0; i < a.length; i++) {
        wrong += (a[i] - b[i]) * (a[i] - b[i]);
        all += a[i] * a[i];
      }
      return Math.sqrt(wrong / all);
    }
  }

  /** One projection for a layer in all signatures, which no optimizer changes; others are kept. */
  @Test
  void variablesKeepTheirNames() {
    Path model = ReferenceModels.directory("softmax/keras_cross");
    Path favor = directory.resolve("favor");
    write(model, new Favor(16), favor);
    var before = SavedModelDirectory.open(model);
    var after = SavedModelDirectory.open(favor);
    assertThat(after.signatures().keySet()).isEqualTo(before.signatures().keySet());
    var names = after.variables().stream().map(VariableSpec::name).toList();
    assertThat(names)
        .contains("linear_attention_0/projection", "linear_attention_1/projection")
        .doesNotContain("linear_attention_2/projection");
    try (ImportedModel old = ImportedModel.load(before, List.of("serving_default"));
        ImportedModel now = ImportedModel.load(after, List.of("serving_default"))) {
      assertThat(names(now.trainability().trainable()))
          .containsExactlyInAnyOrderElementsOf(names(old.trainability().trainable()));
    }
  }

  private static List<String> names(List<Variable> variables) {
    return variables.stream().map(Variable::name).toList();
  }

  /** Real tokens do not see padding, nor what comes after them. */
  @Test
  void paddingAndTheFutureAreNotSeen() {
    Path favor = directory.resolve("favor");
    write(ReferenceModels.directory("softmax/causal_padding"), new Favor(64), favor);
    try (var model = SavedModelPredictor.load(favor)) {
      float[] whole = states(model, 3, 5, 0, 4, 6, 7);
      float[] shorter = states(model, 3, 5, 0, 4, 6);
      float[] other = states(model, 3, 5, 0, 4, 6, 2);
      float[] without = states(model, 3, 5, 4, 6);
      for (int i = 0; i < 5 * 8; i++) {
        assertThat(shorter[i]).isCloseTo(whole[i], within(1e-5f));
        assertThat(other[i]).isCloseTo(whole[i], within(1e-5f));
      }
      for (int i = 3 * 8; i < 5 * 8; i++) {
        assertThat(without[i - 8]).isCloseTo(whole[i], within(1e-5f));
      }
    }
  }

  private static float[] states(SavedModelPredictor model, int... tokens) {
    var inputs = Map.of("tokens", NpyArray.of(tokens, 1, tokens.length));
    return model.predict("serving_default", inputs).get("states").floats();
  }

  private static void write(Path model, ImportedAttention.Replacement by, Path target) {
    try (var attention = open(model)) {
      attention.write(all(attention), by, null, target, false);
    }
  }

  private record Favor(int features) implements ImportedAttention.Replacement {
    private FavorConfig config(FoundAttention replaced) {
      var keys = FavorConversion.defaults().lengths(Lengths.CHI).features(features);
      return keys.build().withCausal(replaced.causal()).ofLayer(replaced.layer());
    }

    @Override
    public Optional<ProjectionMatrix> projection(FoundAttention replaced) {
      return config(replaced).draw(replaced.headSize());
    }

    @Override
    public Attention attention(FoundAttention replaced, Operand<TFloat32> projection) {
      return FavorAttention.of(config(replaced), projection);
    }
  }

  private static ImportedAttention open(Path model) {
    return ImportedAttention.open(SavedModelDirectory.open(model));
  }

  private static String said(FoundAttention found) {
    String queries =
        found.queries().stream()
            .map(n -> n < 0 ? "?" : n + "")
            .collect(Collectors.joining(", ", "[", "]"));
    return queries
        + (found.causal() ? " causal" : " bidirectional")
        + (found.masked() ? " masked" : "");
  }

  private static Set<Integer> all(ImportedAttention attention) {
    return attention.layers().stream().map(FoundAttention::layer).collect(Collectors.toSet());
  }

  private record Exact() implements ImportedAttention.Replacement {
    @Override
    public Optional<ProjectionMatrix> projection(FoundAttention replaced) {
      return Optional.empty();
    }

    @Override
    public Attention attention(FoundAttention replaced, Operand<TFloat32> projection) {
      return new ExactAttention(replaced.causal());
    }
  }

  /** Greatest, of outputs where tokens are real, on rows of two lengths with padding. */
  private static double difference(Path original, Path other) {
    double greatest = 0;
    try (var expected = SavedModelPredictor.load(original);
        var actual = SavedModelPredictor.load(other)) {
      for (int length : List.of(6, 9)) {
        for (SignatureSpec signature : expected.directory().signatures().values()) {
          Map<String, NpyArray> inputs = inputs(signature, length, 2);
          var wanted = expected.predict(signature.name(), inputs);
          var got = actual.predict(signature.name(), inputs);
          assertThat(got.keySet()).isEqualTo(wanted.keySet());
          for (String output : wanted.keySet()) {
            greatest = Math.max(greatest, difference(wanted.get(output), got.get(output)));
          }
        }
      }
    }
    return greatest;
  }

  /** The last of three rows ends with padding; a source is longer. */
  private static Map<String, NpyArray> inputs(SignatureSpec signature, int length, int padding) {
    Map<String, NpyArray> inputs = new LinkedHashMap<>();
    for (TensorSpec input : signature.inputs().values()) {
      boolean isDecoder = input.name().startsWith("decoder") || signature.inputs().size() == 1;
      boolean isPair =
          signature.inputs().containsKey("source")
              || signature.inputs().containsKey("decoder_input_ids");
      int own = isPair && !isDecoder && !input.name().equals("tokens") ? length + 3 : length;
      Random random = new Random(length);
      int[] values = new int[3 * own];
      for (int i = 0; i < values.length; i++) {
        boolean isReal = i < 3 * own - padding;
        int token = 2 + random.nextInt(9);
        boolean isZero = !isReal || input.name().contains("type");
        values[i] = isZero ? 0 : input.name().contains("mask") ? 1 : token;
      }
      inputs.put(input.name(), NpyArray.of(values, 3, own));
    }
    return inputs;
  }

  private static double difference(NpyArray expected, NpyArray actual) {
    assertThat(actual.shape()).isEqualTo(expected.shape());
    float[] a = expected.floats();
    float[] b = actual.floats();
    int width = a.length / (3 * (int) expected.shape()[1]);
    double greatest = 0;
    for (int i = 0; i < a.length - 2 * width; i++) {
      greatest = Math.max(greatest, Math.abs(a[i] - b[i]));
    }
    return greatest;
  }
}
