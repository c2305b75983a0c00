package dev.performer.savedmodel;

import dev.performer.graph.GraphIndex;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
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

  static List<Inspection.Projection> find(Collection<NodeDef> nodes, List<VariableSpec> variables) {
    Set<String> factors = factors(nodes);
    List<Inspection.Projection> found = new ArrayList<>();
    nodes.stream()
        .filter(node -> isMatrix(node) && factors.contains(node.getName()))
        .forEach(node -> found.add(projection(node.getName(), shape(node))));
    for (VariableSpec variable : variables) {
      String name = variable.name();
      boolean isNamed = name.contains("projection") || name.contains("random");
      if (isNamed && !variable.trainable() && variable.shape().numDimensions() == 2) {
        found.add(projection(name, variable.shape()));
      }
    }
    return List.copyOf(found);
  }

  private static Inspection.Projection projection(String name, Shape shape) {
    return new Inspection.Projection(name, shape.get(0), shape.get(1));
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

  /** What goes into a product as it is, or scaled or in another order. */
  private static Set<String> factors(Collection<NodeDef> nodes) {
    var products = nodes.stream().filter(node -> PRODUCTS.contains(node.getOp()));
    List<String> inputs = products.flatMap(node -> GraphIndex.dataInputs(node).stream()).toList();
    return new GraphIndex(nodes)
        .reached(
            inputs,
            node -> TRANSPARENT.contains(node.getOp()) ? GraphIndex.dataInputs(node) : List.of());
  }
}
