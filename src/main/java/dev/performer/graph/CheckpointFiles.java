package dev.performer.graph;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;

/** The files of one checkpoint, and how they come into being whole. */
final class CheckpointFiles {
  private CheckpointFiles() {}

  static Path index(Path prefix) {
    return prefix.resolveSibling(prefix.getFileName() + ".index");
  }

  /** The data file of a number, from 0. */
  static Path data(Path prefix, int number, int count) {
    return prefix.resolveSibling(
        "%s.data-%05d-of-%05d".formatted(prefix.getFileName(), number, count));
  }

  /**
   * Lets {@code write} make a checkpoint under a prefix in a directory beside its place, then moves
   * it there: data first, index last, so that an index never stands without its data. Where that
   * fails nothing is left.
   */
  static void writeBeside(Path prefix, Consumer<Path> write) {
    Path place = prefix.toAbsolutePath();
    Path staging = null;
    try {
      Files.createDirectories(place.getParent());
      staging = AtomicFiles.createDirectoryBeside(place);
      Path staged = staging.resolve(prefix.getFileName());
      write.accept(staged);
      try (DirectoryStream<Path> shards =
          Files.newDirectoryStream(staging, file -> !file.equals(index(staged)))) {
        for (Path shard : shards) {
          AtomicFiles.move(shard, place.resolveSibling(shard.getFileName()));
        }
      }
      AtomicFiles.move(index(staged), index(place));
    } catch (IOException e) {
      throw new PerformerException(
          "checkpoint " + prefix + " cannot be written: " + AtomicFiles.describe(e), e);
    } finally {
      if (staging != null) {
        AtomicFiles.discard(staging);
      }
    }
  }
}
