package dev.performer.server.http;

import com.fasterxml.jackson.core.JsonProcessingException;
import dev.performer.BusyException;
import dev.performer.DeadlineException;
import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.TooLongException;

/**
 * Why a call failed.
 *
 * @param status of HTTP
 * @param message one line for the client
 * @param code what a program can tell it from others by, or null
 * @param cause what was thrown, or null
 */
public record Failure(int status, String message, String code, Throwable cause) {
  /** Of what a handler threw; details of what is no failure of the request stay in the log. */
  public static Failure of(Throwable cause) {
    if (cause instanceof Refusal refusal) {
      return new Failure(refusal.status(), refusal.getMessage(), refusal.code(), refusal);
    } else if (cause instanceof NotFoundException) {
      return new Failure(404, cause.getMessage(), null, cause);
    } else if (cause instanceof TooLongException) {
      return new Failure(400, cause.getMessage(), "context_length_exceeded", cause);
    } else if (cause instanceof BusyException) {
      return new Failure(429, cause.getMessage(), null, cause);
    } else if (cause instanceof DeadlineException) {
      return new Failure(504, cause.getMessage(), null, cause);
    } else if (cause instanceof PerformerException) {
      return new Failure(400, cause.getMessage(), null, cause);
    } else if (cause instanceof JsonProcessingException broken) {
      return of(Json.broken(broken));
    } else if (cause instanceof OutOfMemoryError) {
      return new Failure(503, "the server is short of memory; try again later", null, cause);
    }
    return new Failure(500, "the server failed; its log has the reason", null, cause);
  }

  /** The same in other words. */
  Failure withMessage(String other) {
    return new Failure(status, other, code, cause);
  }

  /** The part of the request that is wrong, or null. */
  public String parameter() {
    return cause instanceof Refusal refusal ? refusal.parameter() : null;
  }
}
