package dev.performer.checkpoint;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.checkpoint.MsgpackTensor.Piece;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import org.msgpack.core.ExtensionTypeHeader;
import org.msgpack.core.MessageFormat;
import org.msgpack.core.MessageIntegerOverflowException;
import org.msgpack.core.MessagePackException;
import org.msgpack.core.MessageSizeException;
import org.msgpack.core.MessageTypeException;
import org.msgpack.core.MessageUnpacker;
import org.msgpack.value.ValueType;

/**
 * Walks through a msgpack file and notes where its tensors lie. What a file claims about sizes is
 * compared with the bytes that are left before anything is made of it, so a file costs memory in
 * proportion to the number of its tensors only.
 */
final class MsgpackStructure {
  private static final int NDARRAY = 1;
  private static final int COMPLEX = 2;
  private static final int SCALAR = 3;
  private static final int MAX_DEPTH = 512;
  private static final int MAX_RANK = 32;
  private static final int MAX_TENSORS = 200_000;
  private static final long MAX_NAMES = 32_000_000;
  private static final String CHUNKED = "__msgpack_chunked_array__";

  private final Path file;
  private final MsgpackCursor in;
  private final MessageUnpacker unpacker;
  private final SortedMap<String, MsgpackTensor> found = new TreeMap<>();
  private int values;
  private long nameCharacters;

  MsgpackStructure(Path file, FileChannel channel) throws IOException {
    this.file = file;
    in = new MsgpackCursor(file, channel);
    unpacker = in.unpacker();
  }

  /** All tensors, by path. @throws PerformerException if the file is broken */
  SortedMap<String, MsgpackTensor> tensors() throws IOException {
    if (in.size() == 0) {
      throw new PerformerException(file + " is empty; expected a Flax checkpoint");
    }
    try {
      MessageFormat root = unpacker.getNextFormat();
      if (!isMap(root) && root.getValueType() != ValueType.EXTENSION) {
        throw in.broken(
            "", "holds no map of tensors at its top but a value of type " + root.getValueType());
      }
      walk("", 0);
      if (in.position() != in.size()) {
        throw in.broken(
            "",
            "has "
                + (in.size() - in.position())
                + " bytes after its end; is it a Flax checkpoint?");
      }
      return found;
    } catch (MessagePackException e) {
      throw new PerformerException(
          "%s: broken msgpack at byte %s: %s"
              .formatted(
                  file,
                  in.position(),
                  e instanceof org.msgpack.core.MessageInsufficientBufferException
                      ? "it ends too early"
                      : kind(e)),
          e);
    }
  }

  private static String kind(MessagePackException e) {
    if (e instanceof MessageSizeException || e instanceof MessageIntegerOverflowException) {
      return "a number or a size is too large";
    }
    return e instanceof MessageTypeException
        ? "a value is not of the kind that belongs there"
        : "a byte that msgpack does not have";
  }

  private static boolean isMap(MessageFormat format) {
    return format.getValueType() == ValueType.MAP;
  }

  private void walk(String name, int depth) throws IOException {
    if (depth > MAX_DEPTH) {
      throw new PerformerException(file + " is nested deeper than " + MAX_DEPTH + " levels");
    }
    if (++values > 4 * MAX_TENSORS) {
      throw new PerformerException(
          file + " holds more than " + 4 * MAX_TENSORS + " values; that is no checkpoint");
    }
    MessageFormat format = unpacker.getNextFormat();
    switch (format.getValueType()) {
      case MAP -> map(name, depth);
      case ARRAY -> list(name, depth);
      case EXTENSION -> add(name, extension(name));
      case INTEGER -> integer(name, format);
      case FLOAT -> {
        boolean single = format == MessageFormat.FLOAT32;
        native64(name, single ? ElementType.FLOAT32 : ElementType.FLOAT64);
      }
      case BOOLEAN -> bool(name);
      case NIL -> unpacker.unpackNil();
      case STRING -> in.skip(name, unpacker.unpackRawStringHeader());
      case BINARY -> in.skip(name, unpacker.unpackBinaryHeader());
      default -> throw in.broken(name, "is of an unknown kind");
    }
  }

