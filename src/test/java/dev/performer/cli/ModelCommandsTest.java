package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** evaluate, fine-tune, predict and export on the shipped model. */
class ModelCommandsTest {
  private static final Path SHIPPED = Path.of("savedmodels/protein-mlm");
  private static final Path MODEL = SHIPPED.resolve("saved_model");
  private static final Path VALID = Path.of("training/data/valid.fasta.gz");

  @TempDir static Path shared;
  private static Path fasta;
  private static Path run;
  private static JsonNode tuned;

  @TempDir Path folder;

  @BeforeAll
  static void tune() throws IOException {
    fasta = shared.resolve("small.fasta");
    Files.writeString(fasta, sequences(60, 1));
    run = shared.resolve("run");
    tuned =
        CommandLineRun.of(
                "fine-tune",
                MODEL,
                "--data",
                fasta,
                "--output",
                run,
                "--steps",
                6,
                "--length",
                64,
                "--batch-tokens",
                1024,
                "--learning-rate",
                0.003,
                "--warmup",
                1,
                "--evaluate-every",
                3,
                "--checkpoint-every",
                2,
                "--json")
            .done()
            .json();
  }

  /** Proteins with a pattern that a few steps can find. */
  private static String sequences(int count, int seed) {
    Random random = new Random(seed);
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < count; i++) {
      text.append(">p").append(i).append('\n');
      for (int j = 0; j < 50; j++) {
        text.append(random.nextInt(10) == 0 ? 'K' : "LA".charAt(j % 2));
      }
      text.append('\n');
    }
    return text.toString();
  }

  @Test
  void fineTuningMakesTheModelBetter() {
    assertThat(tuned.get("perplexityAfter").asDouble())
        .isLessThan(0.7 * tuned.get("perplexityBefore").asDouble());
    assertThat(tuned.get("maxOutputDifference").asDouble()).isLessThan(1e-5);
    assertThat(tuned.get("finished").asBoolean()).isTrue();
    assertThat(run)
        .isDirectoryContaining("glob:**/metrics.jsonl")
        .isDirectoryContaining("glob:**/loss.png")
        .isDirectoryContaining("glob:**/config.json");
  }

  @Test
  void theTunedModelEvaluatesToTheSamePerplexity() {
    Path held = folder.resolve("held.fasta");
    StringBuilder text = new StringBuilder();
    String[] records = sequences(60, 1).split(">");
    for (int i = 0; i < 60; i += 20) {
      text.append('>').append(records[i + 1]);
    }
    write(held, text.toString());
    JsonNode again =
        CommandLineRun.of(
                "evaluate",
                run.resolve("model"),
                "--data",
                held,
                "--length",
                64,
                "--batch-tokens",
                1024,
                "--json")
            .done()
            .json();
    assertThat(again.get("perplexity").asDouble())
        .isCloseTo(tuned.get("perplexityAfter").asDouble(), within(1e-4));
  }

  @Test
  void predictionsEqualPythons() {
    Map<String, NpyArray> expected = Npz.read(SHIPPED.resolve("expected.npz"));
    Path in = folder.resolve("in.npz");
    Path out = folder.resolve("out.npz");
    for (int i = 0; i < 3; i++) {
      Npz.write(in, Map.of("tokens", expected.get("in" + i + "/tokens")));
      CommandLineRun.of("predict", MODEL, "--inputs", in, "--output", out).done();
      close(Npz.read(out).get("logits"), expected.get("out" + i + "/logits"), 1e-5);
      CommandLineRun.of("predict", MODEL, "--inputs", in, "--output", out, "--signature", "embed")
          .done();
      close(Npz.read(out).get("embedding"), expected.get("out" + i + "/embedding"), 1e-5);
    }
  }

  @Test
  void sequencesOfATextAreThoseOfAFasta() {
    Path text = folder.resolve("s.txt");
    write(text, "MKTAYIAKQR\n\nACDEFGHIKLMNPQ\r\nmkt\n");
    Path asFasta = folder.resolve("s.fa");
    write(asFasta, ">1\nMKTAYIAKQR\n>2\nACDEFGH\nIKLMNPQ\n>3\nMKT\n");
    CommandLineRun.of(
            "predict", MODEL, "--inputs", text, "--output", folder.resolve("a.npz"), "--batch", 2)
        .done();
    CommandLineRun.of(
            "predict",
            MODEL,
            "--inputs",
            asFasta,
            "--output",
            folder.resolve("b.npz"),
            "--batch",
            3)
        .done();
    Map<String, NpyArray> a = Npz.read(folder.resolve("a.npz"));
    Map<String, NpyArray> b = Npz.read(folder.resolve("b.npz"));
    assertThat(a.get("lengths").ints()).containsExactly(11, 15, 4);
    assertThat(a.get("tokens")).isEqualTo(b.get("tokens"));
    assertThat(a.get("logits").shape()).containsExactly(3, 15, 29);
    // Model Garden's exp features take a maximum over the batch: the batch may show in the last
    // digits.
    close(a.get("logits"), b.get("logits"), 1e-4);
  }

  @Test
  void exportOfARunHasTheWeightsOfItsCheckpoint() throws IOException {
    Path exported = folder.resolve("exported");
    CommandLineRun.of("export", run, "--output", exported).done();
    assertThat(outputs(exported)).isEqualTo(outputs(run.resolve("model")));
    CommandLineRun.of("export", run, "--output", folder.resolve("start"), "--checkpoint", "step-6")
        .done();
    CommandLineRun.of("export", run, "--output", exported).failed(1, exported.toString(), "exists");
    CommandLineRun.of("export", run, "--output", exported, "--replace").done();
    CommandLineRun.of("export", run, "--output", folder.resolve("x"), "--checkpoint", "step-7")
        .failed(1, "step-7", "no such checkpoint");
    assertThat(folder.resolve("x")).doesNotExist();
  }

  @Test
  void exportOfAModelIsTheSameModel() throws IOException {
    Path copy = folder.resolve("copy");
    CommandLineRun.of("export", MODEL, "--output", copy).done();
    assertThat(outputs(copy)).isEqualTo(outputs(MODEL));
    assertThat(Files.readAllBytes(copy.resolve("saved_model.pb")))
        .isEqualTo(Files.readAllBytes(MODEL.resolve("saved_model.pb")));
    assertThat(copy.resolve("assets.extra/performer.json")).exists();
  }

  @Test
  void aRunCanBeContinued() {
    Path other = folder.resolve("run");
    Object[] common = {
      "--data",
      fasta,
      "--output",
      other,
      "--length",
      64,
      "--batch-tokens",
      1024,
      "--warmup",
      1,
      "--evaluate-every",
      0,
      "--json"
    };
    CommandLineRun.of(concat(new Object[] {"fine-tune", MODEL, "--steps", 2}, common)).done();
    CommandLineRun.of(concat(new Object[] {"fine-tune", MODEL, "--steps", 4}, common))
        .failed(1, other.toString(), "--resume");
    JsonNode more =
        CommandLineRun.of(
                concat(new Object[] {"fine-tune", MODEL, "--steps", 4, "--resume"}, common))
            .done()
            .json();
    assertThat(more.get("steps").asInt()).isEqualTo(4);
    CommandLineRun.of(
            concat(
                new Object[] {"fine-tune", MODEL, "--steps", 4, "--resume", "--seed", 9}, common))
        .failed(1, "seed");
    Object[] another = {
      "fine-tune",
      "savedmodels/reference/protein_exp/saved_model",
      "--objective",
      "masked-lm",
      "--vocabulary",
      "pad-first-protein",
      "--resume"
    };
    CommandLineRun.of(concat(another, common))
        .failed(1, "trains another model", MODEL.toAbsolutePath().toString());
  }

  @Test
  void dataThatWillNotDoLeavesNoRunBehind() throws IOException {
    Path one = Files.writeString(folder.resolve("one.fasta"), ">a\nMKVLAAG\n");
    Path empty = Files.writeString(folder.resolve("headers.fasta"), ">a\n>b\n>c\n");
    Path place = folder.resolve("none");
    CommandLineRun.of("fine-tune", MODEL, "--data", one, "--output", place)
        .failed(1, one.toString(), "--validation");
    CommandLineRun.of("fine-tune", MODEL, "--data", empty, "--output", place)
        .failed(1, empty.toString(), "nothing to guess");
    assertThat(place).doesNotExist();
    Path file = Files.writeString(folder.resolve("file"), "");
    CommandLineRun.of("fine-tune", MODEL, "--data", fasta, "--output", file)
        .failed(1, file.toString(), "is a file");
    CommandLineRun.of("evaluate", "savedmodels/reference/bert_softmax/saved_model", "--data", fasta)
        .failed(1, "sequence_output", "--vocabulary", "--logits");
    CommandLineRun.of("quickstart", "--steps", 0).failed(2, "--steps");
    CommandLineRun.of("export", MODEL, "--output", "").failed(2, "--output", "empty");
  }

  @Test
  void divergenceStopsWithTheStep() {
    CommandLineRun.of(
            "fine-tune",
            MODEL,
            "--data",
            fasta,
            "--output",
            folder.resolve("nan"),
            "--steps",
            30,
            "--length",
            64,
            "--batch-tokens",
            512,
            "--learning-rate",
            "1e30",
            "--warmup",
            0,
            "--debug-numerics")
        .failed(1, "diverged at step", ", op ", "checkpoint", "learning rate");
    assertThat(folder.resolve("nan/checkpoints/step-0")).isDirectory();
  }

  @Test
  void badOptionsAndDataAreOneLine() throws IOException {
    Path out = folder.resolve("out");
    CommandLineRun.of("fine-tune", MODEL, "--data", folder.resolve("none.fasta"), "--output", out)
        .failed(1, "none.fasta");
    Path empty = Files.createFile(folder.resolve("empty.fasta"));
    CommandLineRun.of("fine-tune", MODEL, "--data", empty, "--output", out)
        .failed(1, "empty.fasta");
    CommandLineRun.of("evaluate", MODEL, "--data", empty).failed(1, "empty.fasta");
    Path binary =
        Files.write(folder.resolve("binary.fasta"), new byte[] {0, 1, 2, 3, 0, (byte) 200});
    CommandLineRun.of("evaluate", MODEL, "--data", binary).failed(1, "binary.fasta");
    CommandLineRun.of("evaluate", MODEL, "--data", VALID, "--signature", "embd")
        .failed(1, "embd", "embed", "serving_default");
    CommandLineRun.of("evaluate", MODEL, "--data", VALID, "--logits", "nope")
        .failed(1, "nope", "logits");
    CommandLineRun.of("evaluate", MODEL, "--data", VALID, "--vocabulary", "klingon")
        .failed(1, "klingon", "google-protein");
    CommandLineRun.of("evaluate", MODEL, "--data", VALID, "--objective", "guess")
        .failed(2, "guess", "masked-lm");
    CommandLineRun.of("fine-tune", MODEL, "--data", fasta, "--output", out, "--steps", 0)
        .failed(2, "steps");
    CommandLineRun.of("fine-tune", MODEL, "--data", fasta, "--output", out, "--learning-rate", -1)
        .failed(2, "--learning-rate");
    CommandLineRun.of("fine-tune", MODEL, "--data", fasta, "--output", out, "--schedule", "cubic")
        .failed(2, "cubic");
    Path file = Files.writeString(folder.resolve("file"), "x");
    CommandLineRun.of("fine-tune", MODEL, "--data", fasta, "--output", file.resolve("run"))
        .failed(1, "file");
    Path in = folder.resolve("in.npz");
    Npz.write(in, Map.of("token", NpyArray.of(new int[] {1}, 1, 1)));
    CommandLineRun.of("predict", MODEL, "--inputs", in, "--output", out)
        .failed(1, "in.npz", "tokens", "token");
    Npz.write(in, Map.of("tokens", NpyArray.of(new float[] {1.5f}, 1, 1)));
    CommandLineRun.of("predict", MODEL, "--inputs", in, "--output", out)
        .failed(1, "tokens", "int32");
    Npz.write(in, Map.of("tokens", NpyArray.of(new int[] {1}, 1)));
    CommandLineRun.of("predict", MODEL, "--inputs", in, "--output", out)
        .failed(1, "tokens", "shape");
    Npz.write(in, Map.of("tokens", NpyArray.of(new int[] {1, 2}, 1, 2)));
    CommandLineRun.of("predict", MODEL, "--inputs", in, "--output", out, "--signature", "nope")
        .failed(1, "nope", "serving_default");
    assertThat(out).doesNotExist();
  }

  private Map<String, NpyArray> outputs(Path model) throws IOException {
    Path in = folder.resolve("q.npz");
    Path out = folder.resolve("r.npz");
    Npz.write(in, Map.of("tokens", NpyArray.of(new int[] {1, 5, 28, 7, 9, 26, 27, 27}, 2, 4)));
    CommandLineRun.of("predict", model, "--inputs", in, "--output", out).done();
    return new TreeMap<>(Npz.read(out));
  }

  private static void close(NpyArray actual, NpyArray expected, double tolerance) {
    assertThat(actual.shape()).isEqualTo(expected.shape());
    assertThat(actual.floats()).containsExactly(expected.floats(), within((float) tolerance));
  }

  private static Object[] concat(Object[] a, Object[] b) {
    Object[] all = Arrays.copyOf(a, a.length + b.length);
    System.arraycopy(b, 0, all, a.length, b.length);
    return all;
  }

  private static void write(Path file, String text) {
    try {
      Files.writeString(file, text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
