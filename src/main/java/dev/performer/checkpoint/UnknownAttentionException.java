package dev.performer.checkpoint;

import dev.performer.PerformerException;

/**
 * Neither a checkpoint nor what lies beside it nor the options tell how it attends. All else that
 * was looked at is in order, so that whoever knows can give it and read again.
 */
public final class UnknownAttentionException extends PerformerException {
  private static final long serialVersionUID = 1;

  /**
   * @param settings that would tell it
   */
  UnknownAttentionException(String message, String... settings) {
    super(message);
    settledBy(settings);
  }
}
