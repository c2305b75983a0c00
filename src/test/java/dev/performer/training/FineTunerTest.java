package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.Masking;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.training.optim.Schedule;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;
import org.tensorflow.Tensor;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;

class FineTunerTest {
  /** Of 20 letters that are equally frequent. */
  private static final double UNIGRAM_PERPLEXITY = 20;

  private static final Objective CAUSAL = new Objective.CausalLanguageModel(false);

  @TempDir Path temporary;

  @Test
  void aCausalModelLearnsTheLanguage() throws IOException {
    Path run = temporary.resolve("run");
    TrainingResult result = train(run, tuning(loop(120).evaluateEvery(40).checkpointEvery(50)));
    assertThat(result.finished()).isTrue();
    assertThat(result.before().perplexity()).isBetween(20.0, 40.0);
    // The language itself has a perplexity of about exp(0.42 + 0.1 · ln 20) ≈ 1.9.
    assertThat(result.after().perplexity()).isLessThan(0.35 * UNIGRAM_PERPLEXITY);
    assertThat(result.after().accuracy()).isGreaterThan(0.75);
    assertThat(result.best().loss()).isLessThanOrEqualTo(result.after().loss());
    assertThat(result.unusedVariables()).containsExactly("forgotten/kernel");
    assertThat(result.tokensPerSecond()).isPositive();

    List<JsonNode> metrics = metrics(run);
    assertThat(metrics.stream().filter(m -> m.path("kind").asText().equals("validation")))
        .extracting(m -> m.path("step").asInt())
        .containsExactly(0, 40, 80, 120);
    assertThat(metrics.stream().filter(m -> m.path("kind").asText().equals("training")))
        .hasSize(12)
        .allMatch(m -> m.path("loss").asDouble() > 0 && m.path("gradientNorm").asDouble() > 0);
    assertThat(ImageIO.read(run.resolve("loss.png").toFile()).getWidth()).isEqualTo(900);
    assertThat(Files.readString(run.resolve("last"))).isEqualTo("step-120\n");
    assertThat(result.checkpoint()).isDirectory();
    JsonNode config = new ObjectMapper().readTree(run.resolve("config.json").toFile());
    assertThat(config.at("/objective/kind").asText()).isEqualTo("causal-language-model");
    assertThat(config.at("/training/schedule").asText()).isEqualTo("constant");
    assertThat(config.at("/vocabulary/tokens").size()).isEqualTo(29);
  }

  @Test
  void aMaskedModelLearnsTheLanguage() {
    FineTuneOptions config =
        new FineTuneOptions(
            new Objective.MaskedLanguageModel(Masking.BERT),
            tuning(loop(150)).batching(),
            loop(150).build());
    try (Graph graph = new Graph();
        Trainer tuner =
            config.start(
                TinyModel.masked(graph),
                TinyModel.data(),
                temporary.resolve("run"),
                Progress.silent())) {
      TrainingResult result = tuner.run();
      assertThat(result.after().perplexity()).isLessThan(0.7 * UNIGRAM_PERPLEXITY);
      assertThat(result.after().perplexity()).isLessThan(0.6 * result.before().perplexity());
    }
  }

  @Test
  void halfAndResumeAndHalfIsTheWholeToTheBit() throws IOException {
    train(temporary.resolve("whole"), tuning(loop(30).logEvery(5)));
    Path halves = temporary.resolve("halves");
    // The schedule of a constant rate does not know the length of the run.
    train(halves, tuning(loop(15).logEvery(5)));
    try (Graph graph = new Graph();
        Trainer tuner =
            tuning(loop(30).logEvery(5))
                .resume(TinyModel.causal(graph), TinyModel.data(), halves, Progress.silent())) {
      assertThat(tuner.run().steps()).isEqualTo(30);
    }
    Map<String, byte[]> whole = variables(temporary.resolve("whole/checkpoints/step-30"));
    Map<String, byte[]> resumed = variables(halves.resolve("checkpoints/step-30"));
    assertThat(whole.keySet()).isEqualTo(resumed.keySet()).hasSizeGreaterThan(10);
    whole.forEach((key, bytes) -> assertThat(resumed.get(key)).as(key).isEqualTo(bytes));
    assertThat(losses(halves)).isEqualTo(losses(temporary.resolve("whole")));
  }

