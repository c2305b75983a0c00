package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;
import static org.msgpack.value.ValueType.BOOLEAN;
import static org.msgpack.value.ValueType.EXTENSION;
import static org.msgpack.value.ValueType.MAP;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.msgpack.core.MessageFormat;
import org.msgpack.core.MessageInsufficientBufferException;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessagePackException;
import org.msgpack.core.MessageUnpacker;
import org.msgpack.core.buffer.ChannelBufferInput;
import org.msgpack.value.ValueType;

/**
 * Walks through a msgpack file and notes where its tensors lie: a file costs memory in proportion
 * to the number of its tensors only. What it claims about sizes is compared with the bytes that are
 * left before anything is made of it.
 */
final class MsgpackStructure {
  private static final int COMPLEX = 2;
  private static final int MAX_DEPTH = 512;
  private static final int MAX_KEY = 4096;
  private static final int MAX_RANK = 32;
  private static final int MAX_TENSORS = 200_000;
  private static final int MAX_VALUES = 4 * MAX_TENSORS;
  private static final long MAX_NAMES = 32_000_000;
  private static final String CHUNKED = "__msgpack_chunked_array__";
  private static final String NO_PAIR = "is no pair of real and imaginary part";

  /** A run of bytes of the file. */
  record Piece(long offset, long bytes) {}

  /** Where a tensor's elements lie in C order; msgpack's own numbers are big endian. */
  record Tensor(ElementType type, WeightFile.Info info, boolean bigEndian, List<Piece> pieces) {}

  private final Path file;
  private final FileChannel channel;
  private final long size;
  private final MessageUnpacker in;
  private final SortedMap<String, Tensor> found = new TreeMap<>();
  private long base;
  private String tensor = ""; // the one that is being read; empty in a map of them at the top
  private int values;
  private long nameCharacters;

  MsgpackStructure(Path file, FileChannel channel) throws IOException {
    this.file = file;
    this.channel = channel;
    this.size = channel.size();
    this.in = MessagePack.newDefaultUnpacker(new ChannelBufferInput(channel));
    moveTo(0);
  }

  /** All tensors, by path. @throws PerformerException if the file is broken */
  SortedMap<String, Tensor> tensors() throws IOException {
    require(size > 0, "%s is empty; expected a Flax checkpoint", file);
    try {
      ValueType root = next();
      String wrong = "holds no map of tensors at its top but a value of type %s";
      expect(root == MAP || root == EXTENSION, wrong, root);
      walk("", 0);
      tensor = "";
      expect(left() == 0, "has %s bytes after its end; is it a Flax checkpoint?", left());
      return found;
    } catch (MessagePackException e) {
      String kind =
          e instanceof MessageInsufficientBufferException
              ? "it ends too early"
              : "a value is not of the kind or size that belongs there";
      throw new PerformerException(
          "%s: broken msgpack at byte %s: %s".formatted(file, position(), kind), e);
    }
  }

  private void walk(String name, int depth) throws IOException {
    require(depth <= MAX_DEPTH, "%s is nested deeper than %s levels", file, MAX_DEPTH);
    boolean isSane = ++values <= MAX_VALUES;
    require(isSane, "%s holds more than %s values; that is no checkpoint", file, MAX_VALUES);
    tensor = name;
    switch (next()) {
      case MAP -> map(name, depth);
      case ARRAY -> list(name, depth);
      case EXTENSION -> add(name, extension());
      case INTEGER, FLOAT, BOOLEAN -> add(name, number());
      case NIL -> in.unpackNil();
      default -> skip();
    }
  }

  /** A text, which is no tensor. */
  private void skip() throws IOException {
    int length = rawHeader();
    requireLeft(length, 1, "bytes");
    moveTo(position() + length);
  }

  private void map(String name, int depth) throws IOException {
    int entries = in.unpackMapHeader();
    requireLeft(entries, 2, "entries");
    Set<String> keys = new HashSet<>();
    for (int i = 0; i < entries; i++) {
      tensor = name;
      String key = key();
      if (i == 0 && entries <= 3 && key.equals(CHUNKED)) {
        add(name, chunked(entries));
        return;
      }
      tensor = join(name, key);
      expect(keys.add(key), "occurs twice");
      walk(tensor, depth + 1);
    }
  }

