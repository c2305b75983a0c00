package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Open native objects and resident memory do not grow with the tokens. */
class GenerationLeakTest {
  private static final int STEPS = 2_000;
  private static final long ALLOWED = 24L << 20;

  @TempDir Path folder;

  @Test
  void twoThousandTokensLeaveNothing() {
    Path model =
        CausalModels.write(
            folder.resolve("model"),
            "{preset: performer, task: causal-lm, vocabularySize: 29, hiddenSize: 64, heads: 2,"
                + " layers: 2, mlpSize: 32, maxLength: 4096, attention: {kernel: relu, causal: true}}");
    Probe probe = new Probe();
    try (GenerationSession session = GenerationSession.open(model)) {
      // Two rows of two layers: each step's states are 66 kB, 132 MB in all.
      session.generate(
          List.of(new int[] {1}, new int[] {2, 3}),
          0,
          STEPS,
          Sampling.mostLikely(),
          OptionalInt.empty(),
          Set.of(),
          probe);
    }
    assertThat(probe.late - probe.early).as("resident bytes").isLessThan(ALLOWED);
    assertThat(probe.opened).as("native objects left open").isZero();
  }

  private static final class Probe implements GenerationSession.Listener {
    private static final int EVERY = 50;
    private int step;
    private long openBefore;
    private long opened;
    private long early = Long.MAX_VALUE;
    private long late = Long.MAX_VALUE;

    @Override
    public void token(int row, int token) {
      if (row != 0) {
        return;
      }
      step++;
      if (step % EVERY == 1) {
        openBefore = Pointer.totalCount();
      } else if (step % EVERY == EVERY - 1) {
        opened = Math.max(opened, Pointer.totalCount() - openBefore);
      }
      if (step % EVERY == 0 && step > STEPS / 4 && step <= STEPS / 2) {
        early = Math.min(early, resident());
      } else if (step % EVERY == 0 && step > STEPS * 3 / 4) {
        late = Math.min(late, resident());
      }
    }

    private static long resident() {
      System.gc();
      return Pointer.physicalBytes();
    }
  }
}
