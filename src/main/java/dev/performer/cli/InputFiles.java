package dev.performer.cli;

import dev.performer.data.DataFile;
import java.nio.file.Path;

/** Files that a command reads, looked for before it loads anything. */
final class InputFiles {
  private InputFiles() {}

  /**
   * @param files null for those that are not given
   * @throws dev.performer.PerformerException that names the first that is not there
   */
  static void requireThere(Path... files) {
    for (Path file : files) {
      if (file != null) {
        DataFile.require(file);
      }
    }
  }
}
