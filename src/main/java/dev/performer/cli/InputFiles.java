package dev.performer.cli;

import dev.performer.PerformerException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Files that a command reads, looked for before it loads anything. */
final class InputFiles {
  private InputFiles() {}

  /**
   * @param files null for those that are not given
   * @throws PerformerException that names the first that is not there
   */
  static void requireThere(Path... files) {
    for (Path file : files) {
      if (file != null && !Files.exists(file)) {
        throw new PerformerException(file + ": no such file or directory");
      }
    }
  }
}
