package dev.performer.graph;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;

/**
 * The values that variables have in a session, fetched in one run. Owns the tensors; on a CPU they
 * share memory with the session's until a variable changes.
 */
public final class VariableValues implements AutoCloseable {
  private final Map<Variable, Tensor> tensors = new LinkedHashMap<>();
  private final Result result;

  private VariableValues(Session session, List<Variable> variables) {
    List<Output<?>> reads = reads(session.graph(), variables);
    Session.Runner runner = session.runner();
    reads.forEach(runner::fetch);
    result = runner.run();
    for (int i = 0; i < reads.size(); i++) {
      tensors.put(variables.get(i), result.get(i));
    }
  }

  /** Fetches the values of some variables, each given once. */
  public static VariableValues fetch(Session session, List<Variable> variables) {
    return new VariableValues(session, variables);
  }

  /**
   * Ops that the graph has already serve where there are any: TensorFlow prepares a changed graph
   * anew, which takes long for one that trains. All that are missing are added before the run.
   */
  private static List<Output<?>> reads(Graph graph, List<Variable> variables) {
    Ops tf = Ops.create(graph).withSubScope("values");
    return variables.stream().<Output<?>>map(variable -> read(tf, variable)).toList();
  }

  private static Output<?> read(Ops tf, Variable variable) {
    for (GraphOperation user : ((GraphOperation) variable.handle().op()).consumers(0)) {
      if (user.type().equals("ReadVariableOp") && user.numControlInputs() == 0) {
        return user.output(0);
      }
    }
    return variable.read(tf).asOutput();
  }

  /** By variable, in the order given; closed with this object. */
  public Map<Variable, Tensor> tensors() {
    return tensors;
  }

  @Override
  public void close() {
    result.close();
  }
}