  @Test
  void aDamagedCheckpointIsPassedOver() throws IOException {
    Path run = temporary.resolve("run");
    train(run, tuning(loop(20).checkpointEvery(10)));
    for (String damage : List.of("cut", "missing", "flipped", "stateless")) {
      Path copy = temporary.resolve(damage);
      ReferenceModels.copy(run, copy);
      Path newest = copy.resolve("checkpoints/step-20");
      Path data = newest.resolve("variables.data-00000-of-00001");
      byte[] bytes = Files.readAllBytes(data);
      switch (damage) {
        case "cut" -> Files.write(data, Arrays.copyOf(bytes, bytes.length - 1));
        case "missing" -> Files.delete(newest.resolve("variables.index"));
        case "flipped" -> {
          bytes[bytes.length / 2] ^= 1;
          Files.write(data, bytes);
        }
        default -> Files.writeString(newest.resolve("state.json"), "{\"sta");
      }
      // What a kill leaves: an unfinished checkpoint and half a line of metrics.
      Files.createDirectories(copy.resolve("checkpoints/.step-25/x"));
      Files.writeString(
          copy.resolve("metrics.jsonl"), "{\"kind\":\"tra", StandardOpenOption.APPEND);
      ByteArrayOutputStream log = new ByteArrayOutputStream();
      try (Graph graph = new Graph();
          Trainer tuner =
              tuning(loop(20).checkpointEvery(10))
                  .resume(
                      TinyModel.causal(graph),
                      TinyModel.data(),
                      copy,
                      Progress.lines(new PrintStream(log)))) {
        assertThat(log.toString(StandardCharsets.UTF_8))
            .contains("step-20 is not whole")
            .contains("resumed at step 10");
        assertThat(tuner.run().steps()).isEqualTo(20);
      }
      assertThat(copy.resolve("checkpoints/.step-25")).doesNotExist();
      assertThat(metrics(copy))
          .extracting(m -> m.path("step").asInt())
          .containsExactly(0, 10, 20, 20);
      assertThat(variables(newest).keySet())
          .isEqualTo(variables(run.resolve("checkpoints/step-20")).keySet());
    }
  }

  @Test
  void aLossThatIsNotFiniteStopsTheRunAndKeepsTheLastCheckpoint() throws IOException {
    Path run = temporary.resolve("run");
    try (Graph graph = new Graph()) {
      LanguageModel model = TinyModel.causal(graph);
      FineTuneOptions config =
          tuning(loop(50).checkpointEvery(5).schedule(new Schedule.Linear(1e-3, 0, 0)));
      Poison poison = new Poison(model, 12);
      try (Trainer tuner = config.start(model, TinyModel.data(), run, poison)) {
        poison.tuner = tuner;
        assertThatThrownBy(tuner::run)
            .isInstanceOf(PerformerException.class)
            .hasMessageContaining("diverged at step 13")
            .hasMessageContaining("first not finite: the variable hidden/bias;")
            .hasMessageContaining("step-10")
            .hasMessageNotContaining("\n");
      }
    }
    assertThat(Files.readString(run.resolve("last"))).isEqualTo("step-10\n");
    try (Graph graph = new Graph();
        Trainer tuner =
            tuning(loop(15))
                .resume(TinyModel.causal(graph), TinyModel.data(), run, Progress.silent())) {
      assertThat(tuner.run().after().loss()).isFinite();
    }
  }

  @Test
  void onlyTheNewestAndTheBestCheckpointsStay() throws IOException {
    Path run = temporary.resolve("run");
    TrainingResult result = train(run, tuning(loop(20).checkpointEvery(2).keepCheckpoints(3)));
    try (Stream<Path> list = Files.list(run.resolve("checkpoints"))) {
      assertThat(list.map(p -> p.getFileName().toString()))
          .containsExactlyInAnyOrder("step-16", "step-18", "step-20");
    }
    assertThat(Files.readString(run.resolve("best"))).isEqualTo("step-" + result.bestStep() + "\n");
  }

  @Test
  void restoresTheBestWeights() {
    // Far too high a rate: training makes the model worse, so the best is before training.
    FineTuneOptions config =
        tuning(loop(12).schedule(new Schedule.Constant(3, 0)).checkpointEvery(3));
    try (Graph graph = new Graph()) {
      LanguageModel model = TinyModel.causal(graph);
      try (Trainer tuner =
          config.start(model, TinyModel.data(), temporary.resolve("run"), Progress.silent())) {
        TrainingResult result = tuner.run();
        assertThat(result.bestStep()).isZero();
        tuner.restoreBest();
        Evaluation again =
            Validation.of(
                    Trainable.of(model),
                    TokenBatchSource.evaluation(
                        ExampleBatches.of(
                            TinyModel.data().validation(),
                            TinyModel.data().tokenizer(),
                            config.batching().forEvaluation(),
                            0),
                        CAUSAL))
                .evaluate(tuner.session(), () -> false)
                .orElseThrow();
        assertThat(again.loss()).isEqualTo(result.before().loss());
      }
    }
  }

