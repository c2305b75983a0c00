package dev.performer.attention;

import dev.performer.PerformerException;

/** How long the rows of an orthogonal projection are: Google's {@code scaling} argument. */
public enum RowLengths {
  /** Norms of independent Gaussian rows, chi(D) distributed; {@code scaling=0}. */
  CHI,
  /** Every row has length sqrt(D); {@code scaling=1}. */
  SQRT_DIMENSION;

  /**
   * The meaning of Google's {@code scaling} argument.
   *
   * @throws PerformerException unless it is 0 or 1
   */
  public static RowLengths ofScaling(double scaling) {
    if (scaling == 0) {
      return CHI;
    }
    if (scaling == 1) {
      return SQRT_DIMENSION;
    }
    throw new PerformerException(
        "scaling "
            + scaling
            + " is neither 0 (row lengths of Gaussian rows) nor 1 (row length sqrt(D))");
  }
}
