package dev.performer.graph;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;

/**
 * The gradient of {@code If} and {@code Case}: the same choice between the branches' gradients,
 * each of which computes its branch again.
 *
 * @param differentiated inputs of the branches, without the choice, that have a gradient
 * @param results of the branches that have a gradient
 * @param needed inputs of the branches that a gradient uses
 * @param firstSaved outputs from this one on are what cannot be computed again
 * @param functions attributes that name the gradients of the branches
 */
record BranchGradient(
    List<Integer> differentiated,
    List<Integer> results,
    List<Integer> needed,
    int firstSaved,
    Map<String, AttrValue> functions,
    boolean isLowered)
    implements RawCustomGradient {
  @Override
  public List<Operand<?>> call(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    RawOps ops = new RawOps(tf);
    List<Output<?>> inputs = new ArrayList<>();
    for (int i : results) {
      inputs.add(ops.orZeros(gradients.get(i), node.output(i)));
    }
    needed.forEach(i -> inputs.add(node.input(1 + i)));
    for (int i = firstSaved; i < node.numOutputs(); i++) {
      inputs.add(node.output(i));
    }
    OperationBuilder choice = ops.builder(node.type(), node.input(0));
    choice.addInputList(inputs.toArray(Output<?>[]::new));
    choice.setAttr("Tin", inputs.stream().map(Output::dataType).toArray(DataType[]::new));
    choice.setAttr(
        "Tout",
        differentiated.stream().map(i -> node.input(1 + i).dataType()).toArray(DataType[]::new));
    functions.forEach(choice::setAttr);
    choice.setAttr(ControlFlowGradients.LOWER, isLowered);
    var found = choice.build();
    List<Operand<?>> all = new ArrayList<>(Collections.singletonList(null));
    for (int i = 0; i < node.numInputs() - 1; i++) {
      int position = differentiated.indexOf(i);
      all.add(position < 0 ? null : found.output(position));
    }
    return all;
  }
}
