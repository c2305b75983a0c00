package dev.performer.graph;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The files of one checkpoint: whether they are all there, and how they come into being whole. */
final class CheckpointFiles {
  private CheckpointFiles() {}

  static Path index(Path prefix) {
    return prefix.resolveSibling(prefix.getFileName() + ".index");
  }

  /**
   * Refuses a checkpoint without all its files. @throws PerformerException naming what is missing
   */
  static void checkComplete(Path prefix) {
    Path index = index(prefix);
    if (!Files.isRegularFile(index)) {
      throw new PerformerException("no checkpoint at " + prefix + ": " + index + " is missing");
    }
    if (shards(prefix).isEmpty()) {
      throw new PerformerException(
          ("checkpoint %s has an index but no data: %s.data-00000-of-00001 is missing (or, if"
                  + " it was written in parts, each file %s.data-?????-of-????? is missing)")
              .formatted(prefix, prefix.getFileName(), prefix.getFileName()));
    }
  }

  private static List<Path> shards(Path prefix) {
    Pattern name =
        Pattern.compile(
            Pattern.quote(prefix.getFileName().toString()) + "\\.data-(\\d{5})-of-(\\d{5})");
    List<Path> shards = new ArrayList<>();
    int expected = 0;
    for (Path file : siblings(prefix)) {
      Matcher matcher = name.matcher(file.getFileName().toString());
      if (matcher.matches()) {
        shards.add(file);
        expected = Math.max(expected, Integer.parseInt(matcher.group(2)));
      }
    }
    if (shards.size() < expected) {
      throw new PerformerException(
          "checkpoint " + prefix + " has " + shards.size() + " of its " + expected + " data files");
    }
    return shards;
  }

  private static List<Path> siblings(Path prefix) {
    List<Path> files = new ArrayList<>();
    try (DirectoryStream<Path> all =
        Files.newDirectoryStream(prefix.toAbsolutePath().getParent())) {
      all.forEach(files::add);
    } catch (IOException e) {
      throw new PerformerException(
          prefix.toAbsolutePath().getParent() + " cannot be read: " + AtomicFiles.describe(e), e);
    }
    return files;
  }

  /**
   * Lets {@code write} make a checkpoint in a directory beside its place, then moves it there: data
   * first, index last, so that an index never stands without its data.
   *
   * @param prefix where it will be
   * @param write writes a checkpoint under the prefix it is given
   * @throws PerformerException if a directory or file cannot be made or moved; nothing is left then
   */
  static void writeBeside(Path prefix, Consumer<Path> write) {
    Path directory = prefix.toAbsolutePath().getParent();
    Path staging = null;
    try {
      Files.createDirectories(directory);
      staging = AtomicFiles.createDirectoryBeside(prefix.toAbsolutePath());
      Path staged = staging.resolve(prefix.getFileName());
      write.accept(staged);
      for (Path shard : shards(staged)) {
        AtomicFiles.move(shard, directory.resolve(shard.getFileName()));
      }
      AtomicFiles.move(index(staged), index(prefix));
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