  private void list(String name, int depth) throws IOException {
    int entries = in.unpackArrayHeader();
    requireLeft(entries, 1, "elements");
    for (int i = 0; i < entries; i++) {
      walk(join(name, Integer.toString(i)), depth + 1);
    }
  }

  private static String join(String parent, String key) {
    return parent.isEmpty() ? key : parent + "/" + key;
  }

  private void add(String name, Tensor read) {
    nameCharacters += name.length();
    boolean fits = found.size() < MAX_TENSORS && nameCharacters <= MAX_NAMES;
    require(fits, "%s holds too many tensors: more than %s", file, found.size());
    tensor = name;
    expect(found.put(name, read) == null, "occurs twice");
  }

  /** An array as an extension: shape, type name and elements, packed once more. */
  private Tensor extension() throws IOException {
    var header = in.unpackExtensionTypeHeader();
    int length = header.getLength();
    int kind = header.getType();
    requireLeft(length, 1, "bytes");
    long end = position() + length;
    expect(kind >= 1 && kind <= 3, "is msgpack extension %s; Flax writes 1, 2 and 3 only", kind);
    Tensor read = kind == COMPLEX ? complex(end) : ndarray(end);
    expect(position() == end, "does not fill its %s bytes", length);
    return read;
  }

  private Tensor ndarray(long end) throws IOException {
    expect(in.unpackArrayHeader() == 3, "is no triple of shape, type and elements");
    long[] shape = shape();
    String name = text();
    ElementType type = ElementType.of(name).orElse(null);
    expect(type != null, "has elements of unknown type '%s'", Excerpt.of(name));
    int bytes = rawHeader();
    expect(Integer.toUnsignedLong(bytes) <= end - position(), "claims bytes it has not");
    var info = type.info(shape, where());
    long needed = info.bytes();
    expect(needed == bytes, "has %d bytes, but %s needs %d", bytes, info, needed);
    long offset = position();
    moveTo(offset + bytes);
    return new Tensor(type, info, false, List.of(new Piece(offset, bytes)));
  }

