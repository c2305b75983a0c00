package dev.performer.savedmodel.softmax;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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
          hf_bart        | [?, 2, ?, 4] bidirectional masked; [?, 2, ?, 4] causal masked; [?, 2, ?, 4] bidirectional masked
          """)
  void theExactTwinIsTheModel(String name, String expected) {
    Path model = ReferenceModels.directory("softmax/" + name);
    Path twin = directory.resolve("twin");
    try (var attention = open(model)) {
      assertThat(attention.found()).noneMatch(FoundAttention::isLeft);
      assertThat(attention.layers().stream().map(ImportedAttentionTest::said))
          .containsExactlyInAnyOrder(expected.split("; "));
      attention.write(all(attention), new Exact(), null, twin, false);
    }
    assertThat(difference(model, twin)).isLessThan(1e-5);
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
          Map<String, NpyArray> inputs = inputs(signature, length);
          var wanted = expected.predict(signature.name(), inputs);
          var got = actual.predict(signature.name(), inputs);
          assertThat(got.keySet()).isEqualTo(wanted.keySet());
          for (String output : wanted.keySet()) {
            greatest = Math.max(greatest, difference(wanted.get(output), got.get(output), length));
          }
        }
      }
    }
    return greatest;
  }

  /** The last of three rows ends with two tokens of padding; a source is longer. */
  private static Map<String, NpyArray> inputs(SignatureSpec signature, int length) {
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
        boolean isReal = i < 3 * own - 2;
        int token = 2 + random.nextInt(9);
        values[i] = !isReal ? 0 : input.name().contains("mask") ? 1 : token;
      }
      inputs.put(input.name(), NpyArray.of(values, 3, own));
    }
    return inputs;
  }

  private static double difference(NpyArray expected, NpyArray actual, int length) {
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
