package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.ProteinSequence;
import dev.performer.data.SequenceSource;
import dev.performer.training.run.Checkpoint;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainerLog;
import dev.performer.training.run.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;

/** What interruptions, other data and listeners do to a run. */
class RunDefectsTest {
  @TempDir Path temporary;

  private static Trainer open(
      Graph graph,
      Path run,
      FineTuneOptions.Data data,
      LoopOptions.Builder loop,
      Progress progress) {
    FineTuneOptions options = FineTunerTest.tuning(loop);
    var model = TinyModel.causal(graph);
    return Files.exists(run.resolve("last"))
        ? options.resume(model, data, run, progress)
        : options.start(model, data, run, progress);
  }

  private static TrainingResult train(
      Path run, FineTuneOptions.Data data, LoopOptions.Builder loop) {
    try (Graph graph = new Graph();
        Trainer tuner = open(graph, run, data, loop, Progress.silent())) {
      return tuner.run();
    }
  }

  /** Damaged checkpoints of later steps count among the newest, and the new one was pruned. */
  @Test
  void aCheckpointBesideADamagedNewerOneStays() throws IOException {
    Path run = temporary.resolve("run");
    train(run, TinyModel.data(), FineTunerTest.loop(20).checkpointEvery(10).keepCheckpoints(2));
    Files.write(run.resolve("checkpoints/step-20/variables.data-00000-of-00001"), new byte[3]);
    train(run, TinyModel.data(), FineTunerTest.loop(12).keepCheckpoints(1));
    assertThat(Checkpoint.open(run.resolve("checkpoints/step-12")).state().step()).isEqualTo(12);
    assertThat(Files.readString(run.resolve("last"))).isEqualTo("step-12\n");
    assertThat(run.resolve("checkpoints/step-20")).doesNotExist();
  }

  /** Easier validation data would make every later evaluation better than the best before. */
  @Test
  void theBestIsComparedOnTheSameData() {
    Path run = temporary.resolve("run");
    FineTuneOptions.Data data = TinyModel.data();
    TrainingResult first = train(run, data, FineTunerTest.loop(40).evaluateEvery(20));
    List<ProteinSequence> easy = List.of(new ProteinSequence("a", "", "A".repeat(60)));
    FineTuneOptions.Data other =
        new FineTuneOptions.Data(TinyModel.VOCABULARY, data.train(), SequenceSource.of(easy));
    List<String> lines = new ArrayList<>();
    TrainingResult second;
    try (Graph graph = new Graph();
        Trainer tuner =
            open(
                graph,
                run,
                other,
                FineTunerTest.loop(41).evaluateEvery(20),
                new Progress() {
                  @Override
                  public void message(String line) {
                    lines.add(line);
                  }
                })) {
      second = tuner.run();
      assertThat(second.best().guesses()).isEqualTo(second.after().guesses()).isLessThan(60);
      assertThat(second.best().loss()).isLessThanOrEqualTo(second.after().loss());
      tuner.restoreBest();
    }
    assertThat(lines).anyMatch(line -> line.startsWith("the validation data are others now"));
    assertThat(first.best().guesses()).isGreaterThan(1000);
    lines.clear();
    try (Graph graph = new Graph();
        Trainer tuner = open(graph, run, other, FineTunerTest.loop(42), Progress.silent())) {
      assertThat(tuner.run().best().guesses()).isEqualTo(second.best().guesses());
    }
  }

  @Test
  void readingMetricsLeavesTheFileAsItIs() throws IOException {
    Path file = temporary.resolve("metrics.jsonl");
    String text = "{\"kind\": \"training\",  \"step\": 5}\n{\"kind\":\"validation\",\"st";
    Files.writeString(file, text);
    assertThat(TrainerLog.read(file)).hasSize(1);
    assertThat(Files.readString(file)).isEqualTo(text);
    assertThat(TrainerLog.read(temporary.resolve("none"))).isEmpty();
  }

  @Test
  void aListenerHearsEverythingAndStopsTheRun() {
    List<String> heard = new ArrayList<>();
    Path run = temporary.resolve("run");
    try (Graph graph = new Graph()) {
      Progress[] listener = new Progress[1];
      Trainer[] tuner = new Trainer[1];
      listener[0] =
          new Progress() {
            @Override
            public void step(long step, double loss, double tokensPerSecond) {
              if (step == 5) {
                tuner[0].stop();
              }
            }

            @Override
            public void evaluation(long step, Evaluation evaluation) {
              heard.add("evaluation " + step + (evaluation.loss() > 0 ? "" : "?"));
            }

            @Override
            public void checkpoint(long step, Path directory) {
              heard.add("checkpoint " + directory.getFileName());
            }
          };
      tuner[0] =
          open(
              graph,
              run,
              TinyModel.data(),
              FineTunerTest.loop(30).evaluateEvery(4).checkpointEvery(0),
              listener[0]);
      try (Trainer opened = tuner[0]) {
        TrainingResult result = opened.run();
        assertThat(result.steps()).isEqualTo(5);
        assertThat(result.finished()).isFalse();
        assertThat(heard)
            .containsExactly(
                "evaluation 0",
                "checkpoint step-0",
                "evaluation 4",
                "checkpoint step-4",
                "checkpoint step-5");
        assertThat(opened.run().steps()).as("goes on after a stop").isEqualTo(30);
        opened.stop();
      }
    }
  }

  /** Exits from a listener, in the thread that trains. */
  static final class ExitingMain {
    private ExitingMain() {}

    public static void main(String[] args) {
      try (Graph graph = new Graph();
          Trainer tuner =
              open(
                  graph,
                  Path.of(args[0]),
                  TinyModel.data(),
                  FineTunerTest.loop(1_000_000),
                  new Progress() {
                    @Override
                    public void step(long step, double loss, double tokensPerSecond) {
                      System.exit(7);
                    }
                  })) {
        tuner.run();
      }
    }
  }

  @Test
  void anExitFromTheTrainingThreadDoesNotWaitForIt() throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m",
                "-cp",
                System.getProperty("java.class.path"),
                ExitingMain.class.getName(),
                temporary.resolve("run").toString())
            .redirectErrorStream(true)
            .redirectOutput(temporary.resolve("log").toFile())
            .start();
    try {
      Path last = temporary.resolve("run/last"); // written before the first step
      for (int i = 0; i < 1800 && !Files.exists(last) && process.isAlive(); i++) {
        Thread.sleep(100);
      }
      assertThat(process.waitFor(20, TimeUnit.SECONDS)).as("exits at once").isTrue();
      assertThat(process.exitValue()).isEqualTo(7);
    } finally {
      process.destroyForcibly();
    }
  }
}
