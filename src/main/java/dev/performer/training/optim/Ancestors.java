package dev.performer.training.optim;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;

/** The operations that outputs are computed from. */
public final class Ancestors {
  private Ancestors() {}

  /**
   * By name, the nearest first, those of the outputs included.
   *
   * @param control whether control dependencies count
   */
  public static Map<String, GraphOperation> of(
      Collection<? extends Output<?>> outputs, boolean control) {
    Map<String, GraphOperation> found = new LinkedHashMap<>();
    var open = new ArrayDeque<GraphOperation>();
    outputs.forEach(output -> open.add((GraphOperation) output.op()));
    while (!open.isEmpty()) {
      GraphOperation operation = open.remove();
      if (found.putIfAbsent(operation.name(), operation) == null) {
        for (Operand<?> input : operation.inputs()) {
          open.add((GraphOperation) input.asOutput().op());
        }
        if (control) {
          operation.controlInputs().forEach(open::add);
        }
      }
    }
    return found;
  }
}
