package dev.performer.graph;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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
public record VariableValues(Map<Variable, Tensor> tensors, Result result)
    implements AutoCloseable {

  public static VariableValues fetch(Session session, List<Variable> variables) {
    Ops tf = Ops.create(session.graph()).withSubScope("values");
    // All ops that are missing are added before the run.
    List<Output<?>> reads = variables.stream().<Output<?>>map(v -> read(tf, v)).toList();
    Session.Runner runner = session.runner();
    reads.forEach(runner::fetch);
    Result result = runner.run();
    Map<Variable, Tensor> tensors = new LinkedHashMap<>();
    variables.forEach(variable -> tensors.put(variable, result.get(tensors.size())));
    return new VariableValues(tensors, result);
  }

  /** Of an op that is there already, if so: TensorFlow takes long to prepare a changed graph. */
  private static Output<?> read(Ops tf, Variable variable) {
    for (GraphOperation user : ((GraphOperation) variable.handle().op()).consumers(0)) {
      if (user.type().equals("ReadVariableOp") && user.numControlInputs() == 0) {
        return user.output(0);
      }
    }
    return variable.read(tf).asOutput();
  }

  @Override
  public void close() {
    result.close();
  }
}
