package dev.performer.graph;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Operation;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.NodeDef;

/** Adds nodes of one graph to another, op by op: where the graph is locked, nothing else can. */
public final class NodeCopies {
  private NodeCopies() {}

  /**
   * Adds a node, without its control inputs.
   *
   * @param tensors what each of its inputs is where it is added, by the node's references
   */
  public static Operation write(
      NodeDef node, Ops tf, Function<String, ? extends Output<?>> tensors) {
    OperationBuilder builder = tf.scope().opBuilder(node.getOp(), node.getOp());
    List<String> inputs = GraphIndex.dataInputs(node);
    int position = 0;
    for (var argument : OpDefinitions.find(node.getOp()).orElseThrow().getInputArgList()) {
      int end = position + OpDefinitions.length(argument, node.getAttrMap());
      Output<?>[] values =
          inputs.subList(position, end).stream().map(tensors).toArray(Output<?>[]::new);
      if (argument.getNumberAttr().isEmpty() && argument.getTypeListAttr().isEmpty()) {
        builder.addInput(values[0]);
      } else {
        builder.addInputList(values);
      }
      position = end;
    }
    Map<String, AttrValue> attributes = new HashMap<>(node.getAttrMap());
    attributes
        .keySet()
        .removeIf(name -> name.startsWith("_") && !name.equals(ControlFlowGradients.LOWER));
    attributes.forEach(builder::setAttr);
    return builder.build();
  }
}
