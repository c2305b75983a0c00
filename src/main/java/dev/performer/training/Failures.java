package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;

/** What TensorFlow says when a batch does not run, in one line. */
public final class Failures {
  private Failures() {}

  public static PerformerException ofRun(String what, LabelledBatch batch, RuntimeException e) {
    return new PerformerException(
        what
            + " failed on a batch of "
            + batch.rows()
            + " sequences of "
            + batch.length()
            + " tokens; a smaller length or batch may help, if the model has a limit or memory is"
            + " short: "
            + NativeErrors.firstLine(e),
        e);
  }
}
