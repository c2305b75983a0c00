package dev.performer.training;

import dev.performer.MemoryProbe;
import dev.performer.data.Batching;
import dev.performer.training.optim.Schedule;
import dev.performer.training.run.Progress;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;

/** Memory of the process does not grow with the steps, and no tensor or result stays open. */
class LeakTest {
  /** A batch's tensors are 80 kB here: 2,000 steps move 160 MB. */
  private static final long ALLOWED = 24L << 20;

  @TempDir Path temporary;
  private int run;

  @Test
  void twoThousandStepsLeaveNothing() {
    MemoryProbe.assertFlat(500, 2500, ALLOWED, probe -> train(2500, probe));
  }

  @Test
  @Tag("slow")
  void tenThousandStepsLeaveNothing() {
    MemoryProbe.assertFlat(1000, 11_000, ALLOWED, probe -> train(11_000, probe));
  }

  private void train(long steps, MemoryProbe probe) {
    FineTuneOptions config =
        new FineTuneOptions(
            new Objective.CausalLanguageModel(false),
            Batching.training(64, 4096),
            FineTunerTest.loop(steps)
                .evaluateEvery(0)
                .checkpointEvery(0)
                .schedule(new Schedule.Constant(1e-4, 0))
                .build());
    try (Graph graph = new Graph();
        Trainer tuner =
            config.start(
                TinyModel.causal(graph),
                TinyModel.data(),
                temporary.resolve("run" + run++),
                new Watch(probe))) {
      tuner.run();
    }
  }

  private record Watch(MemoryProbe probe) implements Progress {
    @Override
    public void start(long step, long total) {}

    @Override
    public void step(long step, double loss, double tokensPerSecond) {
      probe.step(step);
    }

    @Override
    public void interval(long step, double loss, double tokensPerSecond, double secondsLeft) {}

    @Override
    public void message(String line) {}

    @Override
    public void close() {}
  }
}
