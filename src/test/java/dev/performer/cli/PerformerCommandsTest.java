package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.ProteinVocabulary;
import dev.performer.model.ReferenceModel;
import dev.performer.model.Task;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.testing.ReferenceCase;
import dev.performer.training.ModelCards;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Commands on a SavedModel of a Transformer that Java built: no flag is needed. */
class PerformerCommandsTest {
  private static final Path VALID = Path.of("training/data/valid.fasta.gz");

  @TempDir Path folder;

  private Path written(String name) {
    ReferenceModel model = ReferenceModel.proteinLm(name);
    Path target = folder.resolve(name);
    ModelCard card =
        ModelCard.of(
            model.config().attentionOf(0),
            ModelCards.vocabulary("protein", ProteinVocabulary.google()),
            PerformerModels.languageModel(
                model.config(),
                model.config().task() == Task.MASKED_LM
                    ? new ModelCard.Masking(0.15, 0.1, 0.8, ModelCard.Masking.PROTEIN_LM)
                    : null),
            null);
    PerformerModels.write(model.config(), model.weights(), card, target, false);
    return target;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"lm_relu", "lm_exact", "lm_softmax_favor", "bert_exact", "bert_softmax_favor"})
  void predictsWhatPythonDid(String name) {
    Path model = written(name);
    Map<String, NpyArray> golden = ReferenceModel.proteinLm(name).golden();
    for (String which : new String[] {"", "2", "3"}) {
      Path inputs = folder.resolve("x" + which + ".npz");
      Npz.write(inputs, Map.of("tokens", golden.get("tokens" + which)));
      Path outputs = folder.resolve("y" + which + ".npz");
      CommandLineRun.of("predict", model, "--inputs", inputs, "--output", outputs).done();
      assertThat(Npz.read(outputs).get("logits").floats())
          .usingComparatorWithPrecision(1e-4f)
          .containsExactly(golden.get("logits" + which).floats());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "lm_exact, 2.829106092453003, 0.12014885991811752, 16.930320739746094",
    "lm_relu, 2.8291378021240234, 0.1196797713637352, 16.930856704711914",
    "lm_softmax_favor, 2.8292832374572754, 0.11924195289611816, 16.933319091796875",
  })
  void evaluatesAsPythonDid(String name, double loss, double accuracy, double perplexity) {
    JsonNode json =
        CommandLineRun.of("evaluate", written(name), "--data", VALID, "--json").done().json();
    assertThat(json.get("loss").asDouble()).isCloseTo(loss, within(5e-5));
    assertThat(json.get("accuracy").asDouble()).isCloseTo(accuracy, within(5e-5));
    assertThat(json.get("perplexity").asDouble()).isCloseTo(perplexity, within(5e-4));
    assertThat(json.get("sequences").asInt()).isEqualTo(500);
  }

  @ParameterizedTest
  @ValueSource(strings = {"lm_relu", "bert_exact"})
  void embedsAsPythonDid(String name) {
    Map<String, NpyArray> golden = embedded(name);
    Map<String, NpyArray> outputs = run(written(name), "embed", golden.get("embed_tokens"));
    assertThat(outputs.get("embedding").floats())
        .usingComparatorWithPrecision(1e-4f)
        .containsExactly(golden.get("embed_mean").floats());
    assertThat(outputs.get("embeddings").shape()).containsExactly(8, 64, 32);
  }

  @ParameterizedTest
  @CsvSource({
    "lm_relu, mean",
    "lm_relu, sum",
    "lm_relu, max",
    "bert_exact, mean",
    "bert_exact, sum",
    "bert_exact, max",
    "lm_softmax_favor, max"
  })
  void embedPoolsAsPythonDid(String name, String pool) {
    Map<String, NpyArray> golden = embedded(name);
    Path inputs = folder.resolve("in.npz");
    Npz.write(inputs, Map.of("tokens", golden.get("embed_tokens")));
    Path out = folder.resolve("out.npz");
    CommandLineRun.of("embed", written(name), "--inputs", inputs, "--output", out, "--pool", pool)
        .done();
    float[] expected = golden.get("embed_" + pool).floats();
    double scale = 0;
    for (float x : expected) {
      scale = Math.max(scale, Math.abs(x));
    }
    assertThat(Npz.read(out).get("embedding").floats())
        .usingComparatorWithPrecision((float) (1e-4 * Math.max(1, scale)))
        .containsExactly(expected);
  }

  @ParameterizedTest
  @ValueSource(strings = {"lm_relu", "lm_softmax_favor"})
  void theCommandScoresAsPythonDid(String name) {
    Map<String, NpyArray> golden = embedded(name);
    Path inputs = folder.resolve("in.npz");
    Npz.write(inputs, Map.of("tokens", golden.get("tokens")));
    Path out = folder.resolve("out.npz");
    CommandLineRun.of("score", written(name), "--inputs", inputs, "--output", out).done();
    assertThat(Npz.read(out).get("log_probability").floats())
        .usingComparatorWithPrecision(1e-3f)
        .containsExactly(golden.get("logprob").floats());
  }

  @Test
  void scoresAsPythonDid() {
    Map<String, NpyArray> golden = embedded("lm_relu");
    Map<String, NpyArray> outputs = run(written("lm_relu"), "score", golden.get("tokens"));
    assertThat(outputs.get("log_probability").floats())
        .usingComparatorWithPrecision(1e-3f)
        .containsExactly(golden.get("logprob").floats());
    assertThat(outputs.get("log_probabilities").shape()).containsExactly(8, 64);
  }

  @Test
  void aMaskedModelScoresEachTokenUnderAMask() {
    Path model = written("bert_exact");
    int[] tokens = {0, 5, 9, 27, 12, 3, 7, 26};
    float[] scores =
        run(model, "score", NpyArray.of(tokens, 2, 4)).get("log_probabilities").floats();
    for (int i = 0; i < tokens.length; i++) {
      int[] hidden = tokens.clone();
      hidden[i] = 28;
      float[] logits =
          run(model, "serving_default", NpyArray.of(hidden, 2, 4)).get("logits").floats();
      double sum = 0;
      for (int v = 0; v < 29; v++) {
        sum += Math.exp(logits[29 * i + v]);
      }
      boolean isSpecial = tokens[i] == 26 || tokens[i] == 27; // the end token and padding
      double expected = isSpecial ? 0 : logits[29 * i + tokens[i]] - Math.log(sum);
      assertThat(scores[i]).isCloseTo((float) expected, within(1e-4f));
    }
  }

  @Test
  void fineTuningExportsAModelThatCanBeBuiltAgain() {
    Path model = written("lm_relu");
    Path out = folder.resolve("run");
    JsonNode json =
        CommandLineRun.of(
                "fine-tune",
                model,
                "--data",
                "training/data/family_train.fasta.gz",
                "--validation",
                "training/data/family_test.fasta.gz",
                "--output",
                out,
                "--steps",
                40,
                "--learning-rate",
                1e-3,
                "--warmup",
                4,
                "--batch-tokens",
                2048,
                "--evaluate-every",
                0,
                "--json")
            .done()
            .json();
    assertThat(json.get("perplexityAfter").asDouble())
        .isLessThan(json.get("perplexityBefore").asDouble() - 0.02);
    PerformerModels.Saved before = PerformerModels.load(model);
    PerformerModels.Saved after = PerformerModels.load(out.resolve("model"));
    assertThat(after.config()).isEqualTo(before.config());
    assertThat(after.weights().keySet()).isEqualTo(before.weights().keySet());
    assertThat(after.weights().get("head/logits/kernel"))
        .isNotEqualTo(before.weights().get("head/logits/kernel"));
    assertThat(after.card().languageModel()).isEqualTo(before.card().languageModel().withEnd(true));
    JsonNode again =
        CommandLineRun.of(
                "evaluate",
                out.resolve("model"),
                "--data",
                "training/data/family_test.fasta.gz",
                "--json")
            .done()
            .json();
    assertThat(again.get("perplexity").asDouble())
        .isCloseTo(json.get("perplexityAfter").asDouble(), within(1e-4));
  }

  @Test
  void tooLongInputsAreToldApart() {
    Path model = written("lm_relu");
    Path inputs = folder.resolve("long.npz");
    Npz.write(inputs, Map.of("tokens", NpyArray.of(new int[65], 1, 65)));
    Path out = folder.resolve("y.npz");
    CommandLineRun.of("predict", model, "--inputs", inputs, "--output", out)
        .failed(1, "65 tokens a row", "takes 64 at most");
    CommandLineRun.of("predict", model, "--inputs", VALID, "--output", out, "--length", 128)
        .failed(1, "at most 64 tokens, not 128", "--length 64");
    CommandLineRun.of("evaluate", model, "--data", VALID, "--length", 128)
        .failed(1, "at most 64 tokens, not 128");
    CommandLineRun.of(
            "fine-tune",
            model,
            "--data",
            VALID,
            "--output",
            folder.resolve("r"),
            "--continue-optimizer")
        .failed(1, "no state of an optimizer");
    assertThat(out).doesNotExist();
    assertThat(folder.resolve("r")).doesNotExist();
  }

  @Test
  void aModelOfPythonCannotBeBuiltAgain() {
    assertThatThrownBy(() -> PerformerModels.load(Path.of("savedmodels/protein-mlm/saved_model")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no config in")
        .hasMessageContaining("import the checkpoint");
  }

  private static Map<String, NpyArray> embedded(String name) {
    return Npz.read(ReferenceCase.directory("/reference/protein_lm_embed").resolve(name + ".npz"));
  }

  private Map<String, NpyArray> run(Path model, String signature, NpyArray tokens) {
    Path inputs = folder.resolve("in.npz");
    Npz.write(inputs, Map.of("tokens", tokens));
    Path outputs = folder.resolve("out.npz");
    CommandLineRun.of(
            "predict", model, "--inputs", inputs, "--output", outputs, "--signature", signature)
        .done();
    return Npz.read(outputs);
  }
}
