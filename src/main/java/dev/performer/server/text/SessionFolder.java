package dev.performer.server.text;

import dev.performer.AtomicFiles;
import dev.performer.NotFoundException;
import dev.performer.server.http.Fields;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.regex.Pattern;

/** Saved sessions in one folder, by names that are no paths; each is whole or absent. */
final class SessionFolder {
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,99}");
  private static final String ENDING = ".session";
  private static final Duration UNFINISHED = Duration.ofMinutes(10);

  private final Path folder;

  /** Takes away what a server that was killed did not finish; a save takes no such time. */
  SessionFolder(Path folder) {
    this.folder = folder;
    FileTime old = FileTime.from(Instant.now().minus(UNFINISHED));
    try (var parts = Files.newDirectoryStream(folder, ".*" + ENDING + ".part-*")) {
      for (Path part : parts) {
        if (Files.getLastModifiedTime(part).compareTo(old) < 0) {
          AtomicFiles.discard(part);
        }
      }
    } catch (IOException | DirectoryIteratorException e) {
      // There is no folder yet, or saving will tell what is wrong with it.
    }
  }

  private Path file(String name) {
    if (!NAME.matcher(name).matches()) {
      throw Fields.invalid("name", "expected 1 to 100 letters, digits, '-' and '_'");
    }
    return folder.resolve(name + ENDING);
  }

  void write(String name, Consumer<OutputStream> writer) {
    Path file = file(name);
    try {
      Files.createDirectories(folder);
      AtomicFiles.write(file, writer::accept);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // of the server's folder, which clients do not know
    }
  }

  <T> T read(String name, Function<InputStream, T> reader) {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file(name)))) {
      return reader.apply(in);
    } catch (NoSuchFileException e) {
      throw new NotFoundException("there is no saved session " + name);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
