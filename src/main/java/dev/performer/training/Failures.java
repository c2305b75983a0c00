package dev.performer.training;

import dev.performer.PerformerException;

/** What TensorFlow says when a batch does not run, in one line. */
final class Failures {
  private static final int LONGEST = 300;

  private Failures() {}

  static PerformerException ofRun(String what, LabelledBatch batch, RuntimeException e) {
    return new PerformerException(
        what
            + " failed on a batch of "
            + batch.rows()
            + " sequences of "
            + batch.length()
            + " tokens; a smaller length or batch may help, if the model has a limit or memory is"
            + " short: "
            + firstLine(e),
        e);
  }

  static String firstLine(Throwable e) {
    String message = String.valueOf(e.getMessage()).strip();
    int end = message.indexOf('\n');
    String line = end < 0 ? message : message.substring(0, end).strip();
    return line.length() <= LONGEST ? line : line.substring(0, LONGEST) + "…";
  }
}
