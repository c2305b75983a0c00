package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.performer.data.Batching;
import dev.performer.training.optim.Schedule;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;

/**
 * Memory of the process does not grow with the steps, and no tensor or result stays open. JavaCPP
 * frees what was forgotten when the heap's garbage happens to be collected, which hides leaks from
 * a look at the memory of a small model; so open native objects are counted, too.
 */
class LeakTest {
  private static final Path STATM = Path.of("/proc/self/statm");
  private static final long PAGE = 4096;

  /** A batch's tensors are 80 kB here: 2,000 steps move 160 MB. */
  private static final long ALLOWED = 24L << 20;

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
        FineTuner tuner =
            FineTuner.start(
                TinyModel.causal(graph),
                TinyModel.data(),
                config,
                temporary.resolve("run"),
                probe)) {
      tuner.run();
    }
    assertThat(probe.late - probe.early)
        .as("growth of resident memory, %d -> %d MB", probe.early >> 20, probe.late >> 20)
        .isLessThan(ALLOWED);
    assertThat(probe.opened).as("native objects left open").isZero();
  }

  /**
   * The least resident memory in as many steps after the warm-up as at the end. The allocator keeps
   * up to 100 MB of freed buffers at one time and gives them back at another; so the least counts.
   */
  private static final class Probe implements Progress {
    private static final long EVERY = 50;

    private final long warmUp;
    private long total;
    private long early = Long.MAX_VALUE;
    private long late = Long.MAX_VALUE;
    private long openBefore;
    private long opened;

    Probe(long warmUp) {
      this.warmUp = warmUp;
    }

    @Override
    public void start(long step, long total) {
      this.total = total;
    }

    @Override
    public void step(long step, double loss, double tokensPerSecond) {
      if (step % EVERY == 1) {
        openBefore = Pointer.totalCount();
      } else if (step % EVERY == EVERY - 1) {
        // Closed ones and garbage of others can only lower the count.
        opened = Math.max(opened, Pointer.totalCount() - openBefore);
      }
      if (step % EVERY == 0 && step > warmUp && step <= 2 * warmUp) {
        early = Math.min(early, resident());
      } else if (step % EVERY == 0 && step > total - warmUp) {
        late = Math.min(late, resident());
      }
    }

    @Override
    public void interval(long step, double loss, double tokensPerSecond, double secondsLeft) {}

    @Override
    public void message(String line) {}

    @Override
    public void close() {}

    private static long resident() {
      System.gc();
      try {
        return Long.parseLong(Files.readString(STATM).split(" ")[1]) * PAGE;
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
