package dev.performer.training.run;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Turns Ctrl-C and SIGTERM into a wish to stop: the JVM then waits until the training loop has
 * saved and closed this, or the patience is over. The hook touches no session: closing one waits
 * for its running step.
 */
public final class StopSignal implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofMinutes(2);

  private final CountDownLatch done = new CountDownLatch(1);
  private final Thread hook = new Thread(this::onShutdown, "stop-training");
  private volatile boolean requested;

  public StopSignal() {
    Runtime.getRuntime().addShutdownHook(hook);
  }

  public boolean requested() {
    return requested;
  }

  void request() {
    requested = true;
  }

  private void onShutdown() {
    requested = true;
    try {
      done.await(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
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