  private Tensor complex(long end) throws IOException {
    expect(in.unpackArrayHeader() == 2, NO_PAIR);
    List<Piece> parts = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      expect(position() + 9 <= end && in.getNextFormat() == MessageFormat.FLOAT64, NO_PAIR);
      in.unpackDouble();
      parts.add(0, new Piece(position() - 8, 8)); // all bytes are reversed later
    }
    var type = ElementType.COMPLEX128;
    return new Tensor(type, type.info(new long[0], where()), true, parts);
  }

  /** A number that msgpack itself holds. */
  private Tensor number() throws IOException {
    MessageFormat format = in.getNextFormat();
    ElementType type =
        switch (format) {
          case POSFIXINT -> ElementType.UINT8;
          case NEGFIXINT -> ElementType.INT8;
          case BOOLEAN -> ElementType.BOOL;
          default -> ElementType.valueOf(format.name());
        };
    in.skipValue();
    var last = new Piece(position() - type.bytes, type.bytes);
    return new Tensor(type, type.info(new long[0], where()), true, List.of(last));
  }

  /** An array that was too large for one piece. */
  private Tensor chunked(int entries) throws IOException {
    boolean isMarked = entries == 3 && next() == BOOLEAN && in.unpackBoolean();
    expect(isMarked, "is marked as a chunked array and is none");
    long[] shape = null;
    SortedMap<Integer, Tensor> chunks = new TreeMap<>();
    for (int i = 0; i < 2; i++) {
      switch (key()) {
        case "shape" -> shape = shape();
        case "chunks" -> chunks(chunks);
        default -> throw broken("is a chunked array with another key");
      }
    }
    expect(shape != null && !chunks.isEmpty(), "is a chunked array without shape or chunks");
    expect(chunks.lastKey() == chunks.size() - 1, "lacks one of its chunks");
    ElementType type = chunks.get(0).type();
    boolean isOneType = chunks.values().stream().allMatch(chunk -> chunk.type() == type);
    expect(isOneType, "has chunks of different types");
    List<Piece> pieces = chunks.values().stream().flatMap(c -> c.pieces().stream()).toList();
    var info = type.info(shape, where());
    boolean fits = info.bytes() == pieces.stream().mapToLong(Piece::bytes).sum();
    expect(fits, "has chunks that do not add up to its shape");
    return new Tensor(type, info, false, pieces);
  }

  private void chunks(SortedMap<Integer, Tensor> chunks) throws IOException {
    boolean isMap = next() == MAP;
    int count = count(isMap);
    requireLeft(count, 2, "chunks");
    for (int i = 0; i < count; i++) {
      String key = isMap ? key() : Integer.toString(i);
      expect(key.matches("0|[1-9][0-9]{0,6}"), "has a chunk '%s'", Excerpt.of(key));
      expect(next() == EXTENSION, "has a chunk that is no array");
      values++;
      expect(chunks.put(Integer.valueOf(key), extension()) == null, "has the chunk %s twice", key);
    }
  }

  private long[] shape() throws IOException {
    boolean isMap = next() == MAP;
    int rank = count(isMap);
    expect(rank >= 0 && rank <= MAX_RANK, "has %s dimensions", rank);
    long[] shape = new long[rank];
    for (int i = 0; i < rank; i++) {
      expect(!isMap || key().equals(Integer.toString(i)), "has dimensions out of order");
      shape[i] = in.unpackLong();
      expect(shape[i] >= 0, "has a negative dimension %s", shape[i]);
    }
    return shape;
  }

  /** How many things a list holds, or a map of numbers to them. */
  private int count(boolean isMap) throws IOException {
    return isMap ? in.unpackMapHeader() : in.unpackArrayHeader();
  }

  /** Maps of strings are what Flax writes; older packers wrote bytes, and lists may be numbered. */
  private String key() throws IOException {
    return switch (next()) {
      case STRING, BINARY -> text();
      case INTEGER -> in.unpackBigInteger().toString();
      default -> throw broken("has a key of type " + next());
    };
  }

  private String text() throws IOException {
    int length = rawHeader();
    requireLeft(length, 1, "bytes");
    expect(length <= MAX_KEY, "has a key or type name of %s bytes", length);
    ByteBuffer bytes = ByteBuffer.wrap(in.readPayload(length));
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
      boolean isPlain = text.chars().noneMatch(Character::isISOControl);
      expect(isPlain, "has a key or type name with control characters");
      return text;
    } catch (CharacterCodingException e) {
      throw broken("has a key or type name that is not UTF-8");
    }
  }

  private int rawHeader() throws IOException {
    return switch (next()) {
      case STRING -> in.unpackRawStringHeader();
      case BINARY -> in.unpackBinaryHeader();
      default -> throw broken("is no triple of shape, type and elements");
    };
  }

  private ValueType next() throws IOException {
    return in.getNextFormat().getValueType();
  }

  /** Fails where fewer bytes are left than so many things take at least. */
  private void requireLeft(int claimed, int bytesEach, String what) {
    long unsigned = Integer.toUnsignedLong(claimed);
    boolean fits = claimed >= 0 && bytesEach * unsigned <= left();
    String cut = "claims %d %s where %d bytes are left; the file is cut off or broken";
    expect(fits, cut, unsigned, what, left());
  }

  private void expect(boolean right, String otherwise, Object... arguments) {
    if (!right) {
      throw broken(otherwise.formatted(arguments));
    }
  }

  private PerformerException broken(String what) {
    return new PerformerException(where() + " " + what);
  }

  /** File and tensor. */
  private String where() {
    return tensor.isEmpty() ? file.toString() : file + ": tensor " + Excerpt.of(tensor);
  }

  private long position() {
    return base + in.getTotalReadBytes();
  }

  private long left() {
    return size - position();
  }

  /** Goes on reading elsewhere, without reading what lies between. */
  private void moveTo(long offset) throws IOException {
    channel.position(offset);
    in.reset(new ChannelBufferInput(channel, 1024));
    base = offset;
  }
}
