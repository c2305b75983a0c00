package dev.performer.graph;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
  private static final String DEFAULT = "PlaceholderWithDefault";
  // Their sizes are XLA's business: axes, scratch space, what branches and lists have in common.
  private static final Set<String> SETTLED =
      Set.of(
          "BroadcastGradientArgs",
          "FusedBatchNormV3",
          "If",
          "StatelessIf",
          "Case",
          "StatelessCase",
          "TensorListStack");
  // What XLA compiles for a processor although sizes follow from values.
  private static final Set<String> DYNAMIC =
      Set.of(
          "Where",
          "Unique",
          "UniqueV2",
          "DynamicPartition",
          "NonMaxSuppressionV3",
          "NonMaxSuppressionV4");

  private StaticForm() {}

  /**
   * The graph for inputs of certain sizes: placeholders have their shapes, single numbers become
   * constants, for sizes may follow from them, and what a loop carries keeps its size, as what has
   * a default has that one's.
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
          boolean isLeft = node.getOp().equals(DEFAULT) && !inputs.containsKey(node.getName());
          changed |= isLeft && fixDefault(node, known);
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

  /** What nobody feeds is of the size of its default. */
  private static boolean fixDefault(NodeDef.Builder node, Graph known) {
    GraphOperation operation = (GraphOperation) known.operationOrThrow(node.getName());
    AttrValue fixed = shape(operation.inputs().get(0).shape());
    boolean isNew = !fixed.equals(node.getAttrMap().get("shape"));
    node.putAttr("shape", fixed);
    return isNew;
  }

  private static AttrValue shape(Shape shape) {
    return AttrValue.newBuilder().setShape(GraphProtos.shape(shape)).build();
  }

  /**
   * Where open sizes begin: operations with an output of unknown size whose inputs have known ones,
   * and, in functions, ops whose outputs have no size of their own.
   *
   * @return one line each: the op and its node
   */
  public static List<String> openSizes(GraphDef definition) {
    List<String> found = new ArrayList<>();
    try (Graph graph = new Graph()) {
      graph.importGraphDef(definition);
      for (var operations = graph.operations(); operations.hasNext(); ) {
        GraphOperation operation = operations.next();
        boolean isSettled = SETTLED.contains(operation.type());
        boolean isFirst = operation.inputs().stream().noneMatch(StaticForm::isOpen);
        if (!isSettled && isFirst && isOpen(operation)) {
          found.add(operation.type() + " (node " + operation.name() + ")");
        }
      }
    }
    FunctionLibrary library = new FunctionLibrary(definition.getLibrary());
    for (String name : library.reachedFrom(definition.getNodeList())) {
      for (NodeDef node : library.find(name).orElseThrow().getNodeDefList()) {
        if (DYNAMIC.contains(node.getOp())) {
          found.add(node.getOp() + " (node " + node.getName() + " of the function " + name + ")");
        }
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
    boolean isAxes = tensor.asOutput().op().type().equals("BroadcastGradientArgs");
    return !isAxes && tensor.shape().hasUnknownDimension();
  }
}
