package dev.performer.graph;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TType;

/** The resource variables of one graph in the order of their creation, without native memory. */
public final class Variables {
  private final Ops tf;
  private final Map<String, Variable> variables = new LinkedHashMap<>();
  private final List<Op> initializers = new ArrayList<>();

  public Variables(Ops tf) {
    this.tf = tf;
  }

  /** Creates a variable of a unique name, which {@link #initialize} gives its first value. */
  public <T extends TType> Variable create(
      String name, Shape shape, boolean trainable, Operand<T> initialValue) {
    Variable variable = declare(name, initialValue.type(), shape, trainable);
    initializers.add(assign(tf, variable, initialValue));
    return variable;
  }

  public Variable declare(
      String name, Class<? extends TType> type, Shape shape, boolean trainable) {
    if (variables.containsKey(name)) {
      throw new IllegalArgumentException("a variable named " + name + " exists");
    }
    Output<?> handle = Variable.handle(tf, operationName(name), name, type, shape);
    Variable variable = new Variable(name, handle, type, shape, trainable, checkpointKey(name));
    variables.put(name, variable);
    return variable;
  }

  /** The key under which a variable of that name is stored, unless it was given another. */
  public static String checkpointKey(String name) {
    return name + "/.ATTRIBUTES/VARIABLE_VALUE";
  }

  /** TensorFlow Java takes no name with "/", nor one that begins with "_" as Keras 3's do. */
  static String operationName(String name) {
    String legal = name.replaceAll("[^A-Za-z0-9_.-]", "_");
    return legal.matches("[A-Za-z0-9.].*") ? legal : "v" + legal;
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  public static Op assign(Ops tf, Variable variable, Operand<?> value) {
    return tf.assignVariableOp((Operand) variable.handle(), (Operand) value);
  }

  public List<Variable> all() {
    return List.copyOf(variables.values());
  }

  public List<Variable> trainable() {
    return variables.values().stream().filter(Variable::trainable).toList();
  }

  public Variable get(String name) {
    Variable variable = variables.get(name);
    if (variable == null) {
      String message = "no variable %s; there are %s";
      throw new IllegalArgumentException(message.formatted(name, variables.keySet()));
    }
    return variable;
  }

  public void initialize(Session session) {
    if (!initializers.isEmpty()) {
      Session.Runner runner = session.runner();
      initializers.forEach(runner::addTarget);
      runner.run().close();
    }
  }

  /**
   * The values that variables have in a session, fetched in one run. Owns the tensors; on a CPU
   * they share memory with the session's until a variable changes.
   */
  public record Values(Map<Variable, Tensor> tensors, Result result) implements AutoCloseable {
    @Override
    public void close() {
      result.close();
    }
  }

  public static Values fetch(Session session, List<Variable> variables) {
    Ops tf = Ops.create(session.graph()).withSubScope("values");
    // All ops that are missing are added before the run.
    List<Output<?>> reads = variables.stream().<Output<?>>map(v -> reading(tf, v)).toList();
    Session.Runner runner = session.runner();
    reads.forEach(runner::fetch);
    Result result = runner.run();
    Map<Variable, Tensor> tensors = new LinkedHashMap<>();
    variables.forEach(variable -> tensors.put(variable, result.get(tensors.size())));
    return new Values(tensors, result);
  }

  /** Of an op that is there already, if so: TensorFlow takes long to prepare a changed graph. */
  private static Output<?> reading(Ops tf, Variable variable) {
    for (GraphOperation user : ((GraphOperation) variable.handle().op()).consumers(0)) {
      if (user.type().equals("ReadVariableOp") && user.numControlInputs() == 0) {
        return user.output(0);
      }
    }
    return variable.read(tf).asOutput();
  }
}