  private void map(String name, int depth) throws IOException {
    int entries = unpacker.unpackMapHeader();
    in.require(name, entries, 2L * Integer.toUnsignedLong(entries), "entries");
    TreeSet<String> keys = new TreeSet<>();
    for (int i = 0; i < entries; i++) {
      String key = in.key(name);
      if (!keys.add(key)) {
        throw in.broken(join(name, key), "occurs twice");
      }
      if (i == 0 && entries <= 3 && key.equals(CHUNKED)) {
        add(name, chunked(name, entries, depth));
        return;
      }
      walk(join(name, key), depth + 1);
    }
  }

  private void list(String name, int depth) throws IOException {
    int entries = unpacker.unpackArrayHeader();
    in.require(name, entries, Integer.toUnsignedLong(entries), "elements");
    for (int i = 0; i < entries; i++) {
      walk(join(name, Integer.toString(i)), depth + 1);
    }
  }

  /** An array as an extension: shape, type name and elements, packed once more. */
  private MsgpackTensor extension(String name) throws IOException {
    ExtensionTypeHeader header = unpacker.unpackExtensionTypeHeader();
    int length = header.getLength();
    in.require(name, length, Integer.toUnsignedLong(length), "bytes");
    long end = in.position() + length;
    MsgpackTensor tensor =
        switch (header.getType()) {
          case NDARRAY, SCALAR -> ndarray(name, end);
          case COMPLEX -> complex(name, end);
          default ->
              throw in.broken(
                  name,
                  "is msgpack extension " + header.getType() + "; Flax writes 1, 2 and 3 only");
        };
    if (in.position() != end) {
      throw in.broken(name, "does not fill its " + length + " bytes");
    }
    return tensor;
  }

  private MsgpackTensor ndarray(String name, long end) throws IOException {
    in.expect(name, unpacker.unpackArrayHeader() == 3, "is no triple of shape, type and elements");
    int rank = unpacker.unpackArrayHeader();
    in.expect(name, rank >= 0 && rank <= MAX_RANK, "has " + rank + " dimensions");
    long[] shape = new long[rank];
    for (int i = 0; i < rank; i++) {
      shape[i] = unpacker.unpackLong();
      in.expect(name, shape[i] >= 0, "has a negative dimension " + shape[i]);
    }
    String typeName = in.text(name, in.rawHeader(name));
    ElementType type =
        ElementType.of(typeName)
            .orElseThrow(
                () ->
                    in.broken(name, "has elements of unknown type '" + Excerpt.of(typeName) + "'"));
    int bytes = in.rawHeader(name);
    in.expect(
        name, Integer.toUnsignedLong(bytes) <= end - in.position(), "claims bytes it has not");
    long needed = bytes(name, shape, type);
    if (needed != bytes) {
      throw in.broken(
          name,
          "has %d bytes, but %s%s needs %d"
              .formatted(bytes, typeName, java.util.Arrays.toString(shape), needed));
    }
    long offset = in.position();
    in.moveTo(offset + bytes);
    return MsgpackTensor.of(type, false, shape, List.of(new Piece(offset, bytes)));
  }

  private long bytes(String name, long[] shape, ElementType type) {
    long nonZero = type.bytes();
    boolean empty = false;
    for (long d : shape) {
      empty |= d == 0;
      try {
        nonZero = Math.multiplyExact(nonZero, Math.max(1, d));
      } catch (ArithmeticException e) {
        throw in.broken(name, "has a shape of too many elements");
      }
    }
    return empty ? 0 : nonZero;
  }

