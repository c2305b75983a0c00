package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.performer.ChildJvm;
import dev.performer.PerformerException;
import dev.performer.training.run.Checkpoint;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;

/** Runs in processes of their own, which are stopped from outside. */
class InterruptionTest {
  @TempDir Path temporary;

  /** Trains, or goes on if there is a run: arguments are directory, steps, checkpoint interval. */
  static final class Main {
    private Main() {}

    public static void main(String[] args) {
      Path run = Path.of(args[0]);
      FineTuneOptions config = config(Long.parseLong(args[1]), Long.parseLong(args[2]));
      Progress progress = Progress.lines(System.err);
      boolean resume = Files.exists(run.resolve("config.json"));
      try (Graph graph = new Graph();
          Trainer tuner =
              resume
                  ? config.resume(TinyModel.causal(graph), TinyModel.data(), run, progress)
                  : config.start(TinyModel.causal(graph), TinyModel.data(), run, progress)) {
        tuner.run();
      } catch (PerformerException e) {
        System.err.println("ERROR " + e.getMessage());
        System.exit(1);
      }
    }
  }

  @Test
  void sigtermSavesAndEnds() throws Exception {
    Path run = temporary.resolve("run");
    Path log = temporary.resolve("log");
    Path metrics = run.resolve("metrics.jsonl");
    try (ChildJvm child = start(log, List.of(), run, 1_000_000, 0)) {
      child.await("metrics", () -> Files.exists(metrics) && Files.size(metrics) >= 400);
      child.process().destroy();
      assertThat(child.exitValue()).isEqualTo(128 + 15);
    }
    long step = reached(run.resolve("last"));
    assertThat(step).isPositive();
    assertThat(Files.readString(log))
        .contains("stopped after step " + step)
        .doesNotContain("no loss.png");
    assertThat(run.resolve("loss.png")).exists();
    assertThat(finish(run, step + 20).steps()).isEqualTo(step + 20);
  }

  @Test
  @Tag("slow")
  void killingAtAnyTimeLeavesARunThatGoesOn() throws Exception {
    Path run = temporary.resolve("run");
    Path last = run.resolve("last");
    Random random = new Random(5);
    long step = 0;
    for (int kill = 0; kill < 12; kill++) {
      try (ChildJvm child = start(temporary.resolve("log" + kill), List.of(), run, 1_000_000, 1)) {
        if (kill % 2 == 1) { // the others may die before their first step
          long before = step;
          child.await("a step", () -> Files.exists(last) && reached(last) > before);
        }
        Thread.sleep(random.nextInt(3500));
        assertThat(child.process().isAlive()).isTrue();
        child.kill();
      }
      if (Files.exists(last)) {
        long reached = reached(last);
        assertThat(reached).isGreaterThanOrEqualTo(step);
        Path checkpoint = run.resolve("checkpoints/step-" + reached);
        assertThat(Checkpoint.open(checkpoint).state().step()).isEqualTo(reached);
        step = reached;
      }
    }
    assertThat(step).isPositive();
    assertThat(finish(run, step + 5).steps()).isEqualTo(step + 5);
  }

  /** A limit on the size of files acts like a disk that fills up while a checkpoint is written. */
  @Test
  void aDiskThatFillsUpIsOneLineAndLeavesTheOlderCheckpoint() throws Exception {
    assumeTrue(Files.isExecutable(Path.of("/bin/bash")));
    Path run = temporary.resolve("run");
    Path log = temporary.resolve("log");
    try (ChildJvm child = start(log, List.of(), run, 10, 5)) {
      assertThat(child.exitValue()).isZero();
    }
    assertThat(run.resolve("checkpoints/step-10")).isDirectory();

    List<String> limited = List.of("/bin/bash", "-c", "ulimit -f 30; exec \"$0\" \"$@\"");
    try (ChildJvm child = start(log, limited, run, 20, 5)) {
      assertThat(child.exitValue()).isEqualTo(1);
    }
    assertThat(Files.readString(log))
        .containsPattern("ERROR cannot save checkpoint .*step-15 .*earlier checkpoints are intact");
    assertThat(Files.readString(run.resolve("last"))).isEqualTo("step-10\n");
    assertThat(run.resolve("checkpoints").toFile().list())
        .contains("step-10")
        .doesNotContain("step-15", ".step-15");
    assertThat(finish(run, 20).steps()).isEqualTo(20);
  }

  private static long reached(Path last) throws IOException {
    return Long.parseLong(Files.readString(last).strip().substring("step-".length()));
  }

  private static FineTuneOptions config(long steps, long checkpointEvery) {
    return FineTunerTest.tuning(FineTunerTest.loop(steps).checkpointEvery(checkpointEvery));
  }

  private static TrainingResult finish(Path run, long steps) {
    try (Graph graph = new Graph();
        Trainer tuner =
            config(steps, 0)
                .resume(TinyModel.causal(graph), TinyModel.data(), run, Progress.silent())) {
      return tuner.run();
    }
  }

  private static ChildJvm start(
      Path log, List<String> prefix, Path run, long steps, long checkpointEvery)
      throws IOException {
    return ChildJvm.start(log, prefix, Main.class, run, steps, checkpointEvery);
  }
}
