package dev.performer.graph;

import dev.performer.Excerpt;

/** Turns TensorFlow's many-line messages into something a person can read in one line. */
public final class NativeErrors {
  private NativeErrors() {}

  /** The first line, without a temporary file that comes first and the nodes that come last. */
  public static String firstLine(Throwable e) {
    String message = e.getMessage() == null ? "" : e.getMessage().strip();
    String tail = message.replaceFirst("^\\S*\\.tempstate\\d+; ", "");
    String line = tail.split("\r?\n|\t \\[\\[", 2)[0];
    return line.isBlank() ? "TensorFlow gives no reason" : Excerpt.of(line);
  }
}
