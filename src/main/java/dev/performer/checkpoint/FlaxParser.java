package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.msgpack.core.ExtensionTypeHeader;
import org.msgpack.core.MessagePackException;
import org.msgpack.core.MessageUnpacker;

/**
 * Reads the tree of a Flax msgpack file. Every claimed size is compared with the bytes that are
 * left before anything is allocated; elements of arrays are skipped, not read.
 *
 * @see <a
 *     href="https://github.com/google/flax/blob/main/flax/serialization.py">flax/serialization.py</a>
 */
final class FlaxParser {
  private static final int DEPTH = 600;
  private static final int NAME_LENGTH = 1 << 16;
  private static final int RANK = 64;
  private static final int ARRAY = 1;
  private static final int COMPLEX = 2;
  private static final int SCALAR = 3;

  private final MessageUnpacker in;
  private final long size;
  private final FlaxTree tree = new FlaxTree();
  private final byte[] skipped = new byte[1 << 16];

  private FlaxParser(MessageUnpacker in, long size) {
    this.in = in;
    this.size = size;
  }

  /**
   * Reads a whole file.
   *
   * @param in at its beginning
   * @param size of the file in bytes
   * @throws PerformerException without the file's name, if it is broken
   */
  static FlaxTree parse(MessageUnpacker in, long size) throws IOException {
    FlaxParser parser = new FlaxParser(in, size);
    try {
      parser.value("", 0);
    } catch (MessagePackException e) {
      throw new PerformerException("broken or truncated at byte " + in.getTotalReadBytes(), e);
    }
    if (parser.left() > 0) {
      throw new PerformerException(parser.left() + " bytes follow the end of the tree");
    }
    return parser.tree;
  }

  private void value(String path, int depth) throws IOException {
    if (depth > DEPTH) {
      throw new PerformerException("nested deeper than " + DEPTH + " levels");
    }
    switch (in.getNextFormat().getValueType()) {
      case MAP -> map(path, depth);
      case ARRAY -> list(path, depth);
      case EXTENSION -> tree.put(named(path), extension(path));
      case INTEGER -> tree.put(named(path), integer(path));
      case FLOAT -> tree.put(named(path), FlaxLeaf.of(in.unpackDouble()));
      case BOOLEAN -> tree.put(named(path), FlaxLeaf.of(in.unpackBoolean()));
      case NIL -> in.unpackNil();
      case STRING -> skip(claimed(in.unpackRawStringHeader(), path));
      case BINARY -> skip(claimed(in.unpackBinaryHeader(), path));
      default -> throw new PerformerException("key " + path + ": unknown kind of value");
    }
  }

  private static String named(String path) {
    return path.isEmpty() ? "root" : path;
  }

  private static String child(String path, String key) {
    return path.isEmpty() ? key : path + "/" + key;
  }

  private void map(String path, int depth) throws IOException {
    long entries = Integer.toUnsignedLong(in.unpackMapHeader());
    if (2 * entries > left()) {
      throw new PerformerException(
          "key " + path + ": a map claims " + entries + " entries, more than the file can hold");
    }
    if (entries == 0) {
      tree.emptyMaps.add(path);
    }
    Set<String> keys = new HashSet<>();
    for (long i = 0; i < entries; i++) {
      String key = key(path);
      if (!keys.add(key)) {
        throw new PerformerException("key " + child(path, key) + " stands there twice");
      }
      if (i == 0 && key.equals("__msgpack_chunked_array__")) {
        chunked(path, entries, depth);
        return;
      }
      value(child(path, key), depth + 1);
    }
  }

  private void list(String path, int depth) throws IOException {
    long entries = Integer.toUnsignedLong(in.unpackArrayHeader());
    if (entries > left()) {
      throw new PerformerException(
          "key " + path + ": a list claims " + entries + " entries, more than the file can hold");
    }
    for (long i = 0; i < entries; i++) {
      value(child(path, Long.toString(i)), depth + 1);
    }
  }

  private String key(String path) throws IOException {
    return switch (in.getNextFormat().getValueType()) {
      case STRING -> text(in.unpackRawStringHeader(), path);
      case BINARY -> text(in.unpackBinaryHeader(), path);
      case INTEGER -> in.unpackBigInteger().toString();
      default ->
          throw new PerformerException("a key below '" + path + "' is no text; Flax's keys are");
    };
  }

