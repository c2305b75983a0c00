package dev.performer.graph;

import java.util.ArrayList;
import java.util.List;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.DataType;

/**
 * The gradient of {@code While}. The loop counts its iterations and keeps, in lists, what enters
 * each of them; the gradient is a loop that takes these from the lists' ends, computes an iteration
 * again, and goes back through it. What no iteration changes is not kept but passed on.
 *
 * @param counter the output that holds the number of iterations; lists follow it
 * @param carried loop variables that have a gradient
 * @param unchanged inputs of the loop that the gradient uses as they are
 */
record LoopGradient(
    int counter,
    int lists,
    List<Integer> carried,
    List<Integer> unchanged,
    String condition,
    String body,
    boolean isLowered)
    implements RawCustomGradient {
  @Override
  public List<Operand<?>> call(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    RawOps ops = new RawOps(tf);
    List<Output<?>> inputs = new ArrayList<>();
    inputs.add(node.output(counter));
    for (int i : carried) {
      inputs.add(ops.orZeros(gradients.get(i), node.output(i)));
    }
    for (int i = 0; i < lists; i++) {
      inputs.add(node.output(counter + 1 + i));
    }
    unchanged.forEach(i -> inputs.add(node.input(i)));
    OperationBuilder loop = ops.builder(node.type());
    loop.addInputList(inputs.toArray(Output<?>[]::new));
    loop.setAttr("T", inputs.stream().map(Output::dataType).toArray(DataType[]::new));
    loop.setAttr("cond", GraphProtos.function(condition));
    loop.setAttr("body", GraphProtos.function(body));
    loop.setAttr(ControlFlowGradients.LOWER, isLowered);
    var results = loop.build();
    List<Operand<?>> all = new ArrayList<>();
    for (int i = 0; i < node.numInputs(); i++) {
      int position = carried.indexOf(i);
      all.add(position < 0 ? null : results.output(1 + position));
    }
    return all;
  }
}
