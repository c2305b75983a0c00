package dev.performer.savedmodel;

/** TensorFlow's messages in one line. */
final class NativeErrors {
  private NativeErrors() {}

  /** The first line of a message, without the position in TensorFlow's graph that follows it. */
  static String firstLine(Throwable error) {
    String message = error.getMessage();
    if (message == null || message.isBlank()) {
      return error.getClass().getSimpleName();
    }
    String line = message.strip().lines().findFirst().orElseThrow();
    return line.length() > 300 ? line.substring(0, 300) + "…" : line;
  }
}
