package dev.performer.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.performer.ChildJvm;
import dev.performer.PerformerException;
import dev.performer.pipeline.TrainJob;
import dev.performer.training.run.Checkpoint;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Trainers in processes of their own, killed from outside. */
class RecipeInterruptionTest {
  private static final long WITHOUT_END = 1_000_000;

  @TempDir Path temporary;

  /** Trains, or goes on: arguments are the data's folder, the run directory, the steps. */
  static final class Main {
    private Main() {}

    public static void main(String[] args) {
      Path run = Path.of(args[1]);
      boolean resume = Files.exists(run.resolve("run.lock"));
      TrainJob.of(recipe(Path.of(args[0]), Long.parseLong(args[2])), run)
          .resuming(resume)
          .run(Progress.silent());
    }
  }

  /** A checkpoint after every step: many kills hit a save. */
  private static Recipe recipe(Path folder, long steps) {
    return TinyRecipe.in(
        folder,
        "training.steps=" + steps,
        "training.checkpointEvery=1",
        "training.evaluateEvery=7",
        "training.diagnosticsEvery=0");
  }

  @Test
  void killingAtAnyMomentLeavesARunThatGoesOn() throws Exception {
    kill(3, 3);
  }

  @Test
  @Tag("slow")
  void killingAtFiftyMomentsLeavesARunThatGoesOn() throws Exception {
    kill(50, 11);
  }

  private void kill(int times, long seed) throws Exception {
    TinyRecipe.in(temporary);
    Path run = temporary.resolve("run");
    Random random = new Random(seed);
    long reached = 0;
    for (int i = 0; i < times; i++) {
      try (ChildJvm child = start(run, List.of())) {
        // The start takes seconds, in which little happens; most kills come after it.
        if (random.nextInt(5) > 0) {
          long next = reached + 1;
          child.await("step " + next, () -> lastSaved(run) >= next);
        }
        Thread.sleep(random.nextInt(800));
        assertThat(child.process().isAlive()).isTrue();
        child.kill();
      }
      long loggedBefore = lastLogged(run);
      if (Files.exists(run.resolve("last"))) {
        String last = Files.readString(run.resolve("last")).strip();
        long step = Checkpoint.open(run.resolve("checkpoints").resolve(last)).state().step();
        assertThat(step).isGreaterThanOrEqualTo(reached);
        // One step at most lies between what is logged and what is saved.
        assertThat(loggedBefore).isLessThanOrEqualTo(step + 1);
        reached = step;
      }
    }
    Recipe rest = recipe(temporary, reached + 3);
    var outcome = TrainJob.of(rest, run).resuming(true).run(Progress.silent());
    assertThat(outcome.result().steps()).isEqualTo(reached + 3);
    Path whole = temporary.resolve("whole");
    var expected = TrainJob.of(rest, whole).run(Progress.silent());
    assertThat(outcome.result().after().loss()).isEqualTo(expected.result().after().loss());
    assertThat(hidden(run)).isEmpty();
  }

  @Test
  void twoTrainersOnOneDirectoryAreRefused() throws IOException {
    Path run = temporary.resolve("run");
    TrainJob training = TrainJob.of(TinyRecipe.in(temporary), run).pausingAt(2);
    training.run(Progress.silent());
    try (FileChannel channel = FileChannel.open(run.resolve("run.lock"), StandardOpenOption.WRITE);
        FileLock lock = channel.lock()) {
      assertThat(lock.isValid()).isTrue();
      assertThatThrownBy(() -> training.resuming(true).run(Progress.silent()))
          .isInstanceOf(PerformerException.class)
          .hasMessage(run + " is in use: another process trains there (it holds run.lock)");
    }
  }

  @Test
  void resumingWithoutARunOrWithoutAWholeCheckpointIsOneLine() throws IOException {
    Recipe recipe = TinyRecipe.in(temporary);
    Path gone = temporary.resolve("gone");
    assertThatThrownBy(() -> TrainJob.of(recipe, gone).resuming(true).run(Progress.silent()))
        .isInstanceOf(PerformerException.class)
        .hasMessage(gone + " holds no run to resume (no recipe.yaml)");
    assertThat(gone).doesNotExist();
    Path run = temporary.resolve("run");
    TrainJob training = TrainJob.of(recipe, run).pausingAt(2);
    training.run(Progress.silent());
    assertThatThrownBy(() -> training.run(Progress.silent()))
        .hasMessage(run + " holds a run already; resume it or choose another directory");
    for (String step : List.of("step-0", "step-2")) {
      Files.write(run.resolve("checkpoints").resolve(step).resolve("state.json"), new byte[0]);
    }
    assertThatThrownBy(() -> training.resuming(true).run(Progress.silent()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("has no whole checkpoint to resume from");
  }

  /** A limit on the size of files acts like a disk that fills up. */
  @Test
  void aDiskThatFillsUpIsOneLineAndTheRunGoesOnAfterwards() throws Exception {
    assumeTrue(Files.isExecutable(Path.of("/bin/bash")));
    Path run = temporary.resolve("run");
    TinyRecipe.in(temporary);
    TrainJob.of(recipe(temporary, 3), run).run(Progress.silent());
    // Blocks of 1 KiB: fewer than a checkpoint has, more than metrics and settings.
    List<String> limited = List.of("/bin/bash", "-c", "ulimit -f 20; exec \"$0\" \"$@\"");
    try (ChildJvm child = start(run, limited)) {
      assertThat(child.exitValue()).isEqualTo(1);
    }
    assertThat(Files.readString(temporary.resolve("log")))
        .contains("cannot save checkpoint", "earlier checkpoints are intact")
        .doesNotContain("SIGXFSZ");
    assertThat(Files.readString(run.resolve("last"))).isEqualTo("step-3\n");
    assertThat(hidden(run)).isEmpty();
    var outcome = TrainJob.of(recipe(temporary, 6), run).resuming(true).run(Progress.silent());
    assertThat(outcome.result().steps()).isEqualTo(6);
  }

  private ChildJvm start(Path run, List<String> prefix) throws IOException {
    return ChildJvm.start(
        temporary.resolve("log"), prefix, Main.class, temporary, run, WITHOUT_END);
  }

  /** -1 before the first. */
  private static long lastSaved(Path run) throws IOException {
    Path last = run.resolve("last");
    return Files.exists(last)
        ? Long.parseLong(Files.readString(last).strip().substring("step-".length()))
        : -1;
  }

  private static long lastLogged(Path run) throws IOException {
    long last = 0;
    if (Files.exists(run.resolve("metrics.jsonl"))) {
      for (String line : Files.readAllLines(run.resolve("metrics.jsonl"))) {
        var matcher = java.util.regex.Pattern.compile("\"step\":(\\d+),").matcher(line);
        last = matcher.find() ? Math.max(last, Long.parseLong(matcher.group(1))) : last;
      }
    }
    return last;
  }

  private static List<String> hidden(Path run) throws IOException {
    List<String> names = new ArrayList<>();
    try (var walk = Files.walk(run)) {
      walk.map(path -> path.getFileName().toString())
          .filter(name -> name.startsWith("."))
          .forEach(names::add);
    }
    return names;
  }
}
