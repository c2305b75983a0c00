package dev.performer.graph;

import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
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
 * Ops of a graph that save its variables to a TensorFlow checkpoint and restore them, under the
 * keys that Python's object-based checkpoints use. TensorFlow Java's own saver knows nothing of
 * resource variables.
 *
 * <p>A checkpoint is written beside its place and moved there when whole. The two files are moved
 * one after the other, so give each checkpoint a new prefix where a kill between the moves matters.
 */
public final class SaveRestore {
  private static final String PROBE = "probe";

  private final Map<String, Variable> variables = new LinkedHashMap<>();
  private final Map<String, Operand<?>> values = new LinkedHashMap<>();
  private final Placeholder<TString> prefix;
  private final Op save;
  private final Operand<TString> saved;
  private final Op restore;

  private SaveRestore(Ops scope, List<Variable> variables, Map<String, Operand<?>> more) {
    Ops tf = freeScope(scope);
    prefix = tf.withName("filename").placeholder(TString.class, Placeholder.shape(Shape.scalar()));
    for (Variable variable : variables) {
      add(variable.checkpointKey(), variable.read(tf));
      this.variables.put(variable.checkpointKey(), variable);
    }
    more.forEach(this::add);
    if (values.isEmpty()) {
      throw new IllegalArgumentException("there is nothing to save");
    }
    Set<String> keys = values.keySet();
    save =
        tf.train.save(
            prefix, strings(tf, keys), wholeTensors(tf, keys.size()), List.copyOf(values.values()));
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
    Ops tf = scope.withSubScope("save");
    while (isUsed((Graph) scope.scope().env(), tf.scope().makeOpName(PROBE))) {
      tf = scope.withSubScope("save");
    }
    return tf;
  }

  private static boolean isUsed(Graph graph, String probe) {
    String scope = probe.substring(0, probe.length() - PROBE.length());
    for (Iterator<GraphOperation> operations = graph.operations(); operations.hasNext(); ) {
      if (operations.next().name().startsWith(scope)) {
        return true;
      }
    }
    return false;
  }

  /** Adds the ops for some variables. */
  public static SaveRestore of(Ops tf, List<Variable> variables) {
    return new SaveRestore(tf, variables, Map.of());
  }

  /**
   * Adds the ops for some variables, and for values that the graph computes.
   *
   * @param values what else is stored, by checkpoint key
   * @throws IllegalArgumentException if two of them have the same key
   */
  public static SaveRestore withValues(
      Ops tf, List<Variable> variables, Map<String, Operand<?>> values) {
    return new SaveRestore(tf, variables, values);
  }

  /**
   * Writes tensors to a checkpoint, through a graph of its own.
   *
   * @param target path without {@code .index}; its directory is made if need be
   * @param values by checkpoint key; the caller closes them
   * @param more adds ops for further values, by checkpoint key
   * @throws PerformerException if it cannot be written
   */
  public static void write(
      Path target,
      Map<String, ? extends Tensor> values,
      Function<Ops, Map<String, Operand<?>>> more) {
    try (Graph graph = new Graph();
        Session session = new Session(graph, false)) {
      Ops tf = Ops.create(graph);
      Map<String, Operand<?>> stored = new LinkedHashMap<>();
      values.forEach(
          (key, value) -> stored.put(key, tf.placeholder(DataTypes.javaType(value.dataType()))));
      stored.putAll(more.apply(tf));
      Session.Runner runner = session.runner();
      values.forEach((key, value) -> runner.feed(stored.get(key).asOutput(), value));
      withValues(tf, List.of(), stored).save(runner, target);
    }
  }

  private static Operand<TString> strings(Ops tf, Collection<String> keys) {
    return tf.array(keys.toArray(String[]::new));
  }

  private static Operand<TString> wholeTensors(Ops tf, int count) {
    return strings(tf, Collections.nCopies(count, ""));
  }

  private Op restoreOp(Ops tf) {
    if (variables.isEmpty()) {
      return tf.noOp();
    }
    Set<String> keys = variables.keySet();
    List<Class<? extends TType>> types = new ArrayList<>();
    variables.values().forEach(variable -> types.add(variable.type()));
    var values =
        tf.train.restore(prefix, strings(tf, keys), wholeTensors(tf, keys.size()), types).tensors();
    List<Op> assigned = new ArrayList<>();
    int i = 0;
    for (Variable variable : variables.values()) {
      assigned.add(Variables.assign(tf, variable, values.get(i++)));
    }
    return tf.withControlDependencies(assigned).withName("restore_all").noOp();
  }

  /** Names these ops to whoever loads the graph from a SavedModel. */
  public SaverDef saverDef() {
    return SaverDef.newBuilder()
        .setFilenameTensorName(prefix.op().name() + ":0")
        .setSaveTensorName(saved.op().name() + ":0")
        .setRestoreOpName(restore.op().name())
        .setVersion(SaverDef.CheckpointFormatVersion.V2)
        .build();
  }

  /**
   * Saves the session's values.
   *
   * @param target path without {@code .index}; its directory is made if need be
   * @throws PerformerException if it cannot be written; the session stays usable
   */
  public void save(Session session, Path target) {
    save(session.runner(), target);
  }

  private void save(Session.Runner runner, Path target) {
    CheckpointFiles.writeBeside(target, staged -> write(runner, target, staged));
  }

  private void write(Session.Runner runner, Path target, Path staged) {
    try (TString file = TString.scalarOf(staged.toString())) {
      runner.feed(prefix, file).addTarget(save).run().close();
    } catch (RuntimeException e) {
      throw new PerformerException(
          "checkpoint " + target + " cannot be written: " + NativeErrors.ofFile(e), e);
    }
  }

  /**
   * Gives the session's variables the values of a checkpoint, which may hold more than these.
   *
   * @param source path without {@code .index}
   * @throws PerformerException if it is missing or damaged, or if keys, types or shapes disagree:
   *     all disagreements are listed, and no variable is changed
   */
  public void restore(Session session, Path source) {
    try (CheckpointReader reader = CheckpointReader.open(source)) {
      List<String> problems = disagreements(reader.entries());
      if (!problems.isEmpty()) {
        throw new PerformerException("checkpoint " + source + " does not fit this graph", problems);
      }
    }
    try (TString file = TString.scalarOf(source.toString())) {
      session.runner().feed(prefix, file).addTarget(restore).run().close();
    } catch (RuntimeException e) {
      throw new PerformerException(
          "checkpoint " + source + " cannot be read: " + NativeErrors.firstLine(e), e);
    }
  }

  private List<String> disagreements(Map<String, CheckpointReader.Entry> entries) {
    List<String> problems = new ArrayList<>();
    Set<String> unused = new HashSet<>(entries.keySet());
    variables.forEach(
        (key, variable) -> {
          CheckpointReader.Entry entry = entries.get(key);
          DataType type = DataTypes.of(variable.type());
          unused.remove(key);
          if (entry == null) {
            problems.add(key + " is missing");
          } else if (entry.type() != type) {
            problems.add(key + " is " + entry.type() + ", expected " + type);
          } else if (!variable.shape().isCompatibleWith(entry.shape())) {
            problems.add(key + " has shape " + entry.shape() + ", expected " + variable.shape());
          }
        });
    if (problems.stream().anyMatch(problem -> problem.endsWith("is missing"))) {
      unused.remove(CheckpointReader.OBJECT_GRAPH_KEY);
      unused.removeAll(values.keySet());
      if (!unused.isEmpty()) {
        problems.add(
            "the file has these other keys: " + unused.stream().sorted().limit(10).toList());
      }
    }
    return problems;
  }
}
