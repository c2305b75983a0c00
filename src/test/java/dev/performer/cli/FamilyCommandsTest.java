package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.data.Npz;
import dev.performer.data.StrictJson;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Models of Hugging Face and KerasHub through the command line. */
class FamilyCommandsTest {
  private static final Path ALL = ReferenceModels.directory("checkpoints/families");

  @TempDir Path folder;

  @Test
  void gpt2ContinuesATextAsPythonDoes() throws IOException {
    Path gpt2 = ALL.resolve("gpt2");
    Path model = folder.resolve("gpt2");
    CommandLineRun.of("import", gpt2, "--output", model).done();
    CommandLineRun run =
        CommandLineRun.of(
                "generate", model, "--prompt", "The quick", "--greedy", "--tokens", 10, "--json")
            .done();
    JsonNode tokens = new ObjectMapper().readTree(run.out()).at("/results/0/tokens");
    assertThat(StrictJson.bind(tokens, int[].class, "tokens"))
        .containsExactly(Npz.read(gpt2.resolve("expected.npz")).get("continuation").ints());

    Path favor = folder.resolve("favor");
    CommandLineRun.of("convert", model, "--attention", "favor", "--features", 16, "--output", favor)
        .done();
    assertThat(CommandLineRun.of("inspect", favor).done().out())
        .contains("causal FAVOR+", "BPE, 330 tokens", "decode_step");
  }

  @Test
  void inspectShowsFamilySizesAndTokenizer() {
    assertThat(CommandLineRun.of("inspect", ALL.resolve("roberta_mlm")).done().out())
        .contains(
            "Hugging Face RoBERTa (roberta)", "masked-lm, 2 layers of width 8", "BPE, 330 tokens");
    Path archive = ALL.resolve("hub_bert_mlm/model.keras");
    assertThat(CommandLineRun.of("inspect", archive).done().out())
        .contains("KerasHub (BertMaskedLM)", "vocabulary of 120", "WordPiece, 120 tokens");
  }

  @Test
  void aTokenizerOfSentencePieceIsLeftOut() throws IOException {
    Path own = Files.createDirectories(folder.resolve("xlm"));
    for (String file : new String[] {"config.json", "tf_model.h5"}) {
      Files.copy(ALL.resolve("xlm_roberta_classifier").resolve(file), own.resolve(file));
    }
    Files.writeString(own.resolve("tokenizer.json"), "{\"model\": {\"type\": \"Unigram\"}}");
    Path model = folder.resolve("model");
    assertThat(CommandLineRun.of("import", own, "--output", model).done().out())
        .contains("no tokenizer", "tokenizer.json", "SentencePiece");
  }

  @Test
  void aNewClassifierMustBeAllowed() {
    Path bert = ALL.resolve("bert_mlm");
    Path model = folder.resolve("classifier");
    CommandLineRun.of("import", bert, "--task", "classification", "--output", model)
        .failed(1, "number of classes", "--classes");
    CommandLineRun.of("import", bert, "--task", "classification", "--classes", 3, "--output", model)
        .failed(1, "classifier/logits/kernel", "--allow-missing");
    assertThat(model).doesNotExist();
    CommandLineRun run =
        CommandLineRun.of(
                "import",
                bert,
                "--task",
                "classification",
                "--classes",
                3,
                "--allow-missing",
                "--output",
                model)
            .done();
    assertThat(run.out())
        .contains("drawn anew", "classifier/logits/kernel", "left out", "head/transform/kernel");
    assertThat(CommandLineRun.of("inspect", model).done().out()).contains("classification");
  }
}
