package dev.performer.server.http;

import dev.performer.PerformerException;

/** A request is refused with a status of HTTP. */
public final class Refusal extends PerformerException {
  private static final long serialVersionUID = 1;

  private final int status;
  private final String code;
  private final String parameter;

  /** One that needs no more than a status. */
  public Refusal(int status, String message) {
    this(status, message, null, null);
  }

  /**
   * One that a program can tell from others.
   *
   * @param code such as {@code context_length_exceeded}, or null
   * @param parameter the part of the request that is wrong, such as {@code messages}, or null
   */
  public Refusal(int status, String message, String code, String parameter) {
    super(message);
    this.status = status;
    this.code = code;
    this.parameter = parameter;
  }

  /** The status of the response. */
  public int status() {
    return status;
  }

  /** What a program can tell it from others by, or null. */
  public String code() {
    return code;
  }

  /** The part of the request that is wrong, or null. */
  public String parameter() {
    return parameter;
  }
}
