package dev.performer.graph;

import static dev.performer.PerformerException.require;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
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
  private static final int MOST_SHARDS = 100_000;

  private final Path prefix;
  private final Path index;

  private record Item(ByteString key, ByteString value) {}

  CheckpointTable(Path prefix) {
    this.prefix = prefix;
    index = index(prefix);
  }

  static Path index(Path prefix) {
    return prefix.resolveSibling(prefix.getFileName() + ".index");
  }

  /**
   * What a checkpoint holds, by key in alphabetical order. Every block and every entry is checked,
   * and that the data files hold what the entries list.
   */
  Map<String, CheckpointReader.Entry> read() {
    require(Files.isRegularFile(index), "no checkpoint at %s: %s is missing", prefix, index);
    try {
      require(Files.size(index) <= LARGEST, "%s is too large for an index of a checkpoint", index);
      byte[] bytes = RegularFiles.readAllBytes(index);
      return entries(table(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)));
    } catch (InvalidProtocolBufferException | IndexOutOfBoundsException | ArithmeticException e) {
      throw damaged("a number or an entry in it makes no sense", e);
    } catch (IOException e) {
      throw new PerformerException(index + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  private PerformerException damaged(String what, Exception cause) {
    return new PerformerException(
        "%s is a damaged checkpoint index (%s); copy it again from its origin"
            .formatted(index, what),
        cause);
  }

  private void check(boolean condition, String format, Object... values) {
    if (!condition) {
      throw damaged(format.formatted(values), null);
    }
  }

  /** All items of the table by key. Keys of slices are no text. */
  private Map<ByteString, ByteString> table(ByteBuffer file) throws IOException {
    int size = file.capacity();
    require(
        size >= FOOTER && file.getLong(size - Long.BYTES) == MAGIC,
        "%s is not a checkpoint index: it is damaged or truncated; copy it again from its origin",
        index);
    var footer = CodedInputStream.newInstance(file.slice(size - FOOTER, FOOTER));
    items(block(file, footer)); // the metaindex, which native code may read
    Map<ByteString, ByteString> items = new LinkedHashMap<>();
    for (Item handle : items(block(file, footer))) {
      for (Item item : items(block(file, handle.value.newCodedInput()))) {
        boolean isNew = items.put(item.key, item.value) == null;
        check(isNew, "the key %s is there twice", item.key.toStringUtf8());
      }
    }
    return items;
  }

  /** The contents of the block of which a handle comes next in {@code handles}. */
  private ByteBuffer block(ByteBuffer file, CodedInputStream handles) throws IOException {
    int offset = length(handles);
    int length = length(handles);
    int whole = Math.addExact(length, TRAILER);
    ByteBuffer block = file.slice(offset, whole).order(ByteOrder.LITTLE_ENDIAN);
    CRC32C crc = new CRC32C();
    crc.update(block.slice(0, length + 1));
    int masked = Integer.rotateRight((int) crc.getValue(), 15) + 0xa282ead8;
    check(block.getInt(length + 1) == masked, "the checksum of a block is wrong");
    boolean isPlain = block.get(length) == 0; // what TensorFlow writes since 1.2
    require(isPlain, "%s is compressed; save it again with a newer TensorFlow", index);
    return block.slice(0, length).order(ByteOrder.LITTLE_ENDIAN);
  }

  private List<Item> items(ByteBuffer block) throws IOException {
    int restarts = block.getInt(block.capacity() - Integer.BYTES);
    int end = Math.toIntExact(block.capacity() - Integer.BYTES * (1L + restarts));
    var in = CodedInputStream.newInstance(block.slice(0, end));
    for (int i = 0; i < restarts; i++) {
      int restart = block.getInt(end + Integer.BYTES * i);
      check(restart >= 0 && restart <= end, "a restart lies outside its block");
    }
    List<Item> items = new ArrayList<>();
    ByteString key = ByteString.EMPTY;
    while (!in.isAtEnd()) {
      int shared = length(in);
      int own = length(in);
      int size = length(in);
      key = key.substring(0, shared).concat(ByteString.copyFrom(in.readRawBytes(own)));
      items.add(new Item(key, ByteString.copyFrom(in.readRawBytes(size))));
    }
    return items;
  }

  private static int length(CodedInputStream in) throws IOException {
    return Math.toIntExact(in.readRawVarint64());
  }

  private Map<String, CheckpointReader.Entry> entries(Map<ByteString, ByteString> items)
      throws IOException {
    ByteString header = items.remove(ByteString.EMPTY);
    check(header != null, "it has no header");
    BundleHeaderProto bundle = BundleHeaderProto.parseFrom(header);
    boolean isLittle = bundle.getEndianness() == BundleHeaderProto.Endianness.LITTLE;
    require(isLittle, "%s is big endian; save it on a little endian machine", index);
    long[] sizes = shardSizes(bundle.getNumShards());
    Map<String, CheckpointReader.Entry> entries = new TreeMap<>();
    for (Map.Entry<ByteString, ByteString> item : items.entrySet()) {
      BundleEntryProto entry = BundleEntryProto.parseFrom(item.getValue());
      if (item.getKey().byteAt(0) == 0) {
        check("a slice of a tensor", entry, sizes);
      } else {
        String key = item.getKey().toStringUtf8();
        check("key " + key, entry, sizes);
        var dims = entry.getShape().getDimList().stream().mapToLong(TensorShapeProto.Dim::getSize);
        entries.put(key, new CheckpointReader.Entry(entry.getDtype(), Shape.of(dims.toArray())));
      }
    }
    return entries;
  }

  private long[] shardSizes(int count) throws IOException {
    check(count >= 1 && count <= MOST_SHARDS, "it claims %s data files", count);
    long[] sizes = new long[count];
    int present = 0;
    for (int i = 0; i < count; i++) {
      String name = "%s.data-%05d-of-%05d".formatted(prefix.getFileName(), i, count);
      Path data = prefix.resolveSibling(name);
      if (Files.isRegularFile(data)) {
        sizes[i] = Files.size(data);
        present++;
      }
    }
    require(
        present > 0,
        "checkpoint %1$s has an index but no data: %2$s.data-00000-of-00001 is missing (or, if it"
            + " was written in parts, each file %2$s.data-?????-of-????? is missing)",
        prefix,
        prefix.getFileName());
    require(present == count, "checkpoint %s has %s of its %s data files", prefix, present, count);
    return sizes;
  }

  private void check(String where, BundleEntryProto entry, long[] shardSizes) {
    TensorShapeProto shape = entry.getShape();
    check(!shape.getUnknownRank() && shape.getDimCount() <= 254, "%s has no shape", where);
    boolean isNegative = shape.getDimList().stream().anyMatch(dim -> dim.getSize() < 0);
    check(!isNegative, "%s has a negative dimension", where);
    long elements = TensorSizes.elements(shape);
    if (entry.getSlicesCount() > 0) {
      return; // entries of their own hold the slices
    }
    int shard = entry.getShardId();
    long size = entry.getSize();
    boolean isSomewhere = shard >= 0 && shard < shardSizes.length;
    check(isSomewhere && size >= 0 && entry.getOffset() >= 0, "%s lies in no data file", where);
    require(
        entry.getOffset() <= shardSizes[shard] - size,
        "%s: %s ends behind its data file, which has %s bytes: it is truncated; copy it again from"
            + " its origin",
        index,
        where,
        shardSizes[shard]);
    int width = TensorSizes.width(entry.getDtype());
    boolean isKnown = width != TensorSizes.UNKNOWN;
    check(isKnown, "%s has elements of an unknown type, %s", where, entry.getDtype());
    boolean fits =
        width == TensorSizes.VARIABLE
            ? elements <= size
            : Math.multiplyExact(elements, width) == size;
    check(fits, "%s has %s bytes for %s elements", where, size, elements);
  }
}
