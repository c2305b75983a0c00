package dev.performer.graph;

import static dev.performer.PerformerException.require;
import static dev.performer.graph.GraphProtos.node;

import com.google.protobuf.ByteString;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Reference variables of TF1 become resource variables: only those are trained, saved and compiled.
 */
public final class ResourceConversion {
  private static final String READ = "/as_resource_read";
  private static final Map<String, String> ASSIGNMENTS =
      Map.of(
          "Assign", "AssignVariableOp",
          "AssignAdd", "AssignAddVariableOp",
          "AssignSub", "AssignSubVariableOp");

  private final Map<String, NodeDef> variables = new HashMap<>();
  private final GraphDef.Builder converted;

  private ResourceConversion(GraphDef graph) {
    converted = graph.toBuilder().clearNode();
    for (NodeDef node : graph.getNodeList()) {
      if (node.getOp().equals("VariableV2") || node.getOp().equals("Variable")) {
        variables.put(node.getName(), node);
      }
    }
    graph.getNodeList().forEach(this::convert);
  }

  public static GraphDef apply(GraphDef graph) {
    return new ResourceConversion(graph).converted.build();
  }

  private void convert(NodeDef node) {
    String name = node.getName();
    String op = node.getOp();
    List<String> inputs = node.getInputList();
    List<String> rest = inputs.isEmpty() ? inputs : inputs.subList(1, inputs.size());
    NodeDef target = inputs.isEmpty() ? null : variable(inputs.get(0));
    if (variables.containsKey(name)) {
      AttrValue shared = node.getAttrOrDefault("shared_name", AttrValue.getDefaultInstance());
      if (shared.getS().isEmpty()) {
        shared = AttrValue.newBuilder().setS(ByteString.copyFromUtf8(name)).build();
      }
      NodeDef.Builder handle = node(name, "VarHandleOp").putAttr("shared_name", shared);
      add(node, handle.putAttr("shape", node.getAttrOrThrow("shape")));
      add(node, node(name + READ, "ReadVariableOp", name));
    } else if (target != null && op.equals("Identity")) {
      add(target, node(name, "ReadVariableOp", target.getName()).addAllInput(rest));
    } else if (target != null && ASSIGNMENTS.containsKey(op)) {
      // Assign gives the variable back; so does the read that follows the assignment here.
      String assignment = name + "/as_resource";
      add(target, node(assignment, ASSIGNMENTS.get(op), target.getName()).addAllInput(rest));
      add(target, node(name, "ReadVariableOp", target.getName(), "^" + assignment));
    } else {
      boolean isRead = target == null || !op.matches("(Assign|Scatter|Apply).*");
      String message =
          "the op %s (node %s) updates a TF1 reference variable, which cannot be converted";
      require(isRead, message, op, name);
      NodeDef.Builder reader = node.toBuilder().clearInput();
      for (String input : inputs) {
        reader.addInput(variable(input) == null ? input : TensorNames.node(input) + READ);
      }
      converted.addNode(reader);
    }
  }

  /** The variable that is an input's source, or null. */
  private NodeDef variable(String input) {
    return TensorNames.isControl(input) ? null : variables.get(TensorNames.node(input));
  }

  private void add(NodeDef variable, NodeDef.Builder node) {
    converted.addNode(node.putAttr("dtype", variable.getAttrOrThrow("dtype")));
  }
}
