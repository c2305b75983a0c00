package dev.performer.graph;

import dev.performer.Excerpt;

/** Turns TensorFlow's many-line messages into something a person can read in one line. */
public final class NativeErrors {
  private NativeErrors() {}

  /** The first line of a failed write, without the temporary file that it names. */
  static String ofFile(Exception e) {
    return firstLine(e).replaceFirst("^\\S*\\.tempstate\\d+; ", "");
  }

  /** The first line of an exception's message, without what follows TensorFlow's node dump. */
  public static String firstLine(Throwable e) {
    String message = e.getMessage();
    if (message == null || message.isBlank()) {
      return "TensorFlow gives no reason";
    }
    String line = message.strip().lines().findFirst().orElseThrow().strip();
    int node = line.indexOf("\t [[");
    if (node > 0) {
      line = line.substring(0, node).strip();
    }
    return Excerpt.of(line);
  }
}