  private String text(int length, String path) throws IOException {
    long claimed = claimed(length, path);
    if (claimed > NAME_LENGTH) {
      throw new PerformerException("a name below '" + path + "' has " + claimed + " bytes");
    }
    try {
      return StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPORT)
          .decode(ByteBuffer.wrap(in.readPayload((int) claimed)))
          .toString();
    } catch (CharacterCodingException e) {
      throw new PerformerException("a name below '" + path + "' is no UTF-8", e);
    }
  }

  private FlaxLeaf integer(String path) throws IOException {
    BigInteger value = in.unpackBigInteger();
    if (value.bitLength() > 63) {
      return new FlaxLeaf("uint64", new long[0], -1, 8, value);
    }
    return FlaxLeaf.of(value.longValue());
  }

  private FlaxLeaf extension(String path) throws IOException {
    ExtensionTypeHeader header = in.unpackExtensionTypeHeader();
    long length = claimed(header.getLength(), path);
    long end = in.getTotalReadBytes() + length;
    FlaxLeaf leaf =
        switch (header.getType()) {
          case ARRAY, SCALAR -> array(path, end);
          case COMPLEX -> complex(path, end);
          default ->
              throw new PerformerException(
                  "key "
                      + path
                      + ": extension type "
                      + header.getType()
                      + " is unknown; Flax writes 1, 2 and 3");
        };
    if (in.getTotalReadBytes() != end) {
      throw new PerformerException("key " + path + ": its bytes do not end where they should");
    }
    if (header.getType() == SCALAR && leaf.shape().length != 0) {
      throw new PerformerException("key " + path + ": a scalar with dimensions");
    }
    return leaf;
  }

  private FlaxLeaf complex(String path, long end) throws IOException {
    if (in.unpackArrayHeader() != 2) {
      throw new PerformerException("key " + path + ": a complex number needs two parts");
    }
    in.unpackDouble();
    in.unpackDouble();
    return new FlaxLeaf("complex128", new long[0], -1, 16, null);
  }

  /** {@code [shape, type, elements]}. */
  private FlaxLeaf array(String path, long end) throws IOException {
    if (end - in.getTotalReadBytes() < 4 || in.unpackArrayHeader() != 3) {
      throw new PerformerException("key " + path + ": an array needs shape, type and elements");
    }
    int rank = in.unpackArrayHeader();
    if (rank < 0 || rank > RANK) {
      throw new PerformerException("key " + path + ": an array of " + rank + " dimensions");
    }
    long[] shape = new long[rank];
    for (int i = 0; i < rank; i++) {
      shape[i] = in.unpackLong();
    }
    String type =
        text(
            in.getNextFormat().getValueType().isBinaryType()
                ? in.unpackBinaryHeader()
                : in.unpackRawStringHeader(),
            path);
    long length =
        claimed(
            in.getNextFormat().getValueType().isStringType()
                ? in.unpackRawStringHeader()
                : in.unpackBinaryHeader(),
            path);
    FlaxTypes.check(path, type, shape, length);
    long offset = in.getTotalReadBytes();
    if (offset + length > end) {
      throw new PerformerException("key " + path + ": its elements go beyond its bytes");
    }
    skip(length);
    return new FlaxLeaf(type, shape, offset, length, null);
  }

  /** After the key that marks it: the flag, then shape and chunks. */
  private void chunked(String path, long entries, int depth) throws IOException {
    FlaxParser inner = new FlaxParser(in, size);
    in.skipValue();
    for (long i = 1; i < entries; i++) {
      inner.value(key(path), depth + 1);
    }
    List<Long> shape = new ArrayList<>();
    while (inner.tree.leaves.get("shape/" + shape.size()) instanceof FlaxLeaf leaf
        && leaf.number() instanceof Long dimension) {
      shape.add(dimension);
    }
    List<FlaxLeaf> chunks = new ArrayList<>();
    while (inner.tree.leaves.get("chunks/" + chunks.size()) instanceof FlaxLeaf leaf) {
      chunks.add(leaf);
    }
    if (chunks.isEmpty()
        || inner.tree.leaves.size() != shape.size() + chunks.size()
        || (shape.isEmpty() && !inner.tree.emptyMaps.contains("shape"))) {
      throw new PerformerException(
          "key " + path + ": a chunked array needs its shape and all chunks, 0 to n");
    }
    String type = chunks.get(0).type();
    long length = 0;
    for (FlaxLeaf chunk : chunks) {
      if (chunk.offset() < 0 || !chunk.type().equals(type)) {
        throw new PerformerException("key " + path + ": chunks of one array differ in type");
      }
      length += chunk.length();
    }
    long[] dimensions = shape.stream().mapToLong(Long::longValue).toArray();
    FlaxTypes.check(path, type, dimensions, length);
    tree.put(named(path), new FlaxLeaf(type, dimensions, -1, length, List.copyOf(chunks)));
  }

  private long left() {
    return size - in.getTotalReadBytes();
  }

  private long claimed(int length, String path) {
    long claimed = Integer.toUnsignedLong(length);
    if (claimed > left()) {
      throw new PerformerException(
          "key "
              + path
              + ": claims "
              + claimed
              + " bytes where "
              + left()
              + " are left; the file is truncated or broken");
    }
    return claimed;
  }

  private void skip(long length) throws IOException {
    for (long left = length; left > 0; ) {
      int part = (int) Math.min(left, skipped.length);
      in.readPayload(skipped, 0, part);
      left -= part;
    }
  }
}
