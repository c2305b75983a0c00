package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.performer.data.Batching;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;

/** Memory of the process does not grow with the steps: every tensor and result is closed. */
class LeakTest {
  private static final Path STATM = Path.of("/proc/self/statm");
  private static final long PAGE = 4096;

  /** A batch's tensors are 50 kB here: unclosed, 2,000 steps would leave 100 MB and more. */
  private static final long ALLOWED = -400L << 20;

  @TempDir Path temporary;

  @Test
  void twoThousandStepsLeaveNothing() throws IOException {
    assertFlat(500, 2500);
  }

  @Test
  @Tag("slow")
  void tenThousandStepsLeaveNothing() throws IOException {
    assertFlat(1000, 11_000);
  }

  private void assertFlat(long warmUp, long steps) throws IOException {
    assumeTrue(Files.isReadable(STATM), "needs /proc");
    Probe probe = new Probe(warmUp);
    TrainingConfig config =
        FineTunerTest.config(steps)
            .batching(Batching.training(64, 4096))
            .evaluateEvery(0)
            .checkpointEvery(0)
            .schedule(new LearningRateSchedule.Constant(1e-4, 0))
            .build();
    try (Graph graph = new Graph();
        FineTuner tuner =
            FineTuner.start(
                TinyModel.causal(graph),
                TinyModel.data(),
                config,
                temporary.resolve("run"),
                probe)) {
      tuner.run();
    }
    assertThat(probe.after - probe.before)
        .as("growth of resident memory, %d -> %d MB", probe.before >> 20, probe.after >> 20)
        .isLessThan(ALLOWED);
  }

  /** Resident memory after the warm-up and after the last step, without garbage of the heap. */
  private static final class Probe implements Progress {
    private final long warmUp;
    private long total;
    private long before;
    private long after;

    Probe(long warmUp) {
      this.warmUp = warmUp;
    }

    @Override
    public void start(long step, long total) {
      this.total = total;
    }

    @Override
    public void step(long step, double loss, double tokensPerSecond) {
      if (step == warmUp) {
        before = resident();
      } else if (step == total) {
        after = resident();
      }
    }

    @Override
    public void interval(long step, double loss, double tokensPerSecond, double secondsLeft) {}

    @Override
    public void message(String line) {}

    @Override
    public void close() {}

    private static long resident() {
      Runtime runtime = Runtime.getRuntime();
      System.gc();
      try {
        String[] fields = Files.readString(STATM).split(" ");
        return Long.parseLong(fields[1]) * PAGE - runtime.totalMemory();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
