package dev.performer.data;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Writes files that are whole or not there: beside their place, then moved. */
public final class OutputFile {
  private OutputFile() {}

  /**
   * Writes a file, its folders too, or replaces it when the new one is whole. Devices and pipes are
   * written to directly.
   */
  public static void write(Path file, AtomicFiles.Writer content) {
    if (Files.isDirectory(file)) {
      throw new PerformerException(file + ": is a directory; give the name of a file");
    }
    Path place = target(file).toAbsolutePath();
    boolean special = Files.exists(place) && !Files.isRegularFile(place);
    try {
      if (!Files.exists(place.getParent())) {
        Files.createDirectories(place.getParent());
      }
      if (special) {
        try (OutputStream out = Files.newOutputStream(place)) {
          content.write(out);
        }
      } else {
        AtomicFiles.write(place, content);
      }
    } catch (IOException e) {
      boolean isDenied = e instanceof AccessDeniedException;
      String why = isDenied ? "no permission in " + place.getParent() : AtomicFiles.describe(e);
      throw new PerformerException(file + ": cannot be written: " + why, e);
    }
  }

  /** Where a link leads, so that the link stays. */
  private static Path target(Path file) {
    try {
      return Files.exists(file) ? file.toRealPath() : file;
    } catch (IOException e) {
      return file;
    }
  }
}
