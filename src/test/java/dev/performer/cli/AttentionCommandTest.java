package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.distill.TinyBert;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AttentionCommandTest {
  @TempDir Path folder;

  private Path model() {
    var keys = JsonNodeFactory.instance.objectNode().put("preset", "bert");
    keys.put("vocabularySize", 13).put("hiddenSize", 8).put("heads", 2).put("layers", 2);
    var config = PerformerConfig.of(keys, "test").with("maxLength=20", "attention={kernel: relu}");
    Path model = folder.resolve("model");
    PerformerModels.write(config, TinyBert.weights(config, 5), null, model, false);
    return model;
  }

  @Test
  void tablesArraysAndPictures() {
    Path model = model();
    Path inputs = folder.resolve("x.npz");
    Npz.write(inputs, Map.of("tokens", NpyArray.of(new int[] {1, 2, 3, 4, 5, 6, 7, 8}, 2, 4)));
    Path output = folder.resolve("y.npz");
    Path plot = folder.resolve("y.png");
    var run =
        CommandLineRun.of(
            "attention",
            model,
            "--inputs",
            inputs,
            "--sequences",
            2,
            "--top",
            3,
            "--layers",
            "1",
            "--rows",
            "-1,0",
            "--output",
            output,
            "--plot",
            plot,
            "--json");
    JsonNode json = run.done().json();
    assertThat(json.path("heads")).hasSize(2);
    JsonNode last = json.path("sequences").path(1).path("queries").path(1);
    assertThat(last.path("position").asInt()).isEqualTo(3);
    assertThat(last.path("token").asText()).isEqualTo("8");
    assertThat(last.path("heads").path(0).path("sources")).hasSize(3);
    assertThat(run.err()).contains("| 1 | relu").contains("Sequence 2, position 3 '8':");
    assertThat(plot).isNotEmptyFile();
    Map<String, NpyArray> arrays = Npz.read(output);
    assertThat(arrays.get("attention").shape()).containsExactly(2, 1, 2, 2, 4);
    float[] row = Arrays.copyOf(arrays.get("attention").floats(), 4);
    assertThat(row[0] + row[1] + row[2] + row[3]).isCloseTo(1, within(1e-5f));
    assertThat(arrays.get("queries").ints()).containsExactly(0, 3, 0, 3);
  }

  @Test
  void whatCannotBeShownIsRefusedInALine() throws Exception {
    Path model = model();
    Path texts = Files.writeString(folder.resolve("x.txt"), "1 2 3\n");
    CommandLineRun.of("attention", model, "--inputs", texts)
        .failed(1, "does not say what its token ids mean");
    CommandLineRun.of("attention", model, "--inputs", texts, "--vocabulary", "ids", "--rows", 9)
        .failed(1, "there is no position 9 in a sequence of 3");
    CommandLineRun.of("attention", model, "--inputs", texts, "--top", 0).failed(2, "at least 1");
    CommandLineRun.of("attention", model, "--inputs", texts, "--vocabulary", "ids", "--length", 30)
        .failed(1, "takes sequences of at most 20 tokens");
    CommandLineRun.of("attention", "savedmodels/protein-mlm/saved_model", "--inputs", texts)
        .failed(1, "does not say how it is built");
  }
}
