package dev.performer.serving;

import dev.performer.MemoryProbe;
import java.nio.file.Path;
import java.util.List;
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
    try (GenerationSession session = GenerationSession.open(model)) {
      // The first step makes what all share.
      session.generate(List.of(new int[] {1}), DecodingOptions.of(2, Sampling.mostLikely()));
      // Two rows of two layers: each step's states are 66 kB, 132 MB in all.
      MemoryProbe.assertFlat(
          STEPS / 4,
          STEPS,
          ALLOWED,
          probe -> {
            long[] step = {0};
            session.generate(
                List.of(new int[] {1}, new int[] {2, 3}),
                DecodingOptions.of(STEPS, Sampling.mostLikely()),
                (row, token) -> {
                  if (row == 0) {
                    probe.step(++step[0]);
                  }
                });
          });
    }
  }
}
