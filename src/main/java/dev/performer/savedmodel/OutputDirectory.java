package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A SavedModel directory that is written beside its place and moved there when whole. */
public final class OutputDirectory {
  /** Fills a directory. */
  public interface Writer {
    /** Writes into a directory that is there and empty. */
    void write(Path directory) throws IOException;
  }

  private OutputDirectory() {}

  /**
   * Writes a directory; where the target is taken or cannot be written, nothing changes. A
   * SavedModel that is there is replaced, if so wanted, once the new one is whole; the card may be
   * null.
   */
  public static void write(Path target, boolean replace, ModelCard card, Writer writer) {
    requireFree(target, replace);
    Path place = target.toAbsolutePath().normalize();
    require(place.getParent() != null, "%s cannot be replaced", target);
    Path staging = null;
    try {
      Files.createDirectories(place.getParent());
      staging = AtomicFiles.createDirectoryBeside(place);
      writer.write(staging);
      if (card != null) {
        card.write(staging);
      }
      moveInto(place, staging);
    } catch (PerformerException e) {
      throw staging == null ? e : inTermsOf(target, staging, e);
    } catch (IOException e) {
      throw new PerformerException(target + " cannot be written: " + AtomicFiles.describe(e), e);
    } finally {
      if (staging != null) {
        AtomicFiles.discard(staging);
      }
    }
  }

  /** Users know the target, not the directory beside it that is gone by the time they read this. */
  private static PerformerException inTermsOf(Path target, Path staging, PerformerException e) {
    String message = e.getMessage().replace(staging.toString(), target.toString());
    return message.equals(e.getMessage()) ? e : new PerformerException(message, e);
  }

  /** Refuses a place for a SavedModel that is taken, before any work is done for it. */
  public static void requireFree(Path target, boolean replace) {
    Path place = target.toAbsolutePath().normalize();
    if (!Files.exists(place)) {
      return;
    }
    require(Files.isDirectory(place), "%s is a file; a SavedModel is a directory", target);
    try (var files = Files.list(place)) {
      if (files.findAny().isEmpty()) {
        return;
      }
    } catch (IOException e) {
      throw new PerformerException(target + " cannot be read: " + AtomicFiles.describe(e), e);
    }
    if (!replace) {
      throw new PerformerException(
              target + " exists and is not empty; choose another directory or have it replaced")
          .settledBy("replace");
    }
    boolean isModel = Files.exists(place.resolve(SavedModelDirectory.GRAPH_FILE));
    require(isModel, "%s is not replaced: it holds something other than a SavedModel", target);
  }

  private static void moveInto(Path place, Path staging) throws IOException {
    if (!Files.exists(place)) {
      Files.move(staging, place);
      return;
    }
    Path old = AtomicFiles.beside(place, "old");
    Files.move(place, old);
    try {
      Files.move(staging, place);
    } catch (IOException e) {
      Files.move(old, place);
      throw e;
    }
    AtomicFiles.discard(old);
  }
}
