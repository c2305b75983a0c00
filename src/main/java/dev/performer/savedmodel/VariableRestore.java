package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Graph;
import org.tensorflow.Operation;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TString;

/** The ops that read a model's variables from its own checkpoint files. */
final class VariableRestore {
  private final List<Operation> assignments = new ArrayList<>();
  private Output<TString> prefix;

  /** Adds the ops, so that restoring never has to extend a graph that sessions already use. */
  VariableRestore(Graph graph, List<VariableSpec> all) {
    List<VariableSpec> stored = all.stream().filter(v -> !v.checkpointKey().isEmpty()).toList();
    if (stored.isEmpty()) {
      return;
    }
    Ops tf = Ops.create(graph).withSubScope("import_restore");
    prefix = tf.placeholder(TString.class, Placeholder.shape(Shape.scalar())).asOutput();
    var keys = stored.stream().map(VariableSpec::checkpointKey).toList();
    var slices = stored.stream().map(VariableSpec::slice).toList();
    var types = stored.stream().map(VariableSpec::type).toList();
    Operation restored = restore(tf, prefix, keys, slices, types);
    for (int i = 0; i < stored.size(); i++) {
      var assignment =
          tf.scope()
              .opBuilder("AssignVariableOp", "Assign")
              .addInput(graph.operationOrThrow(stored.get(i).node()).output(0))
              .addInput(restored.output(i))
              .setAttr("dtype", types.get(i));
      assignments.add(assignment.build());
    }
  }

  /** By hand, for TensorFlow Java's class knows only types that have a Java class. */
  static Operation restore(
      Ops tf,
      Output<TString> prefix,
      List<String> keys,
      List<String> slices,
      List<DataType> types) {
    return tf.scope()
        .opBuilder("RestoreV2", "RestoreV2")
        .addInput(prefix)
        .addInput(tf.array(keys.toArray(String[]::new)).asOutput())
        .addInput(tf.array(slices.toArray(String[]::new)).asOutput())
        .setAttr("dtypes", types.toArray(DataType[]::new))
        .build();
  }

  /** Reads the variables. @throws PerformerException if the files are damaged */
  void run(Session session, SavedModelDirectory directory) {
    if (assignments.isEmpty()) {
      return;
    }
    Session.Runner runner = session.runner();
    assignments.forEach(runner::addTarget);
    try (TString path = TString.scalarOf(directory.variablesPrefix().toString())) {
      runner.feed(prefix, path).run().close();
    } catch (RuntimeException e) {
      throw new PerformerException(
          directory.path() + ": variables/ cannot be read: " + NativeErrors.firstLine(e), e);
    }
  }
}
