package dev.performer.cli;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/**
 * Waits for SIGTERM or Ctrl-C, which then end the process by way of its own; a second ends it at
 * once.
 */
final class Interruption implements AutoCloseable {
  private final CountDownLatch first = new CountDownLatch(1);
  private final Map<String, SignalHandler> before = new TreeMap<>();

  /** Takes over the signals. */
  Interruption() {
    for (String name : List.of("TERM", "INT")) {
      try {
        before.put(name, Signal.handle(new Signal(name), this::received));
      } catch (IllegalArgumentException e) {
        // The JVM was started to leave it alone (-Xrs): it ends the process.
      }
    }
  }

  private void received(Signal signal) {
    if (first.getCount() == 0) {
      Runtime.getRuntime().halt(128 + signal.getNumber());
    }
    first.countDown();
  }

  /** Waits for the first signal. */
  void await() throws InterruptedException {
    first.await();
  }

  /** Gives the signals back. */
  @Override
  public void close() {
    before.forEach((name, handler) -> Signal.handle(new Signal(name), handler));
  }
}
