package dev.performer.savedmodel;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;

/** A SavedModel directory that is written beside its place and moved there when whole. */
final class OutputDirectory {
  /** Writes files into a directory. */
  interface Writer {
    void write(Path directory) throws IOException;
  }

  /** What happens to a model that is there already. */
  enum Existing {
    /** It stays, and writing fails. */
    REFUSE,
    /** It is deleted once the new one is whole. */
    REPLACE
  }

  private OutputDirectory() {}

  /**
   * Writes a directory.
   *
   * @param target where it shall be
   * @throws PerformerException if the target is taken or cannot be written; nothing has changed
   *     then
   */
  static void write(Path target, Existing existing, Writer writer) {
    Path place = target.toAbsolutePath().normalize();
    refuseTaken(target, place, existing);
    Path staging = null;
    try {
      Path parent = place.getParent();
      if (parent == null) {
        throw new PerformerException(target + " cannot be replaced");
      }
      Files.createDirectories(parent);
      staging = Files.createDirectory(beside(place, "part"));
      writer.write(staging);
      moveInto(place, staging);
    } catch (PerformerException e) {
      throw staging == null ? e : inTermsOf(target, staging, e);
    } catch (IOException e) {
      throw new PerformerException(target + " cannot be written: " + describe(e), e);
    } finally {
      if (staging != null) {
        deleteTree(staging);
      }
    }
  }

  /** Users know the target, not the directory beside it that is gone by the time they read this. */
  private static PerformerException inTermsOf(Path target, Path staging, PerformerException e) {
    String message = e.getMessage().replace(staging.toString(), target.toString());
    return message.equals(e.getMessage()) ? e : new PerformerException(message, e);
  }

  private static void refuseTaken(Path target, Path place, Existing existing) {
    if (!Files.exists(place)) {
      return;
    }
    if (!Files.isDirectory(place)) {
      throw new PerformerException(target + " is a file; a SavedModel is a directory");
    }
    try (DirectoryStream<Path> files = Files.newDirectoryStream(place)) {
      if (!files.iterator().hasNext()) {
        return;
      }
    } catch (IOException e) {
      throw new PerformerException(target + " cannot be read: " + describe(e), e);
    }
    if (existing == Existing.REFUSE) {
      throw new PerformerException(
          target
              + " exists and is not empty; choose another directory or ask for it to be replaced");
    }
    if (!Files.exists(place.resolve("saved_model.pb"))) {
      throw new PerformerException(
          target + " is not replaced: it holds something other than a SavedModel");
    }
  }

  private static Path beside(Path place, String what) {
    String random = Long.toHexString(ThreadLocalRandom.current().nextLong());
    return place.resolveSibling("." + place.getFileName() + "." + what + "-" + random);
  }

  private static void moveInto(Path place, Path staging) throws IOException {
    if (!Files.exists(place)) {
      Files.move(staging, place);
      return;
    }
    Path old = beside(place, "old");
    Files.move(place, old);
    try {
      Files.move(staging, place);
    } catch (IOException e) {
      Files.move(old, place);
      throw e;
    }
    deleteTree(old);
  }

  private static void deleteTree(Path root) {
    if (!Files.exists(root)) {
      return;
    }
    try (Stream<Path> files = Files.walk(root)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      // The output itself is whole or the first error is on its way; what is left is a hidden
      // directory.
    }
  }

  private static String describe(IOException e) {
    if (e instanceof AccessDeniedException) {
      return "no permission for " + e.getMessage();
    }
    if (e instanceof FileAlreadyExistsException || e instanceof NotDirectoryException) {
      return e.getMessage() + " is not a directory";
    }
    return e instanceof FileSystemException f && f.getReason() != null
        ? f.getReason()
        : String.valueOf(e.getMessage());
  }
}
