package dev.performer.graph;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;

/** Turns TensorFlow's many-line messages into something a person can read in one line. */
final class NativeErrors {
  private static final int LONGEST = 300;

  private NativeErrors() {}

  /** What went wrong with a file, in words: Java's own messages often hold the path alone. */
  static String describe(IOException e) {
    if (e instanceof AccessDeniedException) {
      return "no permission to write " + e.getMessage();
    }
    if (e instanceof FileAlreadyExistsException) {
      return e.getMessage() + " exists and is not a directory";
    }
    return firstLine(e);
  }

  /** The first line of a failed write, without the temporary file that it names. */
  static String ofFile(RuntimeException e) {
    return firstLine(e).replaceFirst("^\\S*\\.tempstate\\d+; ", "");
  }

  /** The first line of an exception's message, without what follows TensorFlow's node dump. */
  static String firstLine(Throwable e) {
    String message = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    String line = message.strip().lines().findFirst().orElse("").strip();
    int node = line.indexOf("\t [[");
    if (node > 0) {
      line = line.substring(0, node).strip();
    }
    return line.length() > LONGEST ? line.substring(0, LONGEST) + "…" : line;
  }
}
