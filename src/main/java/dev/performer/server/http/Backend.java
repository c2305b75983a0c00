package dev.performer.server.http;

/** What a front stands before. */
public interface Backend {
  /** Whether it can answer. */
  boolean isReady();

  /** A message as clients may see it: without places in the server's file system. */
  default String shown(String message) {
    return message;
  }

  /** Brings the meters up to date before they are read. */
  default void measure() {}
}
