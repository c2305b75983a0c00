package dev.performer.checkpoint;

import java.nio.file.Path;

/** A file format of weights, to be found out by what is in a file and not only by its name. */
interface WeightFormat {

  /**
   * Whether {@link #open} should be tried; quick, and never fails for what is something else.
   *
   * @param path a file or a directory that exists
   * @param head the first bytes of the file, 4096 at most; empty for a directory
   */
  boolean recognizes(Path path, byte[] head);

  /**
   * Opens what was recognized.
   *
   * @throws dev.performer.PerformerException if it is broken after all
   */
  WeightFile open(Path path);
}
