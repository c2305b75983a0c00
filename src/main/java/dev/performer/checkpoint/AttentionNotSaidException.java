package dev.performer.checkpoint;

import dev.performer.PerformerException;

/**
 * Neither a checkpoint nor what lies beside it tells how it attends, and nobody said it. All else
 * that was looked at is in order, so that whoever knows can say it and read again.
 */
public final class AttentionNotSaidException extends PerformerException {
  private static final long serialVersionUID = 1;

  /**
   * @param settings that would tell it
   */
  AttentionNotSaidException(String message, String... settings) {
    super(message);
    settledBy(settings);
  }
}
