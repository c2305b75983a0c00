package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.TensorNames;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operation;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TString;

/** The ops that give a session what an imported model's files hold: variables, lookup tables. */
final class ModelRestore {
  private final SavedModelDirectory directory;
  private final List<Operation> assignments = new ArrayList<>();
  private final Optional<String> tables;
  private final Map<Output<?>, Path> assets = new HashMap<>();
  private Output<TString> prefix;

  /**
   * Adds the ops, so that restoring never has to extend a graph that sessions already use; the
   * initializer fills the model's lookup tables, if it has any.
   */
  ModelRestore(
      Graph graph,
      FlatGraph flat,
      SavedModelDirectory directory,
      List<VariableSpec> variables,
      Optional<String> initializer) {
    this.directory = directory;
    List<VariableSpec> stored = variables.stream().filter(VariableSpec::isStored).toList();
    if (!stored.isEmpty()) {
      Ops tf = Ops.create(graph).withSubScope("import_restore");
      prefix = tf.placeholder(TString.class, Placeholder.shape(Shape.scalar())).asOutput();
      var keys = stored.stream().map(VariableSpec::checkpointKey).toList();
      var slices = stored.stream().map(VariableSpec::slice).toList();
      var types = stored.stream().map(VariableSpec::type).toList();
      Operation restored = restore(tf, prefix, keys, slices, types);
      for (int i = 0; i < stored.size(); i++) {
        GraphOperation handle = (GraphOperation) graph.operationOrThrow(stored.get(i).node());
        DataType held = handle.attributes().getAttrType("dtype"); // wider than stored, perhaps
        Output<?> value = restored.output(i);
        if (held != types.get(i)) {
          var cast = tf.scope().opBuilder("Cast", "Cast").addInput(value);
          value = cast.setAttr("DstT", held).build().output(0);
        }
        var assignment = tf.scope().opBuilder("AssignVariableOp", "Assign");
        assignment.addInput(handle.output(0)).addInput(value).setAttr("dtype", held);
        assignments.add(assignment.build());
      }
    }
    tables = initializer.map(node -> "^" + TensorNames.node(node)).map(flat::resolve);
    Map<String, Path> files = tables.isPresent() ? directory.assets() : Map.of();
    files.forEach(
        (name, file) -> {
          String tensor = flat.resolve(name);
          if (graph.operation(TensorNames.node(tensor)) != null) {
            assets.put(graph.outputOrThrow(tensor), file);
          }
        });
  }

  /** By hand, for TensorFlow Java's class knows only types that have a Java class. */
  static Operation restore(
      Ops tf, Output<?> prefix, List<String> keys, List<String> slices, List<DataType> types) {
    var restore = tf.scope().opBuilder("RestoreV2", "RestoreV2").addInput(prefix);
    restore.addInput(tf.array(keys.toArray(String[]::new)).asOutput());
    restore.addInput(tf.array(slices.toArray(String[]::new)).asOutput());
    return restore.setAttr("dtypes", types.toArray(DataType[]::new)).build();
  }

  void run(Session session) {
    if (!assignments.isEmpty()) {
      restoreVariables(session);
    }
    if (tables.isPresent()) {
      fillTables(session.runner().addTarget(TensorNames.node(tables.get())));
    }
  }

  private void restoreVariables(Session session) {
    Session.Runner runner = session.runner();
    assignments.forEach(runner::addTarget);
    try (TString path = TString.scalarOf(directory.variablesPrefix().toString())) {
      runner.feed(prefix, path).run().close();
    } catch (RuntimeException e) {
      String why = NativeErrors.firstLine(e);
      throw new PerformerException(directory.path() + ": variables/ cannot be read: " + why, e);
    }
  }

  private void fillTables(Session.Runner runner) {
    List<TString> paths = new ArrayList<>();
    try {
      for (var asset : assets.entrySet()) {
        Path file = asset.getValue();
        require(Files.isRegularFile(file), "the asset %s is missing", file);
        TString path = TString.scalarOf(file.toString());
        paths.add(path);
        runner.feed(asset.getKey(), path);
      }
      runner.run().close();
    } finally {
      paths.forEach(TString::close);
    }
  }
}
