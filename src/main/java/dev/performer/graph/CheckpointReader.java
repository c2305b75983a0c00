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
import java.util.Collection;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.zip.CRC32C;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.BundleEntryProto;
import org.tensorflow.proto.BundleHeaderProto;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TString;
import org.tensorflow.types.family.TType;

/**
 * Reads a TensorFlow checkpoint in the V2 format: {@code PREFIX.index} and {@code
 * PREFIX.data-?????-of-?????}. Missing and damaged files are found before native code sees them.
 */
public final class CheckpointReader implements AutoCloseable {
  /** The key of the string that holds a TF2 checkpoint's object graph. */
  public static final String OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH";

  /** What a checkpoint holds under one key; the full shape also where it is stored in slices. */
  public record Entry(DataType type, Shape shape) {}

  private final Path prefix;
  private final Map<String, Entry> entries;
  private Source source;

  private CheckpointReader(Path prefix) {
    this.prefix = prefix;
    entries = Collections.unmodifiableMap(new Table(prefix, index(prefix)).read());
  }

  /**
   * @throws PerformerException if a file is missing, truncated or not a checkpoint
   */
  public static CheckpointReader open(Path prefix) {
    return new CheckpointReader(prefix);
  }

  public static boolean exists(Path prefix) {
    return Files.isRegularFile(index(prefix));
  }

  static Path index(Path prefix) {
    return prefix.resolveSibling(stem(prefix) + ".index");
  }

  /** How names of files begin; empty for the prefix {@code DIR/}, as a path {@code DIR/.}. */
  private static String stem(Path prefix) {
    return prefix.endsWith(".") ? "" : prefix.getFileName().toString();
  }

  public Map<String, Entry> entries() {
    return entries;
  }

  public Entry entry(String key) {
    Entry entry = entries.get(key);
    int count = entries.size();
    require(entry != null, "checkpoint %s has no key %s (it has %s keys)", prefix, key, count);
    return entry;
  }

  public void requireFit(Collection<Variable> variables, String heading) {
    List<String> problems = new ArrayList<>();
    Set<String> unused = new TreeSet<>(entries.keySet());
    unused.remove(OBJECT_GRAPH_KEY);
    boolean isComplete = true;
    for (Variable variable : variables) {
      String key = variable.checkpointKey();
      unused.remove(key);
      Entry entry = entries.get(key);
      DataType type = Tensors.dataType(variable.type());
      if (entry == null) {
        problems.add(key + " is missing");
        isComplete = false;
      } else if (entry.type() != type) {
        problems.add(key + " is " + entry.type() + ", expected " + type);
      } else if (!variable.shape().isCompatibleWith(entry.shape())) {
        problems.add(key + " has shape " + entry.shape() + ", expected " + variable.shape());
      }
    }
    if (!isComplete && !unused.isEmpty()) {
      problems.add("the file has these other keys: " + unused.stream().limit(10).toList());
    }
    if (!problems.isEmpty()) {
      throw new PerformerException(heading, problems);
    }
  }

  /** Reads one tensor, which the caller closes. @throws PerformerException if it is damaged */
  public Tensor tensor(String key) {
    DataType type = entry(key).type();
    if (source == null) {
      source = new Source();
    }
    try {
      return source.read(key, type);
    } catch (RuntimeException e) { // TensorFlow's exceptions have no common type
      String message = "checkpoint %s, key %s: %s";
      throw new PerformerException(message.formatted(prefix, key, NativeErrors.firstLine(e)), e);
    }
  }

  /** The bytes of a scalar string. @throws PerformerException if the key holds none */
  public byte[] string(String key) {
    Entry entry = entry(key);
    boolean isString = entry.equals(new Entry(DataType.DT_STRING, Shape.scalar()));
    String message = "checkpoint %s, key %s: expected a scalar string, found %s";
    require(isString, message, prefix, key, entry);
    try (Tensor tensor = tensor(key)) {
      return ((TString) tensor).asBytes().getObject();
    }
  }

  @Override
  public void close() {
    if (source != null) {
      source.session.close();
      source.graph.close();
      source = null;
    }
  }

  /** A graph with one restoring op per element type, made when the first tensor is read. */
  private final class Source {
    private final Graph graph = new Graph();
    private final Session session = new Session(graph);
    private final Ops tf = Ops.create(graph);
    private final Operand<TString> checkpoint =
        tf.constant(prefix.toString().replaceFirst("(^|/)\\.$", "$1./"));
    private final Placeholder<TString> key =
        tf.placeholder(TString.class, Placeholder.shape(Shape.of(1)));
    private final Map<DataType, Output<?>> values = new EnumMap<>(DataType.class);

    /** A copy: what a run returns is closed with its result. */
    Tensor read(String name, DataType type) {
      Output<?> value = values.computeIfAbsent(type, this::restore);
      try (TString fed = TString.vectorOf(name);
          var result = session.runner().feed(key, fed).fetch(value).run()) {
        Tensor tensor = result.get(0);
        return tensor instanceof TString strings
            ? TString.tensorOfBytes(strings.asBytes())
            : Tensors.ofBytes(type, tensor.shape(), ByteBuffer.wrap(Tensors.bytes(tensor)));
      }
    }

    private Output<?> restore(DataType type) {
      var types = List.<Class<? extends TType>>of(Tensors.javaType(type));
      return tf.train.restore(checkpoint, key, tf.array(""), types).tensors().get(0);
    }
  }

