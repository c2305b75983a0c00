package dev.performer.cli;

import dev.performer.PerformerException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where the launcher lives: the shipped models and data are looked up beside it. */
final class Project {
  private Project() {}

  /** The project's folder; the current folder where the launcher did not say. */
  static Path home() {
    return Path.of(System.getProperty("performer.home", "")).toAbsolutePath();
  }

  /** A shipped file or folder. @throws PerformerException if it is not there */
  static Path shipped(String relative) {
    Path path = home().resolve(relative);
    if (!Files.exists(path)) {
      throw new PerformerException(
          "%s: missing; it is part of the repository, restore it with 'git checkout -- %s'"
              .formatted(path, relative));
    }
    return path;
  }
}
