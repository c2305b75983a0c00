package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.checkpoint.Checkpoints;
import dev.performer.checkpoint.ImportOptions;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.distill.TinyBert;
import dev.performer.model.InterpolatedPositions;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tables of positions that are stretched are NumPy's, and let a model read on. */
class InterpolatePositionsTest {
  private static final String TABLE = "embeddings/position";
  private static final Map<String, NpyArray> REFERENCE =
      Npz.read(Path.of("src/test/resources/reference/positions.npz"));

  @TempDir Path folder;

  private static PerformerConfig config(String settings) {
    var keys = JsonNodeFactory.instance.objectNode().put("preset", "bert");
    keys.put("vocabularySize", 13).put("hiddenSize", 4).put("heads", 1).put("layers", 1);
    return PerformerConfig.of(keys, "test").with(settings.split(" "));
  }

  @ParameterizedTest
  @CsvSource({
    "maxLength=7, 7, same",
    "maxLength=7, 16, longer",
    "maxLength=7, 11, odd",
    "maxLength=5 positions=learned-behind-padding padId=1, 16, behind",
    "maxLength=6 task=encoder classToken=true, 15, longer"
  })
  void rowsAreThoseOfNumPy(String settings, int length, String expected) {
    var before = Map.of(TABLE, REFERENCE.get("table"));
    var config = config(settings);
    var after = new InterpolatedPositions(length).apply(config, before);
    assertThat(after.config()).isEqualTo(config.with("maxLength=" + length));
    NpyArray table = after.weights().get(TABLE);
    assertThat(table.shape()).isEqualTo(REFERENCE.get(expected).shape());
    assertThat(table.floats()).containsExactly(REFERENCE.get(expected).floats(), within(1e-6f));
    if (expected.equals("same")) {
      assertThat(table.floats()).isEqualTo(REFERENCE.get("table").floats());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "positions=rotary | 700 | no table to interpolate",
        "maxLength=7 | 6 | 7 tokens or more",
        "maxLength=7 pooling=flatten | 9 | flatten and linformer",
        "maxLength=7 attention={\"linformer\":{\"rank\":2}} | 9 | flatten and linformer"
      })
  void refusesWhatHasNoLongerForm(String settings, int length, String message) {
    var table = Map.of(TABLE, REFERENCE.get("table"));
    assertThatThrownBy(() -> new InterpolatedPositions(length).apply(config(settings), table))
        .hasMessageContaining(message);
  }

  @Test
  void aConvertedModelReadsLongerSequences() throws IOException {
    PerformerConfig config = TinyBert.config("masked-lm");
    Path model = TinyBert.write(config, TinyBert.weights(config, 3), folder.resolve("model"));
    Path fasta = folder.resolve("x.fasta");
    Files.writeString(fasta, ">a\nABCDEFGHIJKABCDEFGHIJKABCD\n>b\nKJIHGFED\n");
    CommandLineRun.of("evaluate", model, "--data", fasta, "--length", 24)
        .failed(1, "at most 12 tokens, not 24", "interpolate its positions", "convert");
    Path same = folder.resolve("same");
    CommandLineRun.of("convert", model, "--interpolate-positions", 12, "--output", same).done();
    var weights = PerformerModels.load(same).weights();
    PerformerModels.load(model)
        .weights()
        .forEach((name, w) -> assertThat(weights.get(name).floats()).isEqualTo(w.floats()));
    Path longer = folder.resolve("longer");
    var run =
        CommandLineRun.of(
            "convert", model, "--interpolate-positions", 24, "--output", longer, "--json");
    assertThat(run.done().json().get("layers").isEmpty()).isTrue();
    CommandLineRun.of("evaluate", longer, "--data", fasta, "--length", 24).done();
    Path both = folder.resolve("both");
    CommandLineRun.of(
            "convert",
            model,
            "--interpolate-positions",
            24,
            "--attention",
            "favor",
            "--features",
            8,
            "--output",
            both)
        .done();
    assertThat(PerformerModels.load(both).config().maxLength()).isEqualTo(24);
    Path none = folder.resolve("none");
    CommandLineRun.of("convert", model, "--output", none).failed(2, "--interpolate-positions");
    CommandLineRun.of(
            "convert", model, "--interpolate-positions", 24, "--kernel", "relu", "--output", none)
        .failed(2, "--attention favor");
    CommandLineRun.of("convert", model, "--interpolate-positions", 6, "--output", none)
        .failed(1, "12 tokens or more");
    assertThat(none).doesNotExist();
  }

  @Test
  void anImportedBertGoesBeyondItsPositions() {
    Path checkpoint = Path.of("savedmodels/checkpoints/bert_exact");
    Path model = folder.resolve("bert");
    CommandLineRun.of("import", checkpoint, "--interpolate-positions", 8, "--output", model)
        .failed(1, "64 tokens or more", "leave out --interpolate-positions");
    assertThat(model).doesNotExist();
    CommandLineRun.of("import", checkpoint, "--interpolate-positions", 128, "--output", model)
        .done();
    assertThat(PerformerModels.load(model).config().longestSequence()).hasValue(128);
    assertThat(PerformerModels.load(model).weights().get(TABLE).shape()).containsExactly(128, 32);
  }

  /** GPT-2's table begins with the first token, RoBERTa's behind padding. */
  @ParameterizedTest
  @CsvSource({"families, gpt2, 0", "families, roberta_mlm, 2", "torch_families, esm1b_mlm, 2"})
  void importedTablesOfOtherFamiliesAreStretched(String all, String name, int kept)
      throws IOException {
    Path checkpoint = ReferenceModels.directory("checkpoints/" + all).resolve(name);
    float[] old = Checkpoints.load(checkpoint, ImportOptions.NONE).weights().get(TABLE).floats();
    Path model = folder.resolve("model");
    CommandLineRun.of("import", checkpoint, "--interpolate-positions", 47, "--output", model)
        .done();
    var longer = PerformerModels.load(model);
    assertThat(longer.config().longestSequence()).hasValue(47); // of 24
    int size = longer.config().hiddenSize();
    float[] rows = longer.weights().get(TABLE).floats();
    assertThat(rows).hasSize((kept + 47) * size);
    for (int i = 0; i < kept * size; i++) {
      assertThat(rows[i]).isEqualTo(old[i]);
    }
    for (int i = 0; i < 47; i++) {
      for (int c = 0; c < size; c++) { // every other row is an old one, the rest half of two
        float a = old[(kept + i / 2) * size + c];
        float b = old[(kept + (i + 1) / 2) * size + c];
        assertThat(rows[(kept + i) * size + c]).isCloseTo((a + b) / 2, within(1e-6f));
      }
    }
    Path ids = folder.resolve("ids.npz");
    int[] tokens = IntStream.range(0, 47).map(i -> 4 + i % 20).toArray();
    Npz.write(ids, Map.of("tokens", NpyArray.of(tokens, 1, 47)));
    Path out = folder.resolve("out.npz");
    CommandLineRun.of("predict", model, "--inputs", ids, "--output", out).done();
    assertThat(Npz.read(out).get("logits").shape()).startsWith(1, 47);
  }
}
