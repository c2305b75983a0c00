package dev.performer.graph;

import static dev.performer.graph.NodeBuilders.node;

import com.google.protobuf.ByteString;
import dev.performer.PerformerException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Turns the reference variables of TF1 graphs into resource variables: only those are trained,
 * saved and compiled here.
 */
public final class ResourceConversion {
  private static final Set<String> REFERENCE_VARIABLES = Set.of("VariableV2", "Variable");
  private static final String READ = "/as_resource_read";
  private static final Map<String, String> ASSIGNMENTS =
      Map.of(
          "Assign", "AssignVariableOp",
          "AssignAdd", "AssignAddVariableOp",
          "AssignSub", "AssignSubVariableOp");

  private final Map<String, NodeDef> variables = new HashMap<>();

  private ResourceConversion(GraphDef graph) {
    for (NodeDef node : graph.getNodeList()) {
      if (REFERENCE_VARIABLES.contains(node.getOp())) {
        variables.put(node.getName(), node);
      }
    }
  }

  /** The graph with {@code VarHandleOp}s instead of reference variables, names kept. */
  public static GraphDef apply(GraphDef graph) {
    ResourceConversion conversion = new ResourceConversion(graph);
    if (conversion.variables.isEmpty()) {
      return graph;
    }
    GraphDef.Builder converted = graph.toBuilder().clearNode();
    graph.getNodeList().forEach(node -> conversion.convert(node, converted));
    return converted.build();
  }

  private void convert(NodeDef node, GraphDef.Builder converted) {
    if (variables.containsKey(node.getName())) {
      declare(node, converted);
      return;
    }
    String first = node.getInputCount() > 0 ? TensorNames.node(node.getInput(0)) : "";
    boolean onVariable = variables.containsKey(first) && !TensorNames.isControl(node.getInput(0));
    if (onVariable && node.getOp().equals("Identity")) {
      converted.addNode(
          node(node.getName(), "ReadVariableOp", first)
              .addAllInput(node.getInputList().subList(1, node.getInputCount()))
              .putAttr("dtype", variables.get(first).getAttrOrThrow("dtype")));
    } else if (onVariable && ASSIGNMENTS.containsKey(node.getOp())) {
      assign(node, variables.get(first), converted);
    } else if (onVariable && node.getOp().startsWith("Assign")
        || onVariable && node.getOp().startsWith("Scatter")
        || onVariable && node.getOp().startsWith("Apply")) {
      throw new PerformerException(
          "the op %s (node %s) updates a TF1 reference variable, which cannot be converted"
              .formatted(node.getOp(), node.getName()));
    } else {
      NodeDef.Builder reader = node.toBuilder();
      for (int i = 0; i < node.getInputCount(); i++) {
        String input = node.getInput(i);
        if (!TensorNames.isControl(input) && variables.containsKey(TensorNames.node(input))) {
          reader.setInput(i, TensorNames.node(input) + READ);
        }
      }
      converted.addNode(reader);
    }
  }

  private static void declare(NodeDef variable, GraphDef.Builder converted) {
    String sharedName =
        variable
            .getAttrOrDefault("shared_name", AttrValue.getDefaultInstance())
            .getS()
            .toStringUtf8();
    AttrValue dtype = variable.getAttrOrThrow("dtype");
    converted.addNode(
        node(variable.getName(), "VarHandleOp")
            .putAttr("dtype", dtype)
            .putAttr("shape", variable.getAttrOrThrow("shape"))
            .putAttr(
                "shared_name",
                AttrValue.newBuilder()
                    .setS(
                        ByteString.copyFromUtf8(
                            sharedName.isEmpty() ? variable.getName() : sharedName))
                    .build()));
    converted.addNode(
        node(variable.getName() + READ, "ReadVariableOp", variable.getName())
            .putAttr("dtype", dtype));
  }

  /** {@code Assign} gives the variable back; so does the read that follows the assignment here. */
  private static void assign(NodeDef node, NodeDef variable, GraphDef.Builder converted) {
    AttrValue dtype = variable.getAttrOrThrow("dtype");
    String name = node.getName() + "/as_resource";
    List<String> inputs = node.getInputList();
    converted.addNode(
        node(name, ASSIGNMENTS.get(node.getOp()), variable.getName(), inputs.get(1))
            .addAllInput(inputs.subList(2, inputs.size()))
            .putAttr("dtype", dtype));
    converted.addNode(
        node(node.getName(), "ReadVariableOp", variable.getName(), "^" + name)
            .putAttr("dtype", dtype));
  }
}
