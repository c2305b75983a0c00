package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.function.Consumer;
import org.bytedeco.javacpp.Pointer;

/**
 * Whether memory of the process grows with the steps of something long, and whether native objects
 * stay open. JavaCPP frees what was forgotten when the heap's garbage happens to be collected,
 * which hides leaks from a look at the memory of a small model; so open objects are counted, too.
 */
public final class MemoryProbe {
  private static final long EVERY = 50;
  private static final int RUNS = 3;

  private final long warmUp;
  private final long steps;
  private long openBefore;
  private long opened;
  private long early = Long.MAX_VALUE;
  private long late = Long.MAX_VALUE;

  private MemoryProbe(long warmUp, long steps) {
    this.warmUp = warmUp;
    this.steps = steps;
  }

  /**
   * Runs something up to three times. What leaks grows every time; what the allocator keeps, also
   * because other processes press on memory, does not.
   *
   * @param warmUp steps that do not count; as many after them are compared with as many at the end
   * @param allowed growth in bytes
   * @param run calls {@link #step} after every step
   */
  public static void assertFlat(long warmUp, long steps, long allowed, Consumer<MemoryProbe> run) {
    MemoryProbe probe = null;
    for (int i = 0; i < RUNS && (probe == null || probe.late - probe.early >= allowed); i++) {
      probe = new MemoryProbe(warmUp, steps);
      run.accept(probe);
      assertThat(probe.opened).as("native objects left open").isZero();
    }
    assertThat(probe.late - probe.early)
        .as("growth of resident memory, %d -> %d MB", probe.early >> 20, probe.late >> 20)
        .isLessThan(allowed);
  }

  /**
   * After a step. The allocator keeps up to 100 MB of freed buffers at one time and gives them back
   * at another; so the least resident memory of a window counts.
   *
   * @param step from 1
   */
  public void step(long step) {
    if (step % EVERY == 1) {
      openBefore = Pointer.totalCount();
    } else if (step % EVERY == EVERY - 1) {
      // Closed ones and garbage of others can only lower the count.
      opened = Math.max(opened, Pointer.totalCount() - openBefore);
    }
    if (step % EVERY == 0 && step > warmUp && step <= 2 * warmUp) {
      early = Math.min(early, resident());
    } else if (step % EVERY == 0 && step > steps - warmUp) {
      late = Math.min(late, resident());
    }
  }

  private static long resident() {
    System.gc();
    return Pointer.physicalBytes();
  }
}
