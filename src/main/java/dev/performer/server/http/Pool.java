package dev.performer.server.http;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** The threads that answer calls, and the calls that are under way. */
final class Pool implements Exchange.Watch, AutoCloseable {
  private final HttpOptions options;
  private final RequestMeters meters;
  private final ThreadPoolExecutor workers;
  private final ThreadPoolExecutor control;
  private final Set<Exchange> open = new HashSet<>();
  private boolean isDraining;

  Pool(HttpOptions options, RequestMeters meters) {
    this.options = options;
    this.meters = meters;
    workers = WorkerThreads.pool("performer-call-", options.limits().requests());
    control = WorkerThreads.pool("performer-control-", 1);
    meters.queue(workers.getQueue());
    meters.running(workers);
  }

  /** Counts a call in, or refuses it. */
  synchronized void admit(Exchange call) {
    if (!call.operation.isControl) {
      if (isDraining) {
        throw new Refusal(503, "the server is about to stop; it takes no more requests");
      }
      int most = options.limits().requests() + options.limits().queue();
      if (open.size() >= most) {
        throw new Refusal(
            429, "the server has %d requests already; try again later".formatted(most));
      }
    }
    open.add(call);
  }

  /** Runs the handler of a call that was admitted. @param last what to do behind it */
  void run(Exchange call, Runnable last) {
    (call.operation.isControl ? control : workers).execute(() -> answer(call, last));
  }

  private void answer(Exchange call, Runnable last) {
    try {
      if (!call.isCancelled()) {
        call.operation.handler.handle(call);
      }
    } catch (InterruptedException e) {
      call.fail(new Refusal(503, "the server stops"));
    } catch (Exception | OutOfMemoryError | StackOverflowError | AssertionError | LinkageError e) {
      call.fail(e);
    } finally {
      last.run();
    }
  }

  @Override
  public void ended(Exchange call) {
    meters.record(call);
    synchronized (this) {
      open.remove(call);
      notifyAll();
    }
  }

  @Override
  public void failed(Exchange call, Throwable why) {
    StringWriter trace = new StringWriter();
    why.printStackTrace(new PrintWriter(trace));
    options.log().accept(call.request.method() + " " + call.request.path() + ": " + trace);
  }

  synchronized boolean isDraining() {
    return isDraining;
  }

  synchronized boolean drain(Duration most) {
    isDraining = true;
    long end = System.nanoTime() + most.toNanos();
    boolean interrupted = false;
    while (!open.isEmpty()) {
      long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
      if (left <= 0 || interrupted) {
        return false;
      }
      try {
        wait(left);
      } catch (InterruptedException e) {
        interrupted = true;
        Thread.currentThread().interrupt();
      }
    }
    return true;
  }

  @Override
  public void close() {
    workers.shutdownNow();
    control.shutdownNow();
  }
}
