package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code evaluate} says of a model that a recipe trained is what {@code train} said. */
class EvaluateCommandTest {
  private static final String SMALL =
      """
      model: {layers: 1, hiddenSize: 16, heads: 2, mlpSize: 32, attention: {kernel: relu, features: 8}}
      training: {steps: 3, batchTokens: 1024, learningRate: 1.0e-2, warmupSteps: 1, schedule: constant,
        evaluateEvery: 0, evaluationBatches: 0, checkpointEvery: 0, diagnosticsEvery: 0}
      """;
  private static final Path DIGITS = Path.of("training/data/digits_valid.npz");
  private static final Path RECORDS = Path.of("src/test/resources/data/labelled.tfrecord.gz");

  @TempDir Path temporary;

  @Test
  void pixelsAreMeasuredInBitsPerDimension() throws IOException {
    JsonNode trained =
        train(
            "task: causal-lm\ndata: {train: training/data/digits_train.npz, validation: %s}",
            DIGITS);
    JsonNode own = evaluate("--data", DIGITS);
    assertSame(own, trained, "loss", "accuracy", "perplexity", "bitsPerDimension");
    assertSame(evaluate("--recipe", run()), trained, "loss", "bitsPerDimension");
    refused(
        "is data of the kind fasta, but the model was trained on data of the kind pixels",
        "--data",
        "training/data/valid.fasta.gz");
    refused("--data is missing");
  }

  @Test
  void tableRowsAreClassified() throws IOException {
    Path table = temporary.resolve("t.csv");
    StringBuilder rows = new StringBuilder("letters,family\n");
    for (int i = 0; i < 60; i++) {
      rows.append(i % 3 == 0 ? "ACDEACDE,b\n" : "WYVTW,a\n");
    }
    Files.writeString(table, rows);
    JsonNode trained =
        train(
            "task: classification\ndata: {train: %1$s, validation: %1$s, text: letters, label:"
                + " family, length: 16}",
            table);
    assertSame(evaluate("--data", table), trained, "loss", "accuracy", "macroAccuracy", "macroF1");
    Path other = temporary.resolve("o.csv");
    Files.writeString(other, rows.toString().replace("letters,family", "protein,kind"));
    assertSame(evaluate("--data", other, "--text", "protein", "--label", "kind"), trained, "loss");
    refused("letters", "--data", other);
    refused(
        "has no labels, but the task of the model is classification",
        "--data",
        "training/data/valid.fasta.gz");
    refused(
        "make no sense where data are read as in training",
        "--data",
        table,
        "--objective",
        "masked-lm");
  }

  @Test
  void tfRecordsAreClassified() throws IOException {
    JsonNode trained =
        train(
            "task: classification\ndata: {train: %1$s, validation: %1$s, label: family}",
            RECORDS.toAbsolutePath());
    assertSame(evaluate("--data", RECORDS), trained, "loss", "accuracy", "macroF1");
    refused("but the model was trained on data of the kind tfrecord", "--data", DIGITS);
  }

  @Test
  void numbersAreMeasuredInTheUnitOfTraining() throws IOException {
    Path table = temporary.resolve("t.csv");
    StringBuilder rows = new StringBuilder("sequence,label\n");
    for (int i = 0; i < 60; i++) {
      rows.append("ACDEFGHIKL".substring(i % 7)).append(',').append(300 + i % 7).append('\n');
    }
    Files.writeString(table, rows);
    JsonNode trained =
        train("task: regression\ndata: {train: %1$s, validation: %1$s, length: 16}", table);
    assertSame(evaluate("--data", table), trained, "loss", "r2");
  }

  @Test
  void bytesOfTextAreCutAsInTraining() throws IOException {
    Path text = temporary.resolve("t.txt");
    Files.writeString(text, "A line.\nAnother, longer line of the text.\n".repeat(40));
    JsonNode trained =
        train("task: causal-lm\ndata: {train: %1$s, validation: %1$s, length: 32}", text);
    assertSame(evaluate("--data", text), trained, "loss", "accuracy", "perplexity");
  }

  @Test
  void madeUpTasksNeedNoData() throws IOException {
    JsonNode trained =
        train(
            "task: causal-lm\ndata: {kind: copy, length: 16, exercise: {examples: 50, validation: 9}}",
            "");
    assertSame(evaluate(), trained, "loss", "accuracy");
    refused("which is made up: leave --data out", "--data", "training/data/valid.fasta.gz");
  }

  @Test
  void modelsThatNoRecipeTrainedSayWhatIsMissing() {
    CommandLineRun.of("evaluate", "savedmodels/protein-mlm/saved_model", "--data", DIGITS)
        .failed(1, "does not say how training/data/digits_valid.npz is read", "--recipe");
  }

  private Path run() {
    return temporary.resolve("run");
  }

  private JsonNode train(String head, Object file) throws IOException {
    Path recipe = temporary.resolve("recipe.yaml");
    Files.writeString(recipe, String.format(head, file) + "\n" + SMALL);
    return CommandLineRun.of("train", recipe, "--output", run(), "--json").done().json();
  }

  private JsonNode evaluate(Object... options) {
    return CommandLineRun.of(arguments(options, "--json")).done().json();
  }

  private void refused(String message, Object... options) {
    CommandLineRun run = CommandLineRun.of(arguments(options));
    run.failed(run.exitCode() == 2 ? 2 : 1, message);
  }

  private Object[] arguments(Object[] options, Object... more) {
    List<Object> all = new ArrayList<>(List.of("evaluate", run().resolve("model")));
    all.addAll(List.of(options));
    all.addAll(List.of(more));
    return all.toArray();
  }

  private static void assertSame(JsonNode evaluated, JsonNode trained, String... measures) {
    for (String name : measures) {
      assertThat(evaluated.get(name)).as(name).isNotNull();
      assertThat(evaluated.get(name).asDouble())
          .as(name)
          .isCloseTo(trained.get(name + "After").asDouble(), within(1e-5));
    }
  }
}
