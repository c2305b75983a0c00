package dev.performer.server.grpc;

import dev.performer.server.http.HttpOptions;
import dev.performer.server.http.Keys;
import dev.performer.server.http.Limits;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCall.Listener;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/** Admits calls: those with a key, no more than a number at a time, none that never arrive. */
final class Guard implements ServerInterceptor {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final Limits limits;
  private final Keys keys;
  private final MeterRegistry meters;
  private final ScheduledExecutorService timer;
  private final AtomicInteger running = new AtomicInteger();

  Guard(HttpOptions options, MeterRegistry meters, ScheduledExecutorService timer) {
    limits = options.limits();
    keys = new Keys(options.keys());
    this.meters = meters;
    this.timer = timer;
  }

  /** Calls of the API, whose requests are one message; health and reflection are not among them. */
  static boolean isCounted(ServerCall<?, ?> call) {
    return call.getMethodDescriptor().getFullMethodName().startsWith("tensorflow.serving.");
  }

  private static boolean isOpen(ServerCall<?, ?> call) {
    return call.getMethodDescriptor().getFullMethodName().startsWith("grpc.health.");
  }

  @Override
  public <Q, R> Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
    if (!isOpen(call) && !keys.admit(headers.get(AUTHORIZATION))) {
      return refuse(
          call,
          Status.UNAUTHENTICATED.withDescription("a key is needed: authorization: Bearer KEY"));
    }
    if (!isCounted(call)) {
      return next.startCall(call, headers);
    }
    int most = limits.requests() + limits.queue();
    if (running.incrementAndGet() > most) {
      running.decrementAndGet();
      String text = "the server has %d calls already; try again later";
      return refuse(call, Status.RESOURCE_EXHAUSTED.withDescription(text.formatted(most)));
    }
    AtomicBoolean isCounted = new AtomicBoolean(true);
    Runnable uncount =
        () -> {
          if (isCounted.getAndSet(false)) {
            running.decrementAndGet();
          }
        };
    Arrival<Q> arrival;
    try {
      arrival = new Arrival<>(next.startCall(new Measured<>(call), headers), uncount);
    } catch (RuntimeException e) {
      uncount.run();
      throw e;
    }
    arrival.await(call);
    return arrival;
  }

  private static <Q> Listener<Q> refuse(ServerCall<Q, ?> call, Status status) {
    call.close(status, new Metadata());
    return new Listener<>() {};
  }

  /** Counts a call and its time when it is answered. */
  private final class Measured<Q, R> extends SimpleForwardingServerCall<Q, R> {
    private final long start = System.nanoTime();

    private Measured(ServerCall<Q, R> call) {
      super(call);
    }

    @Override
    public void close(Status status, Metadata trailers) {
      super.close(status, trailers);
      Timer.builder("performer.grpc.calls")
          .description("calls of gRPC and their times, from the head to the response")
          .tag("method", getMethodDescriptor().getBareMethodName())
          .tag("status", status.getCode().name())
          .register(meters)
          .record(Duration.ofNanos(System.nanoTime() - start));
    }
  }

  /** Gives a call up whose request does not arrive. */
  private final class Arrival<Q> extends SimpleForwardingServerCallListener<Q> {
    private final Runnable end;
    private ScheduledFuture<?> alarm;
    private boolean isDone; // arrived, or given up
    private boolean isLate;

    private Arrival(Listener<Q> listener, Runnable end) {
      super(listener);
      this.end = end;
    }

    private synchronized void await(ServerCall<Q, ?> call) {
      long most = limits.slowBody().toMillis();
      alarm = timer.schedule(() -> giveUp(call), most, TimeUnit.MILLISECONDS);
    }

    private synchronized void giveUp(ServerCall<Q, ?> call) {
      if (!isDone) {
        isDone = true;
        isLate = true;
        String text = "the request did not arrive within %d ms";
        call.close(
            Status.DEADLINE_EXCEEDED.withDescription(text.formatted(limits.slowBody().toMillis())),
            new Metadata());
      }
    }

    private synchronized boolean arrived() {
      isDone = true;
      if (alarm != null) {
        alarm.cancel(false);
      }
      return !isLate;
    }

    @Override
    public void onHalfClose() {
      if (arrived()) {
        super.onHalfClose();
      }
    }

    @Override
    public void onCancel() {
      arrived();
      end.run();
      super.onCancel();
    }

    @Override
    public void onComplete() {
      end.run();
      super.onComplete();
    }
  }
}
