package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.nio.file.Path;

/**
 * Neither a checkpoint nor what lies beside it nor the options tell how it attends. All else that
 * was looked at is in order, so that whoever knows can give it and read again.
 */
public final class UnknownAttentionException extends PerformerException {
  private static final long serialVersionUID = 1;

  /** Names the settings that would tell it. */
  UnknownAttentionException(Path file, String lacks, String... settings) {
    super(file + ": " + lacks);
    settledBy(settings);
  }
}