  private MsgpackTensor complex(String name, long end) throws IOException {
    in.expect(name, unpacker.unpackArrayHeader() == 2, "is no pair of real and imaginary part");
    List<Piece> parts = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      in.expect(name, in.position() + 9 <= end, "is no pair of real and imaginary part");
      in.expect(
          name,
          unpacker.getNextFormat() == MessageFormat.FLOAT64,
          "is no pair of real and imaginary part");
      unpacker.unpackDouble();
      parts.add(new Piece(in.position() - 8, 8));
    }
    return MsgpackTensor.of(ElementType.COMPLEX128, true, new long[0], parts);
  }

  /** An array that was too large for one piece. */
  private MsgpackTensor chunked(String name, int entries, int depth) throws IOException {
    in.expect(name, entries == 3, "is a chunked array without shape or chunks");
    in.expect(
        name,
        unpacker.getNextFormat() == MessageFormat.BOOLEAN && unpacker.unpackBoolean(),
        "is marked as a chunked array and as none");
    long[] shape = null;
    SortedMap<Integer, MsgpackTensor> chunks = new TreeMap<>();
    for (int i = 0; i < 2; i++) {
      switch (in.key(name)) {
        case "shape" -> shape = shape(name);
        case "chunks" -> chunks(name, chunks);
        default -> throw in.broken(name, "is a chunked array with another key");
      }
    }
    in.expect(
        name, shape != null && !chunks.isEmpty(), "is a chunked array without shape or chunks");
    in.expect(name, chunks.lastKey() == chunks.size() - 1, "lacks one of its chunks");
    ElementType type = chunks.get(0).type();
    in.expect(
        name,
        chunks.values().stream().allMatch(c -> c.type() == type),
        "has chunks of different types");
    List<Piece> pieces = chunks.values().stream().flatMap(c -> c.pieces().stream()).toList();
    MsgpackTensor whole = MsgpackTensor.of(type, false, shape, pieces);
    in.expect(
        name,
        whole.info().bytes() == bytes(name, shape, type),
        "has chunks that do not add up to its shape");
    return whole;
  }

  private long[] shape(String name) throws IOException {
    boolean map = isMap(unpacker.getNextFormat());
    int rank = map ? unpacker.unpackMapHeader() : unpacker.unpackArrayHeader();
    in.expect(name, rank >= 0 && rank <= MAX_RANK, "has " + rank + " dimensions");
    long[] shape = new long[rank];
    for (int i = 0; i < rank; i++) {
      if (map) {
        in.expect(name, in.key(name).equals(Integer.toString(i)), "has dimensions out of order");
      }
      shape[i] = unpacker.unpackLong();
      in.expect(name, shape[i] >= 0, "has a negative dimension " + shape[i]);
    }
    return shape;
  }

  private void chunks(String name, SortedMap<Integer, MsgpackTensor> chunks) throws IOException {
    boolean map = isMap(unpacker.getNextFormat());
    int count = map ? unpacker.unpackMapHeader() : unpacker.unpackArrayHeader();
    in.require(name, count, 2L * Integer.toUnsignedLong(count), "chunks");
    for (int i = 0; i < count; i++) {
      String key = map ? in.key(name) : Integer.toString(i);
      in.expect(name, key.matches("0|[1-9][0-9]{0,6}"), "has a chunk '" + Excerpt.of(key) + "'");
      in.expect(
          name,
          unpacker.getNextFormat().getValueType() == ValueType.EXTENSION,
          "has a chunk that is no array");
      values++;
      in.expect(
          name,
          chunks.put(Integer.valueOf(key), extension(name)) == null,
          "has the chunk " + key + " twice");
    }
  }

  private void integer(String name, MessageFormat format) throws IOException {
    ElementType type =
        switch (format) {
          case POSFIXINT, UINT8 -> ElementType.UINT8;
          case NEGFIXINT, INT8 -> ElementType.INT8;
          case INT16 -> ElementType.INT16;
          case UINT16 -> ElementType.UINT16;
          case INT32 -> ElementType.INT32;
          case UINT32 -> ElementType.UINT32;
          case UINT64 -> ElementType.UINT64;
          default -> ElementType.INT64;
        };
    unpacker.unpackBigInteger();
    add(name, atEnd(type));
  }

  private void native64(String name, ElementType type) throws IOException {
    unpacker.unpackDouble();
    add(name, atEnd(type));
  }

  private void bool(String name) throws IOException {
    unpacker.unpackBoolean();
    add(name, atEnd(ElementType.BOOL));
  }

  /** A number that msgpack itself holds: its bytes are the last ones read, big endian. */
  private MsgpackTensor atEnd(ElementType type) {
    return MsgpackTensor.of(
        type, true, new long[0], List.of(new Piece(in.position() - type.bytes(), type.bytes())));
  }

  private void add(String name, MsgpackTensor tensor) {
    nameCharacters += name.length();
    if (found.size() >= MAX_TENSORS || nameCharacters > MAX_NAMES) {
      throw new PerformerException(file + " holds too many tensors: more than " + found.size());
    }
    if (found.put(name, tensor) != null) {
      throw in.broken(name, "occurs twice");
    }
  }

  private static String join(String parent, String key) {
    return parent.isEmpty() ? key : parent + "/" + key;
  }
}
