package dev.performer.graph;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TString;
import org.tensorflow.types.family.TType;

/**
 * Reads a TensorFlow checkpoint in the V2 format: {@code PREFIX.index} and {@code
 * PREFIX.data-?????-of-?????}. Missing and truncated files are found before native code sees them.
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
    entries = Collections.unmodifiableMap(new CheckpointTable(prefix).read());
  }

  /**
   * @throws PerformerException if a file is missing, truncated or not a checkpoint
   */
  public static CheckpointReader open(Path prefix) {
    return new CheckpointReader(prefix);
  }

  /** Whether there is an index file of that prefix. */
  public static boolean exists(Path prefix) {
    return Files.isRegularFile(CheckpointTable.index(prefix));
  }

  /** By key in alphabetical order. */
  public Map<String, Entry> entries() {
    return entries;
  }

  /** The entry of a key. @throws PerformerException if there is none */
  public Entry entry(String key) {
    Entry entry = entries.get(key);
    int count = entries.size();
    require(entry != null, "checkpoint %s has no key %s (it has %s keys)", prefix, key, count);
    return entry;
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
      throw new PerformerException(
          "checkpoint " + prefix + ", key " + key + ": " + NativeErrors.firstLine(e), e);
    }
  }

  /** The bytes of a scalar string. @throws PerformerException if the key holds none */
  public byte[] string(String key) {
    Entry entry = entry(key);
    require(
        entry.equals(new Entry(DataType.DT_STRING, Shape.scalar())),
        "checkpoint %s, key %s: expected a scalar string, found %s",
        prefix,
        key,
        entry);
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
    private final Operand<TString> checkpoint = tf.constant(prefix.toString());
    private final Placeholder<TString> key =
        tf.placeholder(TString.class, Placeholder.shape(Shape.of(1)));
    private final Map<DataType, Output<?>> values = new EnumMap<>(DataType.class);

    /** A copy: what a run returns is closed with its result. */
    Tensor read(String name, DataType type) {
      Output<?> value = values.computeIfAbsent(type, this::restore);
      try (TString fed = TString.vectorOf(name);
          Result result = session.runner().feed(key, fed).fetch(value).run()) {
        Tensor tensor = result.get(0);
        return tensor instanceof TString strings
            ? TString.tensorOfBytes(strings.asBytes())
            : Tensors.ofBytes(type, tensor.shape(), ByteBuffer.wrap(Tensors.bytes(tensor)));
      }
    }

    private Output<?> restore(DataType type) {
      var types = List.<Class<? extends TType>>of(DataTypes.javaType(type));
      return tf.train.restore(checkpoint, key, tf.array(""), types).tensors().get(0);
    }
  }
}