  /**
   * The index, read in Java to the last byte: native code trusts sizes in it that a damaged file
   * can set to anything, and ends the process when it cannot allocate them.
   *
   * @see <a href="https://github.com/google/leveldb/blob/main/doc/table_format.md">the format</a>
   */
  private record Table(Path prefix, Path index) {
    private static final int FOOTER = 48;
    private static final long MAGIC = 0xdb4775248b80fb57L; // of leveldb's table format
    private static final int TRAILER = 5; // compression and checksum behind every block
    private static final long LARGEST = 1L << 28;
    private static final int MOST_SHARDS = 100_000;
    private static final String AGAIN = "; copy it again from its origin";

    private record Item(ByteString key, ByteString value) {}

    /** Checks every block and entry, and that the data files hold what the entries list. */
    Map<String, Entry> read() {
      require(Files.isRegularFile(index), "no checkpoint at %s: %s is missing", prefix, index);
      try {
        require(Files.size(index) <= LARGEST, "%s is too large for a checkpoint's index", index);
        byte[] bytes = RegularFiles.readAllBytes(index);
        return entries(table(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)));
      } catch (InvalidProtocolBufferException | IndexOutOfBoundsException | ArithmeticException e) {
        throw damaged("a number or an entry in it makes no sense", e);
      } catch (IOException e) {
        throw new PerformerException(index + " cannot be read: " + AtomicFiles.describe(e), e);
      }
    }

    private PerformerException damaged(String what, Exception cause) {
      String message = "%s is a damaged checkpoint index (%s)".formatted(index, what);
      return new PerformerException(message + AGAIN, cause);
    }

    private void check(boolean condition, String format, Object... values) {
      if (!condition) {
        throw damaged(format.formatted(values), null);
      }
    }

    private Map<ByteString, ByteString> table(ByteBuffer file) throws IOException {
      int size = file.capacity();
      boolean isTable = size >= FOOTER && file.getLong(size - Long.BYTES) == MAGIC;
      require(isTable, "%s is not a checkpoint index: it is damaged or truncated" + AGAIN, index);
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

    private Map<String, Entry> entries(Map<ByteString, ByteString> items) throws IOException {
      ByteString header = items.remove(ByteString.EMPTY);
      check(header != null, "it has no header");
      BundleHeaderProto bundle = BundleHeaderProto.parseFrom(header);
      boolean isLittle = bundle.getEndianness() == BundleHeaderProto.Endianness.LITTLE;
      require(isLittle, "%s is big endian; save it on a little endian machine", index);
      long[] sizes = shardSizes(bundle.getNumShards());
      Map<String, Entry> entries = new TreeMap<>();
      for (var item : items.entrySet()) {
        BundleEntryProto entry = BundleEntryProto.parseFrom(item.getValue());
        boolean isSlice = item.getKey().byteAt(0) == 0;
        String key = item.getKey().toStringUtf8();
        check(isSlice ? "a slice of a tensor" : "key " + key, entry, sizes);
        if (!isSlice) {
          entries.put(key, new Entry(entry.getDtype(), GraphProtos.shape(entry.getShape())));
        }
      }
      return entries;
    }

    private long[] shardSizes(int count) throws IOException {
      check(count >= 1 && count <= MOST_SHARDS, "it claims %s data files", count);
      long[] sizes = new long[count];
      int present = 0;
      String name = stem(prefix);
      for (int i = 0; i < count; i++) {
        Path data = prefix.resolveSibling("%s.data-%05d-of-%05d".formatted(name, i, count));
        if (Files.isRegularFile(data)) {
          sizes[i] = Files.size(data);
          present++;
        }
      }
      String missing =
          "checkpoint %1$s has an index but no data: %2$s.data-00000-of-00001 is missing (or, if it"
              + " was written in parts, each file %2$s.data-?????-of-????? is missing)";
      require(present > 0, missing, prefix, name);
      String some = "checkpoint %s has %s of its %s data files";
      require(present == count, some, prefix, present, count);
      return sizes;
    }

    private void check(String where, BundleEntryProto entry, long[] shardSizes) {
      var shape = entry.getShape();
      check(!shape.getUnknownRank() && shape.getDimCount() <= 254, "%s has no shape", where);
      boolean isNegative = shape.getDimList().stream().anyMatch(dim -> dim.getSize() < 0);
      check(!isNegative, "%s has a negative dimension", where);
      long elements = GraphProtos.elements(shape);
      if (entry.getSlicesCount() > 0) {
        return; // entries of their own hold the slices
      }
      int shard = entry.getShardId();
      long size = entry.getSize();
      boolean isSomewhere = shard >= 0 && shard < shardSizes.length;
      check(isSomewhere && size >= 0 && entry.getOffset() >= 0, "%s lies in no data file", where);
      boolean isThere = entry.getOffset() <= shardSizes[shard] - size;
      String ends = "%s: %s ends behind its data file, which has %s bytes: it is truncated" + AGAIN;
      require(isThere, ends, index, where, shardSizes[shard]);
      int width = GraphProtos.width(entry.getDtype());
      boolean isKnown = width != GraphProtos.UNKNOWN;
      check(isKnown, "%s has elements of an unknown type, %s", where, entry.getDtype());
      boolean isPacked = width == GraphProtos.VARIABLE;
      boolean fits = isPacked ? elements <= size : Math.multiplyExact(elements, width) == size;
      check(fits, "%s has %s bytes for %s elements", where, size, elements);
    }
  }
}
