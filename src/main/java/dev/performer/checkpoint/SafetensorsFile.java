package dev.performer.checkpoint;

import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.data.NpyArray;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.SortedMap;

/** One {@code .safetensors} file. Nothing is read before its place in the file is checked. */
public final class SafetensorsFile extends OpenedWeights {
  private static final int LENGTH_BYTES = 8;
  private static final long LONGEST_HEADER = 100_000_000; // as the format's own library

  private final FileChannel channel;
  private final long dataStart;
  private final SafetensorsHeader header;

  private SafetensorsFile(
      Path path, FileChannel channel, long dataStart, SafetensorsHeader header) {
    super(path, "safetensors");
    this.channel = channel;
    this.dataStart = dataStart;
    this.header = header;
    header
        .tensors()
        .forEach(
            (name, entry) ->
                tensors.put(
                    name,
                    new Info(entry.type().label(), entry.shape(), entry.end() - entry.begin())));
  }

  /** Whether the file begins as a {@code .safetensors} does: a length, then a brace. */
  public static boolean recognizes(Path file) {
    if (!Files.isRegularFile(file)) {
      return false;
    }
    try (FileChannel channel = RegularFiles.open(file)) {
      ByteBuffer start = read(channel, 0, LENGTH_BYTES + 1);
      long length = start.getLong();
      return length > 0 && length <= LONGEST_HEADER && start.get() == '{';
    } catch (IOException e) {
      return false;
    }
  }

  /**
   * Opens a file and reads its header.
   *
   * @throws PerformerException if it cannot be read, or header and size do not fit
   */
  public static SafetensorsFile open(Path file) {
    return open(file, channel -> opened(file, channel));
  }

  private static SafetensorsFile opened(Path file, FileChannel channel) throws IOException {
    long size = channel.size();
    if (size < LENGTH_BYTES + 2) {
      throw new PerformerException(
          file + ": " + size + " bytes are too few for a safetensors file");
    }
    long length = read(channel, 0, LENGTH_BYTES).getLong();
    if (length < 2 || length > size - LENGTH_BYTES || length > LONGEST_HEADER) {
      throw new PerformerException(
          ("%s: the header claims %s bytes in a file of %s; it is no safetensors file,"
                  + " or damaged")
              .formatted(file, Long.toUnsignedString(length), size));
    }
    long dataStart = LENGTH_BYTES + length;
    byte[] json = read(channel, LENGTH_BYTES, (int) length).array();
    SafetensorsHeader header = SafetensorsHeader.parse(json, size - dataStart, file.toString());
    return new SafetensorsFile(file, channel, dataStart, header);
  }

  private static ByteBuffer read(FileChannel channel, long position, int length)
      throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    read(channel, position, buffer);
    return buffer.flip();
  }

  /** The free texts that the file carries. */
  public SortedMap<String, String> metadata() {
    return Collections.unmodifiableSortedMap(header.metadata());
  }

  @Override
  public NpyArray read(String name) {
    SafetensorsHeader.Entry entry = header.tensors().get(name);
    String where = path() + ", tensor " + Excerpt.of(name);
    if (entry == null) {
      throw new PerformerException(where + ": there is none of that name");
    }
    long bytes = entry.end() - entry.begin();
    if (bytes > Integer.MAX_VALUE - 16) {
      throw new PerformerException(where + ": above the 2 GiB that one tensor may have");
    }
    try {
      byte[] elements = read(channel, dataStart + entry.begin(), (int) bytes).array();
      return entry.type().array(elements, entry.shape(), where);
    } catch (IOException e) {
      throw new PerformerException(where + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new PerformerException("a file cannot be closed: " + AtomicFiles.describe(e), e);
    }
  }
}
