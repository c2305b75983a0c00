package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.data.NpyArray;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.zip.ZipFile;

/** What files of all formats have: a place, the format's name, and tensors by name. */
abstract class OpenedWeights implements WeightFile {
  private static final int LARGEST_ARRAY = Integer.MAX_VALUE - 16;

  private final Path path;
  private final String format;
  private final Closeable source;
  final SortedMap<String, Info> tensors = new TreeMap<>();
  final SortedMap<String, Info> trainingState = new TreeMap<>();

  /**
   * @param source what is closed with this
   */
  OpenedWeights(Path path, String format, Closeable source) {
    this.path = path;
    this.format = format;
    this.source = source;
  }

  /** What is made of an open file, and owns it then. */
  interface Opener<T> {
    T open(FileChannel channel) throws IOException;
  }

  /** What is made of a source, and owns it then. */
  interface Maker<T> {
    T make() throws IOException;
  }

  /** Opens a file; it is closed again where the opener fails. */
  static <T> T open(Path file, Opener<T> opener) {
    try {
      FileChannel channel = RegularFiles.open(file);
      return owning(channel, () -> opener.open(channel));
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /** What a maker makes; the source is closed where it fails. */
  static <T> T owning(Closeable source, Maker<T> maker) throws IOException {
    try {
      return maker.make();
    } catch (Throwable e) {
      source.close();
      throw e;
    }
  }

  /** Whether a file is a zip with an entry of such a name. */
  static boolean isZipWith(Path file, Predicate<String> name) {
    try (ZipFile zip = new ZipFile(file.toFile())) {
      return zip.stream().anyMatch(entry -> name.test(entry.getName()));
    } catch (IOException | IllegalArgumentException e) { // which are names that are no UTF-8
      return false;
    }
  }

  static PerformerException unreadable(Object place, IOException e) {
    return new PerformerException(place + " cannot be read: " + AtomicFiles.describe(e), e);
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

  @Override
  public final NpyArray read(String name) {
    Info info = tensors.getOrDefault(name, trainingState.get(name));
    String where = path + ", tensor " + Excerpt.of(name);
    require(info != null, "%s: there is none of that name", where);
    long wide = 4 * info.elements(); // of narrow types, which become float32
    boolean fits = Math.max(info.bytes(), wide) <= LARGEST_ARRAY;
    require(fits, "%s: above the 2 GiB that one tensor may have", where);
    try {
      return read(name, info, where);
    } catch (IOException e) {
      throw unreadable(where, e);
    }
  }

  /**
   * Reads a tensor that is there and not too large.
   *
   * @param where file and tensor, for errors
   */
  abstract NpyArray read(String name, Info info, String where) throws IOException;

  @Override
  public void close() {
    try {
      source.close();
    } catch (IOException e) {
      // Nothing was written: what was read is right all the same.
    }
  }
}
