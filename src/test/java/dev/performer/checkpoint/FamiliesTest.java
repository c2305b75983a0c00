package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Families of Hugging Face and KerasHub compute what Python computes, or are refused by name. */
class FamiliesTest {
  private static final Path ALL = ReferenceModels.directory("checkpoints/families");

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "roberta_mlm", "roberta_encoder", "xlm_roberta_classifier", "bert_mlm", "bert_pretraining",
        "distilbert_mlm", "distilbert_classifier", "gpt2", "gpt2_inner", "hub_bert_mlm",
        "hub_roberta_classifier", "hub_distilbert_mlm", "hub_gpt2"
      })
  void computesWhatPythonDoes(String name) {
    FamilyCase.of(ALL.resolve(name)).check();
  }

  /** The config.json of a model with other keys, beside its weights. */
  private Path changed(String name, String... keysAndValues) throws IOException {
    ObjectNode config = (ObjectNode) StrictJson.readTree(ALL.resolve(name).resolve("config.json"));
    for (int i = 0; i < keysAndValues.length; i += 2) {
      String value = keysAndValues[i + 1];
      if (value == null) {
        config.remove(keysAndValues[i]);
      } else {
        config.set(keysAndValues[i], new ObjectMapper().readTree(value));
      }
    }
    Path target = Files.createDirectories(folder.resolve("changed"));
    Files.writeString(target.resolve("config.json"), config.toString());
    for (String file : new String[] {"model.safetensors", "tf_model.h5"}) {
      if (Files.exists(ALL.resolve(name).resolve(file))) {
        Files.copy(ALL.resolve(name).resolve(file), target.resolve(file));
      }
    }
    return target;
  }

  private static void refused(Path path, String... parts) {
    assertThatThrownBy(() -> Checkpoints.load(path, ImportOptions.NONE))
        .isInstanceOf(PerformerException.class)
        .satisfies(e -> assertThat(e.getMessage()).contains(parts).doesNotContain("\n"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"electra", "albert", "deberta-v2", "t5", "llama", "roberta-prelayernorm"})
  void aModelTypeThatIsNotReadIsNamed(String type) throws IOException {
    Path path = changed("bert_pretraining", "model_type", "\"" + type + "\"");
    refused(
        path, "model_type " + type, "bert, camembert, distilbert, esm, gpt2, roberta, xlm-roberta");
  }

  @ParameterizedTest
  @CsvSource({
    "roberta_mlm, RobertaForMaskedLM, Hugging Face RoBERTa",
    "roberta_encoder, TFXLMRobertaModel, Hugging Face RoBERTa",
    "bert_mlm, BertForMaskedLM, Hugging Face BERT",
    "roberta_mlm, , Hugging Face RoBERTa",
    "bert_mlm, , Hugging Face BERT",
    "gpt2, , Hugging Face GPT-2",
    "distilbert_mlm, , Hugging Face DistilBERT"
  })
  void architecturesAndNamesTellWhereNoModelTypeDoes(
      String name, String architecture, String scheme) throws IOException {
    String all = architecture == null ? null : "[\"" + architecture + "\"]";
    Path path = changed(name, "model_type", null, "architectures", all);
    ModelWeights known = Checkpoints.load(ALL.resolve(name), ImportOptions.NONE);
    ModelWeights found = Checkpoints.load(path, ImportOptions.NONE);
    assertThat(found.scheme()).isEqualTo(scheme);
    assertThat(found.config()).isEqualTo(known.config());
  }

  @Test
  void namesOfTwoFamiliesAreNotGuessed() throws IOException {
    Path path =
        changed("roberta_encoder", "architectures", "[\"ElectraModel\"]", "model_type", null);
    refused(path, "ElectraModel", "not read");
    Map<String, NpyArray> bare = new LinkedHashMap<>();
    try (WeightFile file = Checkpoints.open(ALL.resolve("roberta_mlm"))) {
      file.tensors().keySet().stream()
          .filter(name -> name.startsWith("roberta."))
          .forEach(name -> bare.put(name.substring("roberta.".length()), file.read(name)));
    }
    Npz.write(folder.resolve("bare.npz"), bare);
    assertThatThrownBy(() -> Checkpoints.load(folder.resolve("bare.npz"), heads()))
        .hasMessageContaining("no model that is known");
    ImportOptions given = ImportOptions.builder().heads(2).scheme("Hugging Face RoBERTa").build();
    assertThat(Checkpoints.load(folder.resolve("bare.npz"), given).config().positions())
        .isEqualTo(PerformerConfig.Positions.LEARNED_BEHIND_PADDING);
  }

  private static ImportOptions heads() {
    return ImportOptions.builder().heads(2).build();
  }

  @ParameterizedTest
  @CsvSource({
    "bert_mlm, is_decoder, true, is_decoder",
    "bert_mlm, position_embedding_type, '\"relative_key\"', relative_key",
    "bert_mlm, hidden_act, '\"mish\"', mish",
    "gpt2, add_cross_attention, true, add_cross_attention",
    "roberta_encoder, pad_token_id, 2, pad_token_id",
    "xlm_roberta_classifier, architectures, '[\"XLMRobertaForTokenClassification\"]', ForTokenClassification"
  })
  void whatIsNotReadIsNamed(String name, String key, String value, String part) throws IOException {
    refused(changed(name, key, value), part);
  }

  @Test
  void factorsOfGpt2sScoresAreThoseOfItsQueries() throws IOException {
    String[] both = {"scale_attn_weights", "false", "scale_attn_by_inverse_layer_idx", "true"};
    var plain = Checkpoints.load(ALL.resolve("gpt2"), ImportOptions.NONE).weights();
    var scaled = Checkpoints.load(changed("gpt2", both), ImportOptions.NONE).weights();
    for (int layer = 0; layer < 2; layer++) {
      String in = "layer_" + layer + "/attention/";
      float factor = (float) (Math.sqrt(4) / (layer + 1));
      for (String weight : new String[] {"query/kernel", "query/bias"}) {
        float[] expected = plain.get(in + weight).floats();
        for (int i = 0; i < expected.length; i++) {
          expected[i] *= factor;
        }
        assertThat(scaled.get(in + weight).floats()).containsExactly(expected);
      }
      assertThat(scaled.get(in + "key/kernel")).isEqualTo(plain.get(in + "key/kernel"));
    }
  }

  @Test
  void aHeadThatIsMissingBeginsAnewOrIsRefused() {
    Path path = ALL.resolve("bert_mlm");
    var classifier = ImportOptions.builder().task("classification");
    assertThatThrownBy(() -> Checkpoints.load(path, classifier.build()))
        .hasMessageContaining("number of classes");
    ModelWeights made = Checkpoints.load(path, classifier.classes(3).build());
    assertThat(made.config().task()).isEqualTo(Task.CLASSIFICATION);
    assertThat(made.config().classes()).isEqualTo(3);
    assertThat(made.weights()).containsKey("layer_1/mlp/in/kernel");
    assertThat(made.weights())
        .doesNotContainKeys("head/transform/kernel", "classifier/logits/kernel");
    assertThat(made.notes()).anyMatch(note -> note.contains("head/transform/kernel"));
    Path own = ALL.resolve("distilbert_classifier"); // of 3 classes
    assertThat(Checkpoints.load(own, classifier.build()).weights())
        .containsKey("classifier/logits/kernel");
    assertThat(Checkpoints.load(own, classifier.classes(2).build()).weights())
        .doesNotContainKey("classifier/logits/kernel");
  }

  @Test
  void bfloat16OfKerasIsNamed() {
    refused(ALL.resolve("bfloat16.weights.h5"), "bfloat16", "float32");
  }

  @Test
  void anEncoderIsReadWithoutItsHead() {
    ImportOptions encoder = ImportOptions.builder().task("encoder").build();
    for (String name : new String[] {"xlm_roberta_classifier", "distilbert_classifier", "gpt2"}) {
      ModelWeights body = Checkpoints.load(ALL.resolve(name), encoder);
      assertThat(body.config().task()).isEqualTo(Task.ENCODER);
      assertThat(body.config().hasClassifier()).isFalse();
    }
    ImportOptions causal = ImportOptions.builder().task("causal-lm").build();
    assertThatThrownBy(() -> Checkpoints.load(ALL.resolve("bert_mlm"), causal))
        .hasMessageContaining("masked-lm, not of causal-lm");
  }
}
