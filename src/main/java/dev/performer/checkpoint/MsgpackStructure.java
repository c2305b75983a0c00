package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;
import static org.msgpack.value.ValueType.EXTENSION;
import static org.msgpack.value.ValueType.MAP;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.msgpack.core.ExtensionTypeHeader;
import org.msgpack.core.MessageFormat;
import org.msgpack.core.MessageInsufficientBufferException;
import org.msgpack.core.MessageIntegerOverflowException;
import org.msgpack.core.MessagePackException;
import org.msgpack.core.MessageSizeException;
import org.msgpack.core.MessageTypeException;
import org.msgpack.core.MessageUnpacker;
import org.msgpack.value.ValueType;

/**
 * Walks through a msgpack file and notes where its tensors lie: a file costs memory in proportion
 * to the number of its tensors only.
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
  private static final String NO_PAIR = "is no pair of real and imaginary part";

  /** A run of bytes of the file. */
  record Piece(long offset, long bytes) {}

  /** Where a tensor's elements lie in C order; msgpack's own numbers are big endian. */
  record Tensor(ElementType type, boolean bigEndian, long[] shape, List<Piece> pieces) {
    WeightFile.Info info() {
      long bytes = pieces.stream().mapToLong(Piece::bytes).sum();
      return new WeightFile.Info(type.label(), shape, bytes);
    }
  }

  private final Path file;
  private final MsgpackCursor in;
  private final MessageUnpacker unpacker;
  private final SortedMap<String, Tensor> found = new TreeMap<>();
  private int values;
  private long nameCharacters;

  MsgpackStructure(Path file, FileChannel channel) throws IOException {
    this.file = file;
    in = new MsgpackCursor(file, channel);
    unpacker = in.unpacker();
  }

  /** All tensors, by path. @throws PerformerException if the file is broken */
  SortedMap<String, Tensor> tensors() throws IOException {
    require(in.left() > 0, "%s is empty; expected a Flax checkpoint", file);
    try {
      ValueType root = next();
      String wrong = "holds no map of tensors at its top but a value of type %s";
      in.expect(root == MAP || root == EXTENSION, wrong, root);
      walk("", 0);
      in.at("");
      in.expect(in.left() == 0, "has %s bytes after its end; is it a Flax checkpoint?", in.left());
      return found;
    } catch (MessagePackException e) {
      throw new PerformerException(
          "%s: broken msgpack at byte %s: %s".formatted(file, in.position(), kind(e)), e);
    }
  }

  private static String kind(MessagePackException e) {
    if (e instanceof MessageInsufficientBufferException) {
      return "it ends too early";
    }
    if (e instanceof MessageSizeException || e instanceof MessageIntegerOverflowException) {
      return "a number or a size is too large";
    }
    return e instanceof MessageTypeException
        ? "a value is not of the kind that belongs there"
        : "a byte that msgpack does not have";
  }

  private ValueType next() throws IOException {
    return unpacker.getNextFormat().getValueType();
  }

  private void walk(String name, int depth) throws IOException {
    require(depth <= MAX_DEPTH, "%s is nested deeper than %s levels", file, MAX_DEPTH);
    int most = 4 * MAX_TENSORS;
    require(++values <= most, "%s holds more than %s values; that is no checkpoint", file, most);
    in.at(name);
    MessageFormat format = unpacker.getNextFormat();
    switch (format.getValueType()) {
      case MAP -> map(name, depth);
      case ARRAY -> list(name, depth);
      case EXTENSION -> add(name, extension());
      case INTEGER, FLOAT, BOOLEAN -> add(name, number(format));
      default -> skip();
    }
  }

  /** What is no tensor: nothing, or a text. */
  private void skip() throws IOException {
    if (next() == ValueType.NIL) {
      unpacker.unpackNil();
      return;
    }
    int length = in.rawHeader();
    in.requireLeft(length, 1, "bytes");
    in.moveTo(in.position() + length);
  }

  private void map(String name, int depth) throws IOException {
    int entries = unpacker.unpackMapHeader();
    in.requireLeft(entries, 2, "entries");
    Set<String> keys = new HashSet<>();
    for (int i = 0; i < entries; i++) {
      in.at(name);
      String key = in.key();
      if (i == 0 && entries <= 3 && key.equals(CHUNKED)) {
        add(name, chunked(entries));
        return;
      }
      String child = join(name, key);
      require(keys.add(key), "%s: tensor %s occurs twice", file, Excerpt.of(child));
      walk(child, depth + 1);
    }
  }

  private void list(String name, int depth) throws IOException {
    int entries = unpacker.unpackArrayHeader();
    in.requireLeft(entries, 1, "elements");
    for (int i = 0; i < entries; i++) {
      walk(join(name, Integer.toString(i)), depth + 1);
    }
  }

  /** An array as an extension: shape, type name and elements, packed once more. */
  private Tensor extension() throws IOException {
    ExtensionTypeHeader header = unpacker.unpackExtensionTypeHeader();
    int length = header.getLength();
    in.requireLeft(length, 1, "bytes");
    long end = in.position() + length;
    int kind = header.getType();
    Tensor tensor =
        switch (kind) {
          case NDARRAY, SCALAR -> ndarray(end);
          case COMPLEX -> complex(end);
          default ->
              throw in.broken("is msgpack extension " + kind + "; Flax writes 1, 2 and 3 only");
        };
    in.expect(in.position() == end, "does not fill its %s bytes", length);
    return tensor;
  }

  private Tensor ndarray(long end) throws IOException {
    in.expect(unpacker.unpackArrayHeader() == 3, "is no triple of shape, type and elements");
    long[] shape = shape();
    String name = in.text();
    ElementType type = ElementType.of(name).orElse(null);
    in.expect(type != null, "has elements of unknown type '%s'", Excerpt.of(name));
    int bytes = in.rawHeader();
    boolean isInside = Integer.toUnsignedLong(bytes) <= end - in.position();
    in.expect(isInside, "claims bytes it has not");
    long needed = type.bytesOf(shape, in.where());
    String dimensions = Arrays.toString(shape);
    in.expect(needed == bytes, "has %d bytes, but %s%s needs %d", bytes, name, dimensions, needed);
    long offset = in.position();
    in.moveTo(offset + bytes);
    return new Tensor(type, false, shape, List.of(new Piece(offset, bytes)));
  }

  private Tensor complex(long end) throws IOException {
    in.expect(unpacker.unpackArrayHeader() == 2, NO_PAIR);
    List<Piece> parts = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      in.expect(in.position() + 9 <= end, NO_PAIR);
      in.expect(unpacker.getNextFormat() == MessageFormat.FLOAT64, NO_PAIR);
      unpacker.unpackDouble();
      parts.add(0, new Piece(in.position() - 8, 8)); // all bytes are reversed later
    }
    return new Tensor(ElementType.COMPLEX128, true, new long[0], parts);
  }

  /** An array that was too large for one piece. */
  private Tensor chunked(int entries) throws IOException {
    in.expect(entries == 3, "is a chunked array without shape or chunks");
    boolean isMarked = next() == ValueType.BOOLEAN && unpacker.unpackBoolean();
    in.expect(isMarked, "is marked as a chunked array and as none");
    long[] shape = null;
    SortedMap<Integer, Tensor> chunks = new TreeMap<>();
    for (int i = 0; i < 2; i++) {
      switch (in.key()) {
        case "shape" -> shape = shape();
        case "chunks" -> chunks(chunks);
        default -> throw in.broken("is a chunked array with another key");
      }
    }
    boolean isWhole = shape != null && !chunks.isEmpty();
    in.expect(isWhole, "is a chunked array without shape or chunks");
    in.expect(chunks.lastKey() == chunks.size() - 1, "lacks one of its chunks");
    ElementType type = chunks.get(0).type();
    boolean isOneType = chunks.values().stream().allMatch(chunk -> chunk.type() == type);
    in.expect(isOneType, "has chunks of different types");
    List<Piece> pieces = chunks.values().stream().flatMap(c -> c.pieces().stream()).toList();
    var whole = new Tensor(type, false, shape, pieces);
    long needed = type.bytesOf(shape, in.where());
    in.expect(whole.info().bytes() == needed, "has chunks that do not add up to its shape");
    return whole;
  }

  /** How many things a list holds, or a map of numbers to them. */
  private int count(boolean isMap) throws IOException {
    return isMap ? unpacker.unpackMapHeader() : unpacker.unpackArrayHeader();
  }

  private long[] shape() throws IOException {
    boolean isMap = next() == MAP;
    int rank = count(isMap);
    in.expect(rank >= 0 && rank <= MAX_RANK, "has %s dimensions", rank);
    long[] shape = new long[rank];
    for (int i = 0; i < rank; i++) {
      boolean isNext = !isMap || in.key().equals(Integer.toString(i));
      in.expect(isNext, "has dimensions out of order");
      shape[i] = unpacker.unpackLong();
      in.expect(shape[i] >= 0, "has a negative dimension %s", shape[i]);
    }
    return shape;
  }

  private void chunks(SortedMap<Integer, Tensor> chunks) throws IOException {
    boolean isMap = next() == MAP;
    int count = count(isMap);
    in.requireLeft(count, 2, "chunks");
    for (int i = 0; i < count; i++) {
      String key = isMap ? in.key() : Integer.toString(i);
      in.expect(key.matches("0|[1-9][0-9]{0,6}"), "has a chunk '%s'", Excerpt.of(key));
      in.expect(next() == EXTENSION, "has a chunk that is no array");
      values++;
      boolean isNew = chunks.put(Integer.valueOf(key), extension()) == null;
      in.expect(isNew, "has the chunk %s twice", key);
    }
  }

  /** A number that msgpack itself holds, big endian. */
  private Tensor number(MessageFormat format) throws IOException {
    ElementType type =
        switch (format) {
          case POSFIXINT -> ElementType.UINT8;
          case NEGFIXINT -> ElementType.INT8;
          case BOOLEAN -> ElementType.BOOL;
          default -> ElementType.valueOf(format.name());
        };
    unpacker.skipValue();
    Piece last = new Piece(in.position() - type.bytes(), type.bytes());
    return new Tensor(type, true, new long[0], List.of(last));
  }

  private void add(String name, Tensor tensor) {
    nameCharacters += name.length();
    boolean fits = found.size() < MAX_TENSORS && nameCharacters <= MAX_NAMES;
    require(fits, "%s holds too many tensors: more than %s", file, found.size());
    in.at(name);
    in.expect(found.put(name, tensor) == null, "occurs twice");
  }

  private static String join(String parent, String key) {
    return parent.isEmpty() ? key : parent + "/" + key;
  }
}
