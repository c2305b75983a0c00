package dev.performer.training;

import dev.performer.graph.Variable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TString;
import org.tensorflow.types.family.TType;

/** Saves and restores a list of variables. */
final class VariableStore {
  private final Operand<TString> file;
  private final Op save;
  private final Op restore;

  VariableStore(Graph graph, List<Variable> variables) {
    Ops tf = Ops.create(graph).withSubScope("store");
    file = tf.placeholder(TString.class, Placeholder.shape(Shape.scalar()));
    String[] names = variables.stream().map(Variable::name).toArray(String[]::new);
    var keys = tf.constantOf(TString.vectorOf(names));
    String[] empty = new String[names.length];
    java.util.Arrays.fill(empty, "");
    var slices = tf.constantOf(TString.vectorOf(empty));
    List<Operand<?>> values = new ArrayList<>();
    List<Class<? extends TType>> types = new ArrayList<>();
    for (Variable v : variables) {
      values.add(v.read(tf));
      types.add(v.type());
    }
    save = tf.train.save(file, keys, slices, values);
    var restored = tf.train.restore(file, keys, slices, types).tensors();
    List<Op> assigns = new ArrayList<>();
    for (int i = 0; i < names.length; i++) {
      assigns.add(dev.performer.graph.Variables.assign(tf, variables.get(i), restored.get(i)));
    }
    restore = tf.withControlDependencies(assigns).noOp();
  }

  void save(Session session, Path prefix) {
    run(session, prefix, save);
  }

  void restore(Session session, Path prefix) {
    run(session, prefix, restore);
  }

  private void run(Session session, Path prefix, Op op) {
    try (TString name = TString.scalarOf(prefix.toAbsolutePath().toString())) {
      session.runner().feed(file, name).addTarget(op).run().close();
    }
  }
}
