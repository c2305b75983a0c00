package dev.performer.server.grpc;

import com.google.protobuf.ByteString;
import dev.performer.savedmodel.protos.ServingMessage;
import dev.performer.server.grpc.Method.Request;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Deadline;
import io.grpc.ServerCallHandler;
import io.grpc.Status;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.TimeUnit;

/**
 * Runs what answers a call, in a thread that is interrupted when the client goes away.
 *
 * @param longest that a call may take
 */
record Calls(Statuses statuses, Duration longest) {
  ServerCallHandler<Request, ByteString> of(Method method) {
    return ServerCalls.asyncUnaryCall((request, response) -> answer(method, request, response));
  }

  private void answer(Method method, Request received, StreamObserver<ByteString> response) {
    Context context = Context.current();
    Deadline given = context.getDeadline();
    Instant deadline = Instant.now().plus(longest);
    if (given != null) {
      long left = given.timeRemaining(TimeUnit.NANOSECONDS);
      deadline = left < longest.toNanos() ? Instant.now().plusNanos(left) : deadline;
    }
    ByteString result;
    try (Interruption interruption = new Interruption(context)) {
      result = method.answer().to(parsed(method, received), deadline).bytes();
    } catch (Exception | OutOfMemoryError | StackOverflowError | LinkageError e) {
      Status status =
          context.isCancelled()
              ? Contexts.statusFromCancelled(context)
              : statuses.of(e, method.name());
      response.onError(status.asRuntimeException());
      return;
    }
    response.onNext(result);
    response.onCompleted();
  }

  private static ServingMessage parsed(Method method, Request request) {
    if (request.failure() != null) {
      throw request.failure().asRuntimeException();
    }
    try {
      return ServingMessage.parse(method.type(), request.bytes());
    } catch (IOException e) {
      throw Statuses.refusal(Status.INVALID_ARGUMENT, "the request is no %s", method.type());
    }
  }

  /** Interrupts the thread that opened it when a context ends, but not when this is closed. */
  private static final class Interruption implements Context.CancellationListener, AutoCloseable {
    private final Context context;
    private Thread thread = Thread.currentThread();

    private Interruption(Context context) {
      this.context = context;
      context.addListener(this, Runnable::run);
    }

    @Override
    public synchronized void cancelled(Context ended) {
      if (thread != null) {
        thread.interrupt();
      }
    }

    @Override
    public void close() {
      context.removeListener(this);
      synchronized (this) {
        thread = null;
      }
      Thread.interrupted();
    }
  }
}
