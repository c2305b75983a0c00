package dev.performer.graph;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.zip.CRC32C;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.BundleEntryProto;
import org.tensorflow.proto.BundleHeaderProto;
import org.tensorflow.proto.TensorShapeProto;

/**
 * The index of a checkpoint, read in Java to the last byte: native code trusts sizes in it that a
 * damaged file can set to anything, and ends the process when it cannot allocate them.
 *
 * @see <a href="https://github.com/google/leveldb/blob/main/doc/table_format.md">the table
 *     format</a>
 */
final class CheckpointTable {
  private static final int FOOTER = 48;
  private static final long MAGIC = 0xdb4775248b80fb57L; // of leveldb's table format
  private static final int TRAILER = 5; // compression and checksum behind every block
  private static final long LARGEST = 1L << 28;
  private static final String SLICE = "\0"; // how keys of slices begin
  private static final int MOST_SHARDS = 100_000;

  private final Path index;
  private final ByteBuffer file;
  private final Map<String, byte[]> values = new LinkedHashMap<>();

  private CheckpointTable(Path index, byte[] bytes) {
    this.index = index;
    this.file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * Checks every block, every entry, and that the data files hold what the entries list.
   *
   * @param prefix of the checkpoint
   * @return what the checkpoint holds, by key in alphabetical order
   * @throws PerformerException naming the file and what is wrong with it
   */
  static Map<String, CheckpointReader.Entry> read(Path prefix) {
    Path index = CheckpointFiles.index(prefix);
    if (!Files.isRegularFile(index)) {
      throw new PerformerException("no checkpoint at " + prefix + ": " + index + " is missing");
    }
    try {
      if (Files.size(index) > LARGEST) {
        throw new PerformerException(index + " is too large for an index of a checkpoint");
      }
      CheckpointTable table = new CheckpointTable(index, RegularFiles.readAllBytes(index));
      table.requireMagic();
      table.readBlocks();
      return table.entries(prefix);
    } catch (IOException e) {
      throw new PerformerException(index + " cannot be read: " + AtomicFiles.describe(e), e);
    } catch (BufferUnderflowException | IllegalArgumentException | ArithmeticException e) {
      throw damaged(index, "a number in it points outside", e);
    }
  }

  private static PerformerException damaged(Path index, String what, Exception cause) {
    return new PerformerException(
        index + " is a damaged checkpoint index (" + what + "); copy it again from its origin",
        cause);
  }

  private PerformerException damaged(String what) {
    return damaged(index, what, null);
  }

  private void requireMagic() {
    int end = file.capacity() - Long.BYTES;
    if (file.capacity() < FOOTER || file.getLong(end) != MAGIC) {
      throw new PerformerException(
          index
              + " is not a checkpoint index: it is damaged or truncated; copy it again from its origin");
    }
  }

  private void readBlocks() {
    ByteBuffer footer = slice(file.capacity() - FOOTER, FOOTER);
    ByteBuffer metaindex = block(footer);
    entries(metaindex, (key, value) -> {}); // native code may read it
    entries(
        block(footer),
        (key, handle) ->
            entries(
                block(ByteBuffer.wrap(handle)),
                (name, value) -> {
                  // Keys of slices are no text: one letter per byte keeps them apart.
                  String text = new String(name, ISO_8859_1);
                  if (values.put(text, value) != null) {
                    throw damaged("the key " + text + " is there twice");
                  }
                }));
  }

  private ByteBuffer slice(long offset, long length) {
    if (offset < 0 || length < 0 || offset > file.capacity() - length) {
      throw damaged("a block lies outside the file");
    }
    return file.duplicate().position((int) offset).limit((int) (offset + length)).slice();
  }

  /** The contents of the block of which a handle comes next in {@code handles}. */
  private ByteBuffer block(ByteBuffer handles) {
    long offset = varint(handles);
    long length = varint(handles);
    if (length < 0 || length > file.capacity()) {
      throw damaged("a block claims " + Long.toUnsignedString(length) + " bytes");
    }
    ByteBuffer whole = slice(offset, length + TRAILER).order(ByteOrder.LITTLE_ENDIAN);
    int stored = whole.getInt((int) length + 1);
    CRC32C crc = new CRC32C();
    crc.update(whole.duplicate().limit((int) length + 1));
    int value = (int) crc.getValue();
    if (stored != ((value >>> 15 | value << 17) + 0xa282ead8)) {
      throw damaged("the checksum of a block is wrong");
    }
    if (whole.get((int) length) != 0) {
      throw new PerformerException(
          index + " is compressed, as no TensorFlow since 1.2 writes it; save it again");
    }
    return whole.limit((int) length).slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  @FunctionalInterface
  private interface Entry {
    void accept(byte[] key, byte[] value);
  }

  private void entries(ByteBuffer block, Entry visitor) {
    if (block.capacity() < Integer.BYTES) {
      throw damaged("a block is too short");
    }
    int restarts = block.getInt(block.capacity() - Integer.BYTES);
    long end = block.capacity() - Integer.BYTES * (1L + restarts);
    if (restarts < 0 || end < 0) {
      throw damaged("a block has " + restarts + " restarts");
    }
    for (int i = 0; i < restarts; i++) {
      int restart = block.getInt((int) end + Integer.BYTES * i);
      if (restart < 0 || restart > end) {
        throw damaged("a restart lies outside its block");
      }
    }
    ByteBuffer in = block.duplicate().limit((int) end);
    byte[] key = {};
    while (in.hasRemaining()) {
      int shared = length(in, key.length);
      int own = length(in, in.remaining());
      int size = length(in, in.remaining());
      byte[] next = Arrays.copyOf(key, Math.addExact(shared, own));
      in.get(next, shared, own);
      byte[] value = new byte[size];
      if (in.remaining() < size) {
        throw damaged("an entry is longer than its block");
      }
      in.get(value);
      visitor.accept(next, value);
      key = next;
    }
  }

  private int length(ByteBuffer in, int most) {
    long length = varint(in);
    if (length < 0 || length > most) {
      throw damaged("an entry is longer than its block");
    }
    return (int) length;
  }

  private static long varint(ByteBuffer in) {
    long value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      byte b = in.get();
      value |= (b & 0x7fL) << shift;
      if (b >= 0) {
        return value;
      }
    }
    throw new IllegalArgumentException("a number without end");
  }

  private Map<String, CheckpointReader.Entry> entries(Path prefix) throws IOException {
    byte[] header = values.remove("");
    if (header == null) {
      throw damaged("it has no header");
    }
    try {
      BundleHeaderProto bundle = BundleHeaderProto.parseFrom(header);
      if (bundle.getEndianness() != BundleHeaderProto.Endianness.LITTLE) {
        throw new PerformerException(index + " is big endian; save it on a little endian machine");
      }
      int shards = bundle.getNumShards();
      if (shards < 1 || shards > MOST_SHARDS) {
        throw damaged("it claims " + shards + " data files");
      }
      long[] sizes = shardSizes(prefix, shards);
      Map<String, CheckpointReader.Entry> entries = new TreeMap<>();
      for (Map.Entry<String, byte[]> value : values.entrySet()) {
        BundleEntryProto entry = BundleEntryProto.parseFrom(value.getValue());
        if (value.getKey().startsWith(SLICE)) {
          check("a slice of a tensor ", entry, sizes);
        } else {
          String key = new String(value.getKey().getBytes(ISO_8859_1), UTF_8);
          check("key " + key + " ", entry, sizes);
          entries.put(key, new CheckpointReader.Entry(entry.getDtype(), shape(entry)));
        }
      }
      return entries;
    } catch (InvalidProtocolBufferException e) {
      throw damaged(index, "an entry is no message", e);
    }
  }

  private static long[] shardSizes(Path prefix, int count) throws IOException {
    List<Path> present =
        IntStream.range(0, count)
            .mapToObj(i -> CheckpointFiles.data(prefix, i, count))
            .filter(Files::isRegularFile)
            .toList();
    if (present.isEmpty()) {
      throw new PerformerException(
          ("checkpoint %1$s has an index but no data: %2$s.data-00000-of-00001 is missing (or, if"
                  + " it was written in parts, each file %2$s.data-?????-of-????? is missing)")
              .formatted(prefix, prefix.getFileName()));
    }
    if (present.size() < count) {
      throw new PerformerException(
          "checkpoint " + prefix + " has " + present.size() + " of its " + count + " data files");
    }
    long[] sizes = new long[count];
    for (int i = 0; i < count; i++) {
      sizes[i] = Files.size(present.get(i));
    }
    return sizes;
  }

  private static Shape shape(BundleEntryProto entry) {
    return Shape.of(
        entry.getShape().getDimList().stream().mapToLong(TensorShapeProto.Dim::getSize).toArray());
  }

  private void check(String where, BundleEntryProto entry, long[] shardSizes) {
    TensorShapeProto shape = entry.getShape();
    if (shape.getUnknownRank() || shape.getDimCount() > 254) {
      throw damaged(where + "has no shape");
    }
    long elements = 1;
    for (TensorShapeProto.Dim dim : shape.getDimList()) {
      if (dim.getSize() < 0) {
        throw damaged(where + "has a negative dimension");
      }
      elements = Math.multiplyExact(elements, dim.getSize());
    }
    if (entry.getSlicesCount() > 0) {
      return; // entries of their own hold the slices
    }
    int shard = entry.getShardId();
    long size = entry.getSize();
    if (shard < 0 || shard >= shardSizes.length || size < 0 || entry.getOffset() < 0) {
      throw damaged(where + "lies in no data file");
    }
    if (entry.getOffset() > shardSizes[shard] - size) {
      throw new PerformerException(
          ("%s: %sends behind its data file, which has %s bytes: it is truncated; copy it"
                  + " again from its origin")
              .formatted(index, where, shardSizes[shard]));
    }
    int width = ElementSize.of(entry.getDtype());
    if (width == ElementSize.UNKNOWN) {
      throw damaged(where + "has elements of an unknown type, " + entry.getDtype());
    }
    boolean fits =
        width == ElementSize.VARIABLE
            ? elements <= size
            : Math.multiplyExact(elements, width) == size;
    if (!fits) {
      throw damaged(where + "has " + size + " bytes for " + elements + " elements");
    }
  }
}
