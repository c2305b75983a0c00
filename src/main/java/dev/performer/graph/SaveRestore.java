package dev.performer.graph;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.SaverDef;
import org.tensorflow.types.TString;
import org.tensorflow.types.family.TType;

/**
 * Ops of a graph that save its variables to a TensorFlow checkpoint, under the keys of Python's
 * object-based ones, and restore them. TensorFlow Java's own saver knows no resource variables.
 *
 * <p>Paths are without {@code .index}; their directories are made. A checkpoint is written beside
 * its place and moved there when whole, file by file: give each a new prefix where a kill between
 * the moves matters.
 */
public final class SaveRestore {
  private final Map<String, Variable> variables = new LinkedHashMap<>(); // by checkpoint key
  private final Map<String, Operand<?>> values = new LinkedHashMap<>();
  private final Placeholder<TString> prefix;
  private final Op save;
  private final Operand<TString> saved;
  private final Op restore;

  public SaveRestore(Ops scope, List<Variable> variables, Map<String, Operand<?>> more) {
    Ops tf = freeScope(scope);
    prefix = tf.withName("filename").placeholder(TString.class, Placeholder.shape(Shape.scalar()));
    variables.forEach(variable -> this.variables.put(variable.checkpointKey(), variable));
    variables.forEach(variable -> add(variable.checkpointKey(), variable.read(tf)));
    more.forEach(this::add);
    Operand<TString> keys = tf.array(values.keySet().toArray(String[]::new));
    save = tf.train.save(prefix, keys, whole(tf, values.size()), values.values());
    saved =
        tf.withControlDependencies(List.of(save)).withName("control_dependency").identity(prefix);
    restore = restoreOp(tf);
  }

  private void add(String key, Operand<?> value) {
    if (values.put(key, value) != null) {
      throw new IllegalArgumentException("two values have the checkpoint key " + key);
    }
  }

  /** A scope whose names are free also in a graph that was imported, which scopes do not see. */
  private static Ops freeScope(Ops scope) {
    List<String> names = new ArrayList<>();
    ((Graph) scope.scope().env()).operations().forEachRemaining(op -> names.add(op.name()));
    while (true) {
      Ops tf = scope.withSubScope("save");
      String probe = tf.scope().makeOpName("probe");
      String start = probe.substring(0, probe.lastIndexOf('/') + 1);
      if (names.stream().noneMatch(name -> name.startsWith(start))) {
        return tf;
      }
    }
  }

  public static SaveRestore of(Ops tf, List<Variable> variables) {
    return new SaveRestore(tf, variables, Map.of());
  }

  /**
   * Writes tensors, which the caller closes, and what more ops compute, all by checkpoint key.
   *
   * @param types as which tensors are stored, where it is not their own
   */
  public static void write(
      Path target,
      Map<String, ? extends Tensor> values,
      Map<String, DataType> types,
      Function<Ops, Map<String, Operand<?>>> more) {
    try (Graph graph = new Graph();
        Session session = new Session(graph, false)) {
      Ops tf = Ops.create(graph);
      Session.Runner runner = session.runner();
      Map<String, Operand<?>> stored = new LinkedHashMap<>();
      values.forEach(
          (key, value) -> stored.put(key, tf.placeholder(Tensors.javaType(value.dataType()))));
      values.forEach((key, value) -> runner.feed(stored.get(key), value));
      types.forEach((key, type) -> stored.replace(key, cast(tf, stored.get(key), type)));
      stored.putAll(more.apply(tf));
      new SaveRestore(tf, List.of(), stored).save(runner, target);
    }
  }

  private static Output<?> cast(Ops tf, Operand<?> value, DataType type) {
    var cast = tf.scope().opBuilder("Cast", "Cast").addInput(value.asOutput());
    return cast.setAttr("DstT", type).build().output(0);
  }

  private static Operand<TString> whole(Ops tf, int count) {
    return tf.array(Collections.nCopies(count, "").toArray(String[]::new));
  }

  private Op restoreOp(Ops tf) {
    if (variables.isEmpty()) {
      return tf.noOp();
    }
    var all = variables.values();
    var types = all.stream().<Class<? extends TType>>map(Variable::type).toList();
    Operand<TString> keys = tf.array(variables.keySet().toArray(String[]::new));
    var restored = tf.train.restore(prefix, keys, whole(tf, all.size()), types).tensors();
    List<Op> assigned = new ArrayList<>();
    all.forEach(v -> assigned.add(Variables.assign(tf, v, restored.get(assigned.size()))));
    return tf.withControlDependencies(assigned).withName("restore_all").noOp();
  }

  public SaverDef saverDef() {
    var def = SaverDef.newBuilder().setVersion(SaverDef.CheckpointFormatVersion.V2);
    def.setFilenameTensorName(prefix.op().name() + ":0");
    def.setSaveTensorName(saved.op().name() + ":0");
    return def.setRestoreOpName(restore.op().name()).build();
  }

  /** Saves the session's values; it stays usable where they cannot be written. */
  public void save(Session session, Path target) {
    save(session.runner(), target);
  }

  /** Data come first and the index last, so that an index never stands without its data. */
  private void save(Session.Runner runner, Path target) {
    Path place = target.toAbsolutePath();
    Path staging = null;
    try {
      Files.createDirectories(place.getParent());
      staging = AtomicFiles.createDirectoryBeside(place);
      Path staged = staging.resolve(target.getFileName());
      run(runner, save, staged);
      Path index = CheckpointReader.index(staged);
      try (var shards = Files.newDirectoryStream(staging, file -> !file.equals(index))) {
        for (Path shard : shards) {
          AtomicFiles.move(shard, place.resolveSibling(shard.getFileName()));
        }
      }
      AtomicFiles.move(index, CheckpointReader.index(place));
    } catch (IOException | RuntimeException e) { // TensorFlow's exceptions have no common type
      String why =
          e instanceof IOException io ? AtomicFiles.describe(io) : NativeErrors.firstLine(e);
      throw new PerformerException("checkpoint " + target + " cannot be written: " + why, e);
    } finally {
      if (staging != null) {
        AtomicFiles.discard(staging);
      }
    }
  }

  private void run(Session.Runner runner, Op op, Path path) {
    try (TString file = TString.scalarOf(path.toString())) {
      runner.feed(prefix, file).addTarget(op).run().close();
    }
  }

  /**
   * Gives the session's variables the values of a checkpoint, which may hold more than these.
   *
   * @throws PerformerException if it is missing or damaged, or listing all keys, types and shapes
   *     that disagree; no variable is changed then
   */
  public void restore(Session session, Path source) {
    try (CheckpointReader reader = CheckpointReader.open(source)) {
      reader.requireFit(variables.values(), "checkpoint " + source + " does not fit this graph");
    }
    try {
      run(session.runner(), restore, source);
    } catch (RuntimeException e) {
      String why = NativeErrors.firstLine(e);
      throw new PerformerException("checkpoint " + source + " cannot be read: " + why, e);
    }
  }
}
