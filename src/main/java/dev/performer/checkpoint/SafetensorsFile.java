package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.data.NpyArray;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Collections;
import java.util.SortedMap;

/** One {@code .safetensors} file. Nothing is read before its place in the file is checked. */
final class SafetensorsFile extends WeightFile {
  private static final int LENGTH_BYTES = 8;
  private static final long LONGEST_HEADER = 100_000_000; // as the format's own library

  private final FileChannel channel;
  private final long dataStart;
  private final SafetensorsHeader header;

  private SafetensorsFile(Path path, FileChannel channel) throws IOException {
    super(path, "safetensors", channel);
    this.channel = channel;
    long size = channel.size();
    boolean fits = size >= LENGTH_BYTES + 2;
    require(fits, "%s: %s bytes are too few for a safetensors file", path, size);
    long length = read(channel, 0, LENGTH_BYTES).getLong();
    boolean isHeader = length >= 2 && length <= Math.min(size - LENGTH_BYTES, LONGEST_HEADER);
    String claims =
        "%s: the header claims %s bytes in a file of %s: it is damaged, or of other kind";
    require(isHeader, claims, path, Long.toUnsignedString(length), size);
    dataStart = LENGTH_BYTES + length;
    byte[] json = read(channel, LENGTH_BYTES, (int) length).array();
    header = SafetensorsHeader.parse(json, size - dataStart, path.toString());
    header.tensors().forEach((name, entry) -> tensors.put(name, entry.info()));
  }

  /** Whether the file begins as a {@code .safetensors} does: a length, then a brace. */
  static boolean recognizes(Path file) {
    byte[] start = head(file, LENGTH_BYTES + 1);
    if (start.length <= LENGTH_BYTES || start[LENGTH_BYTES] != '{') {
      return false;
    }
    long length = ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN).getLong();
    return length > 0 && length <= LONGEST_HEADER;
  }

  static SafetensorsFile open(Path file) {
    return open(file, channel -> new SafetensorsFile(file, channel));
  }

  private static ByteBuffer read(FileChannel channel, long position, int length)
      throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    read(channel, position, buffer);
    return buffer.flip();
  }

  /** The free texts that the file carries. */
  SortedMap<String, String> metadata() {
    return Collections.unmodifiableSortedMap(header.metadata());
  }

  @Override
  NpyArray read(String name, Info info, String where) throws IOException {
    SafetensorsHeader.Entry entry = header.tensors().get(name);
    byte[] elements = read(channel, dataStart + entry.begin(), (int) info.bytes()).array();
    return entry.type().array(elements, info.shape(), where);
  }
}
