package dev.performer.pipeline;

/** A request to stop a job, which may come before there is anything to stop. Thread-safe. */
final class StopRequest {
  private boolean requested;
  private Runnable stop = () -> {};

  /** Stops what runs, or what will. */
  synchronized void request() {
    requested = true;
    stop.run();
  }

  /** Something runs from now on. */
  synchronized void runs(Runnable ends) {
    stop = ends;
    if (requested) {
      ends.run();
    }
  }
}