  @Test
  void twoRunsOnOneGraphDoNotDisturbEachOther() throws IOException {
    train(temporary.resolve("alone"), tuning(loop(10)));
    try (Graph graph = new Graph()) {
      LanguageModel model = TinyModel.causal(graph);
      try (Trainer first =
              tuning(loop(10))
                  .start(model, TinyModel.data(), temporary.resolve("a"), Progress.silent());
          Trainer second =
              tuning(loop(10))
                  .start(model, TinyModel.data(), temporary.resolve("b"), Progress.silent())) {
        first.run();
        second.run();
      }
    }
    for (String run : List.of("a", "b")) {
      assertThat(losses(temporary.resolve(run))).isEqualTo(losses(temporary.resolve("alone")));
    }
  }

  @Test
  void saysWhatItDoesInLines() {
    ByteArrayOutputStream log = new ByteArrayOutputStream();
    runTwentySteps(Progress.lines(new PrintStream(log)));
    assertThat(log.toString(StandardCharsets.UTF_8).lines())
        .anyMatch(line -> line.matches("step 0  validation perplexity [0-9.]+  accuracy [0-9.]+ %"))
        .anyMatch(line -> line.matches("step 10/20  loss [0-9.]+  [0-9]+ tokens/s  [0-9]+ s left"))
        .anyMatch(line -> line.contains("forgotten/kernel"));
  }

  @Test
  void drawsABarOnATerminal() {
    ByteArrayOutputStream drawn = new ByteArrayOutputStream();
    runTwentySteps(Progress.bar(new PrintStream(drawn)));
    assertThat(drawn.toString(StandardCharsets.UTF_8)).contains("20/20").contains("tokens/s");
  }

  private void runTwentySteps(Progress progress) {
    try (Graph graph = new Graph();
        Trainer tuner =
            tuning(loop(20))
                .start(
                    TinyModel.causal(graph),
                    TinyModel.data(),
                    temporary.resolve("run"),
                    progress)) {
      tuner.run();
    }
  }

  static LoopOptions.Builder loop(long steps) {
    return LoopOptions.builder()
        .schedule(new Schedule.Constant(0.01, 5))
        .steps(steps)
        .evaluateEvery(0)
        .checkpointEvery(0)
        .diagnosticsEvery(0)
        .divergence(0);
  }

  static FineTuneOptions tuning(LoopOptions.Builder loop) {
    return new FineTuneOptions(CAUSAL, Batching.training(64, 1024), loop.build());
  }

  private static TrainingResult train(Path run, FineTuneOptions config) {
    try (Graph graph = new Graph();
        Trainer tuner =
            config.start(TinyModel.causal(graph), TinyModel.data(), run, Progress.silent())) {
      return tuner.run();
    }
  }

  private static Map<String, byte[]> variables(Path checkpoint) {
    Map<String, byte[]> result = new TreeMap<>();
    try (CheckpointReader reader = CheckpointReader.open(checkpoint.resolve("variables"))) {
      for (String key : reader.entries().keySet()) {
        try (Tensor tensor = reader.tensor(key)) {
          result.put(key, Tensors.bytes(tensor));
        }
      }
    }
    return result;
  }

  /** Sets a bias to NaN after a step, as an overflow would. */
  private static final class Poison implements Progress {
    private final long step;
    private Trainer tuner;
    private Op poison;

    Poison(LanguageModel model, long step) {
      this.step = step;
      Ops tf = Ops.create(model.graph());
      Variable bias =
          model.variables().stream()
              .filter(v -> v.name().equals("hidden/bias"))
              .findFirst()
              .orElseThrow();
      poison =
          Variables.assign(tf, bias, tf.fill(tf.constant(bias.shape()), tf.constant(Float.NaN)));
    }

    @Override
    public void step(long done, double loss, double tokensPerSecond) {
      if (done == step) {
        tuner.session().runner().addTarget(poison).run().close();
      }
    }

    @Override
    public void start(long done, long total) {}

    @Override
    public void interval(long done, double loss, double tokensPerSecond, double secondsLeft) {}

    @Override
    public void message(String line) {}

    @Override
    public void close() {}
  }

  private static List<Double> losses(Path run) throws IOException {
    return metrics(run).stream()
        .filter(m -> m.path("kind").asText().equals("training"))
        .map(m -> m.path("loss").asDouble())
        .toList();
  }

  private static List<JsonNode> metrics(Path run) throws IOException {
    List<JsonNode> result = new ArrayList<>();
    for (String line : Files.readAllLines(run.resolve("metrics.jsonl"))) {
      result.add(new ObjectMapper().readTree(line));
    }
    return result;
  }
}
