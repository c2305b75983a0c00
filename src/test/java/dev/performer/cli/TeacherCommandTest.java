package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.distill.TinyBert;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code fine-tune --teacher} and {@code approximate --model} on small models. */
class TeacherCommandTest {
  @TempDir static Path folder;
  private static Path exact;
  private static Path favor;
  private static Path fasta;

  @BeforeAll
  static void models() throws IOException {
    PerformerConfig config = TinyBert.config("masked-lm");
    Map<String, NpyArray> weights = TinyBert.weights(config, 5);
    exact = TinyBert.write(config, weights, folder.resolve("exact"));
    var converted = TinyBert.favor(config, weights);
    favor = TinyBert.write(converted.config(), converted.weights(), folder.resolve("favor"));
    fasta = folder.resolve("data.fasta");
    StringBuilder text = new StringBuilder();
    Random random = new Random(1);
    for (int i = 0; i < 60; i++) {
      text.append(">").append(i).append("\n");
      random.ints(4 + random.nextInt(20), 0, 11).forEach(c -> text.append((char) ('A' + c)));
      text.append("\n");
    }
    Files.writeString(fasta, text);
  }

  private static CommandLineRun teach(Path student, Path teacher, Path data, String... more) {
    Object[] arguments = new Object[11 + more.length];
    Object[] fixed = {
      "fine-tune",
      student,
      "--teacher",
      teacher,
      "--data",
      data,
      "--output",
      folder.resolve("run"),
      "--set",
      "training.steps=3",
      "--json"
    };
    System.arraycopy(fixed, 0, arguments, 0, fixed.length);
    System.arraycopy(more, 0, arguments, fixed.length, more.length);
    return CommandLineRun.of(arguments);
  }

  private static Path npz(String name, int[] tokens, int rows) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    arrays.put("tokens", NpyArray.of(tokens, rows, tokens.length / Math.max(1, rows)));
    Path file = folder.resolve(name);
    Npz.write(file, arrays);
    return file;
  }

  @Test
  void learnsExportsAndLoads() {
    Path run = folder.resolve("whole");
    CommandLineRun done =
        teach(
                favor,
                exact,
                fasta,
                "--recipe",
                "training/softmax-to-favor.yaml",
                "--set",
                "training.learningRate=1e-3",
                "--output",
                run.toString())
            .done();
    assertThat(done.err()).contains("data.length is that, not 256", "are cropped");
    JsonNode json = done.json();
    assertThat(json.path("steps").asInt()).isEqualTo(3);
    assertThat(json.path("lossAfter").asDouble()).isLessThan(json.path("lossBefore").asDouble());
    assertThat(json.path("teacherAccuracy").isNumber()).isTrue();
    assertThat(json.path("maxOutputDifference").asDouble()).isLessThan(1e-4);
    var student = PerformerModels.load(favor);
    var learned = PerformerModels.load(run.resolve("model"));
    assertThat(learned.config()).isEqualTo(student.config());
    assertThat(learned.weights()).isNotEqualTo(student.weights());
    assertThat(learned.card().provenance().assumptions())
        .anyMatch(note -> note.contains("learned from the teacher"));
    assertThat(PerformerModels.load(exact).weights()).isNotEmpty();
    teach(favor, exact, fasta, "--output", run.toString()).failed(1, "holds a finished run");
    Path exported = folder.resolve("exported");
    CommandLineRun.of("export", run, "--output", exported).done();
    assertThat(PerformerModels.load(exported).weights()).isEqualTo(learned.weights());
  }

  @Test
  void badInput() throws IOException {
    Path recipe = folder.resolve("bad.yaml");
    Files.writeString(recipe, "training:\n  lerningRate: 1\n");
    teach(favor, exact, fasta, "--recipe", recipe.toString())
        .failed(1, "bad.yaml", "unknown key training.lerningRate", "did you mean learningRate?");
    teach(favor, exact, fasta, "--set", "trainig.steps=3")
        .failed(1, "unknown key trainig", "training");
    teach(favor, exact, fasta, "--set", "steps").failed(1, "--set steps: expected KEY=VALUE");
    teach(favor, exact, fasta, "--steps", "5").failed(2, "--steps does not go with --teacher");
    CommandLineRun.of(
            "fine-tune", favor, "--data", fasta, "--output", folder.resolve("no"), "--set", "a=1")
        .failed(2, "--recipe and --set need --teacher");
    Path empty = folder.resolve("empty.fasta");
    Files.writeString(empty, "");
    teach(favor, exact, empty).failed(1, "empty.fasta");
    teach(favor, exact, npz("none.npz", new int[0], 0)).failed(1, "none.npz", "no sequence");
    teach(favor, exact, npz("large.npz", new int[] {1, 2, 3, 99, 1, 1}, 2))
        .failed(1, "large.npz", "token id 99", "0 to 12");
    teach(favor, exact, npz("one.npz", new int[] {1, 2, 3}, 1)).failed(1, "cannot be split");
    teach(favor, folder.resolve("nothing"), fasta).failed(1, "nothing");
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @Test
  void approximatesLayerByLayer() {
    Path plot = folder.resolve("errors.png");
    CommandLineRun run =
        CommandLineRun.of(
                "approximate", "--model", favor, "--data", fasta, "--json", "--plot", plot)
            .done();
    JsonNode layers = run.json().path("layers");
    assertThat(layers).hasSize(2);
    assertThat(layers.get(0).path("features").asInt()).isEqualTo(4);
    assertThat(layers.get(0).path("heads")).hasSize(2);
    assertThat(layers.get(0).path("measured").asDouble()).isPositive();
    assertThat(plot).isNotEmptyFile();
    double few = layers.get(0).path("measured").asDouble();
    JsonNode more =
        CommandLineRun.of(
                "approximate", "--model", exact, "--data", fasta, "--json", "--features", "512")
            .done()
            .json()
            .path("layers");
    assertThat(more.get(0).path("features").asInt()).isEqualTo(512);
    assertThat(more.get(0).path("measured").asDouble()).isLessThan(few / 3);
    CommandLineRun.of("approximate", "--model", exact).failed(2, "--model and --data go together");
    CommandLineRun.of("approximate", "--model", exact, "--data", fasta, "--features", "16,32")
        .failed(2, "--features takes one value with --model");
    CommandLineRun.of("approximate", "--model", folder.resolve("none"), "--data", fasta)
        .failed(1, "none");
  }

  @Test
  void convertedModelsPointOnwards() {
    Path target = folder.resolve("converted");
    CommandLineRun run =
        CommandLineRun.of(
                "convert", exact, "--attention", "favor", "--features", "8", "--output", target)
            .done();
    assertThat(run.out()).contains("approximate --model " + target, "--teacher " + exact);
  }
}
