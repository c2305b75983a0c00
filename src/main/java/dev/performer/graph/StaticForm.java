package dev.performer.graph;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/** A graph whose inputs have fixed sizes, and what in it has none even so: a TPU refuses that. */
public final class StaticForm {
  private static final Set<String> LOOPS = Set.of("While", "StatelessWhile");
  private static final String LOOP_SHAPES = "output_shapes";
  // Its results are axes, which XLA computes when it compiles.
  private static final String AXES_OP = "BroadcastGradientArgs";

  private StaticForm() {}

  /**
   * The graph for inputs of certain sizes: placeholders have their shapes, single numbers become
   * constants, for sizes may follow from them, and what a loop carries keeps its size.
   *
   * @param inputs by their nodes' names; they stay the caller's
   */
  public static GraphDef of(GraphDef graph, Map<String, ? extends Tensor> inputs) {
    GraphDef.Builder fixed = graph.toBuilder();
    for (NodeDef.Builder node : fixed.getNodeBuilderList()) {
      node.removeAttr("_output_shapes"); // as they were where the graph was made
      Tensor input = inputs.get(node.getName());
      if (input != null && input.rank() == 0) {
        NodeDef constant = VariableValues.constant(node.getName(), input);
        node.clear().mergeFrom(constant);
      } else if (input != null) {
        node.putAttr("shape", shape(input.shape()));
      }
    }
    boolean changed = true;
    while (changed) {
      try (Graph known = new Graph()) {
        known.importGraphDef(fixed.build());
        changed = false;
        for (NodeDef.Builder node : fixed.getNodeBuilderList()) {
          changed |= LOOPS.contains(node.getOp()) && fixLoop(node, known);
        }
      }
    }
    return fixed.build();
  }

  private static boolean fixLoop(NodeDef.Builder loop, Graph known) {
    AttrValue.Builder shapes = AttrValue.newBuilder();
    GraphOperation operation = (GraphOperation) known.operationOrThrow(loop.getName());
    for (Operand<?> input : operation.inputs()) {
      shapes.getListBuilder().addShape(GraphProtos.shape(input.shape()));
    }
    AttrValue fixed = shapes.build();
    boolean isNew = !fixed.equals(loop.getAttrMap().get(LOOP_SHAPES));
    loop.putAttr(LOOP_SHAPES, fixed);
    return isNew;
  }

  private static AttrValue shape(Shape shape) {
    return AttrValue.newBuilder().setShape(GraphProtos.shape(shape)).build();
  }

  /** The names of a graph's nodes. */
  public static Set<String> names(GraphDef graph) {
    return graph.getNodeList().stream().map(NodeDef::getName).collect(Collectors.toSet());
  }

  /**
   * Where open sizes begin: operations with an output of unknown size whose inputs have known ones.
   *
   * @param among names of the operations that count
   * @return one line each: the op and its node
   */
  public static List<String> openSizes(Graph graph, Set<String> among) {
    List<String> found = new ArrayList<>();
    for (var operations = graph.operations(); operations.hasNext(); ) {
      GraphOperation operation = operations.next();
      boolean counts = among.contains(operation.name()) && !operation.type().equals(AXES_OP);
      if (counts
          && isOpen(operation)
          && operation.inputs().stream().noneMatch(StaticForm::isOpen)) {
        found.add(operation.type() + " (node " + operation.name() + ")");
      }
    }
    return found;
  }

  private static boolean isOpen(GraphOperation operation) {
    for (int i = 0; i < operation.numOutputs(); i++) {
      if (isOpen(operation.output(i))) {
        return true;
      }
    }
    return false;
  }

  private static boolean isOpen(Operand<?> tensor) {
    boolean isAxes = tensor.asOutput().op().type().equals(AXES_OP);
    return !isAxes && tensor.shape().hasUnknownDimension();
  }
}
