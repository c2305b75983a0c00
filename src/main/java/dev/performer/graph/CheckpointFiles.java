package dev.performer.graph;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The files of one checkpoint: whether they are all there, and how they come into being whole. */
final class CheckpointFiles {
  private static final int FOOTER_BYTES = 48;
  private static final long TABLE_MAGIC = 0xdb4775248b80fb57L; // leveldb's table format

  private CheckpointFiles() {}

  static Path index(Path prefix) {
    return prefix.resolveSibling(prefix.getFileName() + ".index");
  }

  /** The data files, all present. @throws PerformerException naming the file that is not whole */
  static List<Path> checkComplete(Path prefix) {
    Path index = index(prefix);
    if (!Files.isRegularFile(index)) {
      throw new PerformerException("no checkpoint at " + prefix + ": " + index + " is missing");
    }
    if (!endsLikeATable(index)) {
      throw new PerformerException(
          index
              + " is not a checkpoint index: it is damaged or truncated; copy it again from its origin");
    }
    List<Path> shards = shards(prefix);
    if (shards.isEmpty()) {
      throw new PerformerException(
          "checkpoint "
              + prefix
              + " has an index but no data: "
              + prefix.getFileName()
              + ".data-00000-of-00001 is missing (or, if it was written in parts, each file "
              + prefix.getFileName()
              + ".data-?????-of-????? is missing)");
    }
    return shards;
  }

  private static boolean endsLikeATable(Path index) {
    try (RandomAccessFile file = new RandomAccessFile(index.toFile(), "r")) {
      if (file.length() < FOOTER_BYTES) {
        return false;
      }
      byte[] end = new byte[Long.BYTES];
      file.seek(file.length() - end.length);
      file.readFully(end);
      return ByteBuffer.wrap(end).order(ByteOrder.LITTLE_ENDIAN).getLong() == TABLE_MAGIC;
    } catch (IOException e) {
      throw new PerformerException(index + " cannot be read: " + e.getMessage(), e);
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
          prefix.toAbsolutePath().getParent() + " cannot be read: " + e.getMessage(), e);
    }
    return files;
  }

  /** Refuses data files too short for what the index lists. */
  static void checkSize(
      Path prefix, List<Path> shards, Collection<CheckpointReader.Entry> entries) {
    long needed = entries.stream().mapToLong(CheckpointFiles::leastBytes).sum();
    long present = 0;
    for (Path shard : shards) {
      try {
        present += Files.size(shard);
      } catch (IOException e) {
        throw new PerformerException(shard + " cannot be read: " + e.getMessage(), e);
      }
    }
    if (present < needed) {
      throw new PerformerException(
          "checkpoint "
              + prefix
              + " is truncated: its data has "
              + present
              + " bytes, its index lists at least "
              + needed
              + "; copy it again from its origin");
    }
  }

  private static long leastBytes(CheckpointReader.Entry entry) {
    long elements = entry.shape().size();
    return switch (entry.type()) {
      case DT_STRING -> elements + 4; // a length each, and their checksum
      case DT_COMPLEX128 -> 16 * elements;
      case DT_DOUBLE, DT_INT64, DT_UINT64, DT_COMPLEX64 -> 8 * elements;
      case DT_FLOAT, DT_INT32, DT_UINT32, DT_QINT32 -> 4 * elements;
      case DT_HALF, DT_BFLOAT16, DT_INT16, DT_UINT16, DT_QINT16, DT_QUINT16 -> 2 * elements;
      case DT_BOOL, DT_INT8, DT_UINT8, DT_QINT8, DT_QUINT8 -> elements;
      default -> 0; // variants, and types that pack several elements into a byte
    };
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
