package dev.performer.data;

import static dev.performer.PerformerException.require;

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

  /** Writes a file, its folders too, or replaces it; devices and pipes are written to directly. */
  public static void write(Path file, AtomicFiles.Writer content) {
    require(!Files.isDirectory(file), "%s: is a directory; give the name of a file", file);
    try {
      Path place = (Files.exists(file) ? file.toRealPath() : file).toAbsolutePath(); // a link stays
      if (!Files.exists(place.getParent())) {
        Files.createDirectories(place.getParent());
      }
      if (Files.exists(place) && !Files.isRegularFile(place)) {
        try (OutputStream out = Files.newOutputStream(place)) {
          content.write(out);
        }
      } else {
        AtomicFiles.write(place, content);
      }
    } catch (AccessDeniedException e) {
      Path folder = file.toAbsolutePath().getParent();
      throw new PerformerException(file + ": cannot be written: no permission in " + folder, e);
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be written: " + AtomicFiles.describe(e), e);
    }
  }
}
