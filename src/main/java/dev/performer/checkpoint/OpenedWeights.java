package dev.performer.checkpoint;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;

/** What files of all formats have: a place, the format's name, and tensors by name. */
abstract class OpenedWeights implements WeightFile {
  private final Path path;
  private final String format;
  final SortedMap<String, Info> tensors = new TreeMap<>();
  final SortedMap<String, Info> trainingState = new TreeMap<>();

  OpenedWeights(Path path, String format) {
    this.path = path;
    this.format = format;
  }

  /** What is made of an open file, and owns it then. */
  interface Opener<T> {
    T open(FileChannel channel) throws IOException;
  }

  /** Opens a file; it is closed again where the opener fails. */
  static <T> T open(Path file, Opener<T> opener) {
    try {
      FileChannel channel = RegularFiles.open(file);
      try {
        return opener.open(channel);
      } catch (Throwable e) {
        channel.close();
        throw e;
      }
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  /** Fills a buffer with what stands in a file from a position on. */
  static void read(FileChannel channel, long position, ByteBuffer into) throws IOException {
    long from = position - into.position();
    while (into.hasRemaining()) {
      if (channel.read(into, from + into.position()) < 0) {
        throw new EOFException("it ends too early");
      }
    }
  }

  @Override
  public Path path() {
    return path;
  }

  @Override
  public String format() {
    return format;
  }

  @Override
  public SortedMap<String, Info> tensors() {
    return Collections.unmodifiableSortedMap(tensors);
  }

  @Override
  public SortedMap<String, Info> trainingState() {
    return Collections.unmodifiableSortedMap(trainingState);
  }
}
