package dev.performer.server.grpc;

import dev.performer.BusyException;
import dev.performer.DeadlineException;
import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.server.models.ModelRepository;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.function.Consumer;

/** Failures as statuses of gRPC, as TensorFlow Serving gives them. */
record Statuses(ModelRepository models, Consumer<String> log) {
  /** A status that stands for no class of failures. */
  static StatusRuntimeException refusal(Status status, String format, Object... values) {
    return status.withDescription(format.formatted(values)).asRuntimeException();
  }

  /** What a client gets; what is no failure of its request has its details in the log alone. */
  Status of(Throwable why, String method) {
    if (why instanceof StatusRuntimeException refused) {
      return refused.getStatus();
    } else if (why instanceof PerformerException) {
      return kind(why).withDescription(models.config().withoutPaths(why.getMessage()));
    } else if (why instanceof OutOfMemoryError) {
      return Status.RESOURCE_EXHAUSTED.withDescription("the server is short of memory; try again");
    }
    StringWriter trace = new StringWriter();
    why.printStackTrace(new PrintWriter(trace));
    log.accept(method + ": " + trace);
    return Status.INTERNAL.withDescription("the server failed; its log has the reason");
  }

  private static Status kind(Throwable why) {
    return why instanceof NotFoundException
        ? Status.NOT_FOUND
        : why instanceof BusyException
            ? Status.RESOURCE_EXHAUSTED
            : why instanceof DeadlineException ? Status.DEADLINE_EXCEEDED : Status.INVALID_ARGUMENT;
  }
}
