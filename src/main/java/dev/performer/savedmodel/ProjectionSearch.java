package dev.performer.savedmodel;

import dev.performer.graph.TensorNames;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;

/**
 * Finds random projections in a flat graph: Python's attention layers capture them as constant
 * matrices that go into a product, ours are variables that are not trained.
 */
final class ProjectionSearch {
  private static final Set<String> TRANSPARENT =
      Set.of("Identity", "Cast", "Transpose", "Mul", "ExpandDims", "Reshape");
  private static final Set<String> PRODUCTS =
      Set.of("Einsum", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3");

  private ProjectionSearch() {}

  static List<Inspection.Projection> find(
      Map<String, NodeDef> nodes, List<VariableSpec> variables) {
    Map<String, List<NodeDef>> consumers = new HashMap<>();
    for (NodeDef node : nodes.values()) {
      for (String input : node.getInputList()) {
        if (!TensorNames.isControl(input)) {
          consumers.computeIfAbsent(TensorNames.node(input), k -> new ArrayList<>()).add(node);
        }
      }
    }
    List<Inspection.Projection> found = new ArrayList<>();
    for (NodeDef node : nodes.values()) {
      if (isMatrix(node) && goesIntoProduct(node, consumers)) {
        Shape shape = shape(node);
        found.add(new Inspection.Projection(node.getName(), shape.get(0), shape.get(1)));
      }
    }
    for (VariableSpec variable : variables) {
      boolean named = variable.name().contains("projection") || variable.name().contains("random");
      if (named && !variable.trainable() && variable.shape().numDimensions() == 2) {
        found.add(
            new Inspection.Projection(
                variable.name(), variable.shape().get(0), variable.shape().get(1)));
      }
    }
    return List.copyOf(found);
  }

  private static boolean isMatrix(NodeDef node) {
    if (!node.getOp().equals("Const")
        || node.getAttrOrThrow("dtype").getType() != DataType.DT_FLOAT) {
      return false;
    }
    Shape shape = shape(node);
    return shape.numDimensions() == 2 && shape.get(0) > 1 && shape.get(1) > 1;
  }

  private static Shape shape(NodeDef constant) {
    return TensorSpec.shape(constant.getAttrOrThrow("value").getTensor().getTensorShape());
  }

  private static boolean goesIntoProduct(NodeDef start, Map<String, List<NodeDef>> consumers) {
    Set<String> seen = new HashSet<>();
    Deque<String> todo = new ArrayDeque<>(List.of(start.getName()));
    while (!todo.isEmpty()) {
      for (NodeDef consumer : consumers.getOrDefault(todo.pop(), List.of())) {
        if (PRODUCTS.contains(consumer.getOp())) {
          return true;
        }
        if (TRANSPARENT.contains(consumer.getOp()) && seen.add(consumer.getName())) {
          todo.push(consumer.getName());
        }
      }
    }
    return false;
  }
}
