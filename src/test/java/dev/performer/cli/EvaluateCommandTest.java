package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.savedmodel.ModelCard;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What {@code evaluate} measures of a model that a recipe trained is what {@code train} measured.
 */
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
    JsonNode own = evaluate("--recipe", run(), "--context", "32,8");
    JsonNode ofFile = evaluate("--data", text, "--context", "8,32");
    assertThat(ofFile.findValues("loss")).isEqualTo(own.findValues("loss"));
    JsonNode contexts = own.get("contexts");
    assertThat(contexts.findValuesAsText("context")).containsExactly("8", "32");
    double last = contexts.get(1).get("loss").asDouble();
    assertThat(contexts.get(1).get("bits").asDouble()).isCloseTo(last / Math.log(2), within(1e-9));
    assertThat(contexts.get(0).get("loss").asDouble()).isNotEqualTo(last);
    long sequences = Files.size(text) / 32;
    assertThat(own.get("guesses").asLong()).isEqualTo(16 * sequences);
    refused("no sequence has the 64 tokens", "--recipe", run(), "--context", "64");
    refused("6 is no multiple of 4", "--data", text, "--context", "4,6");
    refused("even number", "--data", text, "--context", "5");
    refused("--length", "--data", text, "--context", "8", "--length", 16);
  }

  /** Two sequences, each of a file of its own too, of which the standard error follows. */
  @Test
  void changesByContextHaveAnErrorOverSequences() throws IOException {
    List<String> sequences =
        List.of("In the beginning was the word. \n", "é, an accent of two bytes 123456");
    Path both = temporary.resolve("both.txt");
    Files.writeString(both, String.join("", sequences).substring(0, 63) + "\n");
    byte[] bytes = Files.readAllBytes(both);
    train("task: causal-lm\ndata: {train: %1$s, validation: %1$s, length: 32}", both);
    Path plot = temporary.resolve("bits.png");
    JsonNode all = evaluate("--data", both, "--context", "8,32", "--plot", plot);
    assertThat(ImageIO.read(plot.toFile()).getWidth()).isPositive();
    assertThat(all.get("sequences").asInt()).isEqualTo(2);
    assertThat(all.get("bytes").asInt()).isEqualTo(all.get("guesses").asInt()).isEqualTo(32);
    double[] changes = new double[2];
    for (int i = 0; i < 2; i++) {
      Path one = temporary.resolve(i + ".txt");
      Files.write(one, Arrays.copyOfRange(bytes, 32 * i, 32 * i + 32));
      JsonNode own = evaluate("--data", one, "--context", "8,32").get("contexts");
      assertThat(own.get(1).has("changeError")).isFalse();
      changes[i] = own.get(1).get("bits").asDouble() - own.get(0).get("bits").asDouble();
    }
    JsonNode last = all.get("contexts").get(1);
    double mean = (changes[0] + changes[1]) / 2;
    assertThat(last.get("change").asDouble()).isCloseTo(mean, within(1e-6));
    // Of two numbers it is half of their distance.
    double error = Math.abs(changes[0] - changes[1]) / 2;
    assertThat(last.get("changeError").asDouble()).isCloseTo(error, within(1e-6)).isPositive();
    assertThat(last.get("bitsAByte").asDouble()).isEqualTo(last.get("bits").asDouble());
    refused("give both", "--data", both, "--plot", plot);
  }

  @Test
  void linesAreTokenizedAsInTraining() throws IOException {
    Path text = temporary.resolve("t.txt");
    Files.writeString(
        text, "the performer is a transformer.\nattention in linear time\n".repeat(20));
    Path tokenizer = Path.of("src/test/resources/tokenizers/bpe/tokenizer.json").toAbsolutePath();
    JsonNode trained =
        train(
            "task: causal-lm\ndata: {train: %1$s, validation: %1$s, length: 32, vocabulary: "
                + tokenizer
                + "}",
            text);
    assertSame(evaluate("--data", text), trained, "loss", "accuracy", "perplexity");
    assertSame(evaluate("--recipe", run()), trained, "loss", "accuracy", "perplexity");
    JsonNode contexts = evaluate("--data", text, "--context", "8,16");
    JsonNode context = contexts.get("contexts").get(0);
    double tokensAByte = contexts.get("guesses").asDouble() / contexts.get("bytes").asDouble();
    assertThat(tokensAByte).isBetween(0.1, 0.9);
    assertThat(context.get("bitsAByte").asDouble())
        .isCloseTo(context.get("bits").asDouble() * tokensAByte, within(1e-9));
    Path card = run().resolve("model/assets.extra/performer.json");
    ObjectNode older = (ObjectNode) new ObjectMapper().readTree(card.toFile());
    ((ObjectNode) older.get("languageModel")).remove("end");
    ((ObjectNode) older.get("data")).put("end", false);
    Files.writeString(card, older.toString());
    assertSame(evaluate("--data", text), trained, "loss", "accuracy", "perplexity");
  }

  @Test
  void imagesOfMnistsFormatAreClassified() throws IOException {
    Path images = temporary.resolve("few-images-idx3-ubyte");
    Path labels = temporary.resolve("few-labels-idx1-ubyte");
    idx(images, labels);
    JsonNode trained =
        train("task: classification\ndata: {train: %1$s, validation: %1$s, levels: 8}", images);
    assertSame(evaluate("--data", images), trained, "loss", "accuracy", "macroF1");
    Path elsewhere = temporary.resolve("labels-of-another-name");
    Files.move(labels, elsewhere);
    refused("few-labels-idx1-ubyte", "--data", images);
    assertSame(evaluate("--data", images, "--label", elsewhere), trained, "loss", "accuracy");
  }

  @Test
  void foldersOfImagesAreClassified() throws IOException {
    Path folder = temporary.resolve("images");
    for (String name : List.of("light", "dark")) {
      Files.createDirectories(folder.resolve(name));
      for (int i = 0; i < 12; i++) {
        var image = new BufferedImage(3, 4, BufferedImage.TYPE_BYTE_GRAY);
        image.getRaster().setSample(i % 3, i / 3, 0, name.equals("light") ? 250 - i : 30 + i);
        ImageIO.write(image, "png", folder.resolve(name).resolve(i + ".png").toFile());
      }
    }
    JsonNode trained =
        train("task: classification\ndata: {train: %1$s, validation: %1$s, levels: 8}", folder);
    assertSame(evaluate("--data", folder), trained, "loss", "accuracy", "macroF1");
  }

  @Test
  void answersAreRetrieved() throws IOException {
    JsonNode trained =
        train(
            "task: causal-lm\ndata: {kind: retrieval, length: 32, bucket: 32,"
                + " exercise: {pairs: 3, records: true, keys: 4, values: 5, examples: 50, validation: 9}}",
            "");
    assertSame(evaluate(), trained, "loss", "accuracy", "perplexity");
    assertSame(evaluate("--recipe", run()), trained, "loss", "accuracy");
  }

  @Test
  void missingSpansAreWritten() throws IOException {
    Path proteins = temporary.resolve("p.fasta");
    Files.writeString(proteins, ">a\nMKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDG\n".repeat(20));
    JsonNode trained =
        train(
            "task: sequence-to-sequence\ndata: {train: %1$s, validation: %1$s, length: 48}",
            proteins);
    assertSame(evaluate("--recipe", run()), trained, "loss", "accuracy", "perplexity");
    assertSame(evaluate("--data", proteins), trained, "loss", "accuracy", "perplexity");
  }

  @Test
  void fineTunedModelsStillSayHowTheirDataAreRead() throws IOException {
    Path proteins = temporary.resolve("p.fasta");
    Files.writeString(proteins, ">a\nMKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDG\n".repeat(20));
    train("task: causal-lm\ndata: {train: %1$s, validation: %1$s, length: 48}", proteins);
    Path tuned = temporary.resolve("tuned");
    CommandLineRun.of(
            "fine-tune",
            run().resolve("model"),
            "--data",
            proteins,
            "--validation",
            proteins,
            "--output",
            tuned,
            "--steps",
            1)
        .done();
    assertThat(ModelCard.read(tuned.resolve("model")).orElseThrow().data())
        .isEqualTo(ModelCard.read(run().resolve("model")).orElseThrow().data())
        .isNotNull();
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

  /** Twenty-four images of 2 × 3 pixels in two classes. */
  private static void idx(Path images, Path labels) throws IOException {
    ByteBuffer pixels = ByteBuffer.allocate(16 + 24 * 6);
    pixels.putInt(0x803).putInt(24).putInt(2).putInt(3);
    ByteBuffer classes = ByteBuffer.allocate(8 + 24);
    classes.putInt(0x801).putInt(24);
    for (int i = 0; i < 24; i++) {
      for (int pixel = 0; pixel < 6; pixel++) {
        pixels.put((byte) (i % 2 == 0 ? 10 * pixel : 255 - 20 * pixel - i));
      }
      classes.put((byte) (i % 2));
    }
    Files.write(images, pixels.array());
    Files.write(labels, classes.array());
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
