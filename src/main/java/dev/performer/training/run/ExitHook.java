package dev.performer.training.run;

import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Turns Ctrl-C and SIGTERM into a wish to stop: the JVM then waits until the training loop has
 * saved and closed this, its thread is dead or exits the JVM itself, or the grace is over. The hook
 * touches no session: closing one waits for its running step.
 */
public final class ExitHook implements AutoCloseable {
  private final CountDownLatch done = new CountDownLatch(1);
  private final Thread loop = Thread.currentThread();
  private final Thread hook;

  /** Installs the hook for a loop that runs in this thread; nothing if there is no grace. */
  public ExitHook(Runnable stop, Duration grace) {
    hook = new Thread(() -> onExit(stop, grace), "stop-training");
    if (!grace.isZero()) {
      Runtime.getRuntime().addShutdownHook(hook);
    }
  }

  private void onExit(Runnable stop, Duration grace) {
    stop.run();
    long end = System.nanoTime() + grace.toNanos();
    try {
      while (!done.await(50, TimeUnit.MILLISECONDS)
          && loop.isAlive()
          && !loopExits()
          && System.nanoTime() < end) {}
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Whether the loop's own thread waits for the hooks, this one among them. */
  private boolean loopExits() {
    return Arrays.stream(loop.getStackTrace())
        .anyMatch(frame -> frame.getClassName().equals("java.lang.Shutdown"));
  }

  @Override
  public void close() {
    done.countDown();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The JVM is shutting down and the hook has run.
    }
  }
}
