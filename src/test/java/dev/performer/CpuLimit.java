package dev.performer;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.function.Executable;

/** A limit of processor time, which other processes of the machine do not use up. */
public final class CpuLimit {
  private static final Duration WALL = Duration.ofMinutes(20);

  private CpuLimit() {}

  /**
   * Runs something on a thread of its own.
   *
   * @param limit of that thread's processor time
   * @throws AssertionError if it takes more, or waits for what never comes
   */
  public static void within(Duration limit, String what, Executable work) {
    AtomicReference<Throwable> thrown = new AtomicReference<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                work.execute();
              } catch (Throwable e) {
                thrown.set(e);
              }
            },
            what);
    thread.setDaemon(true);
    thread.start();
    ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    long start = System.nanoTime();
    while (thread.isAlive()) {
      boolean tooMuch = threads.getThreadCpuTime(thread.getId()) > limit.toNanos();
      if (tooMuch || System.nanoTime() - start > WALL.toNanos()) {
        AssertionError error =
            new AssertionError(what + (tooMuch ? ": more than " + limit + " of CPU" : ": hangs"));
        error.setStackTrace(thread.getStackTrace());
        thread.interrupt();
        throw error;
      }
      try {
        thread.join(20);
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
    if (thrown.get() instanceof Error e) {
      throw e;
    }
    if (thrown.get() != null) {
      throw new AssertionError(
          what + ": " + Arrays.toString(thrown.get().getStackTrace()), thrown.get());
    }
  }
}
