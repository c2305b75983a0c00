package dev.performer.graph;

import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Weights in bfloat16: products with them take bfloat16 and accumulate in float32, as the
 * processor's kernels do; their results, and all else that reads a weight, are float32.
 */
public final class NarrowWeights {
  private static final AttrValue NARROW = type(DataType.DT_BFLOAT16);
  private static final AttrValue WIDE = type(DataType.DT_FLOAT);
  private static final String SUFFIX = "/bfloat16";

  /** Attributes that hold a product's types. */
  private static final Map<String, List<String>> PRODUCTS =
      Map.of(
          "MatMul", List.of("T"),
          "BatchMatMul", List.of("T"),
          "BatchMatMulV2", List.of("T"),
          "BatchMatMulV3", List.of("Ta", "Tb", "Tout"),
          "Einsum", List.of("T"));

  /** Ops that pass their first input on in another order or in part, and their type's attribute. */
  private static final Map<String, String> PASSING =
      Map.of(
          "Identity", "T",
          "Reshape", "T",
          "Transpose", "T",
          "ExpandDims", "T",
          "Squeeze", "T",
          "Slice", "T",
          "StridedSlice", "T",
          "GatherV2", "Tparams");

  private final GraphIndex index;
  private final Set<String> narrow = new LinkedHashSet<>();
  private final Set<String> products = new LinkedHashSet<>();
  private final Map<String, NodeDef> casts = new HashMap<>();
  private final List<NodeDef> nodes = new ArrayList<>();

  private NarrowWeights(GraphDef graph, Set<String> weights) {
    index = new GraphIndex(graph.getNodeList());
    Map<String, List<NodeDef>> users = new HashMap<>();
    for (NodeDef node : graph.getNodeList()) {
      for (String input : new LinkedHashSet<>(GraphIndex.dataInputs(node))) {
        users.computeIfAbsent(TensorNames.node(input), k -> new ArrayList<>()).add(node);
      }
    }
    var todo = new ArrayDeque<String>(weights);
    while (!todo.isEmpty()) {
      String from = todo.pop();
      for (NodeDef user : users.getOrDefault(from, List.of())) {
        boolean isFirst = TensorNames.node(user.getInput(0)).equals(from);
        boolean isRead = user.getOp().equals("ReadVariableOp");
        boolean passes = isRead || PASSING.containsKey(user.getOp()) && isFirst;
        if (passes && narrow.add(user.getName())) {
          todo.add(user.getName());
        }
        if (PRODUCTS.containsKey(user.getOp()) && GraphIndex.dataInputs(user).size() == 2) {
          products.add(user.getName());
        }
      }
    }
    for (NodeDef node : graph.getNodeList()) {
      add(node, weights);
    }
    casts.values().stream()
        .sorted((a, b) -> a.getName().compareTo(b.getName()))
        .forEach(nodes::add);
  }

  /**
   * Narrows some variables of a graph that reads them whole, and the products with them.
   *
   * @param weights float32, by their handles' nodes; they are read and nothing else
   */
  public static GraphDef apply(GraphDef graph, Set<String> weights) {
    var rewritten = new NarrowWeights(graph, weights);
    return graph.toBuilder().clearNode().addAllNode(rewritten.nodes).build();
  }

  private void add(NodeDef node, Set<String> weights) {
    String name = node.getName();
    NodeDef.Builder copy = node.toBuilder().clearInput();
    boolean isProduct = products.contains(name);
    boolean isNarrow = narrow.contains(name);
    for (int i = 0; i < node.getInputCount(); i++) {
      String input = node.getInput(i);
      boolean isControl = TensorNames.isControl(input);
      boolean isOperand = !isControl && (isProduct || isNarrow && i == 0 && !isHandle(input));
      copy.addInput(isOperand ? narrowed(input) : input);
    }
    if (weights.contains(name)) {
      copy.putAttr("dtype", NARROW);
    } else if (isNarrow || isProduct) {
      // What else reads it finds the wide value under its old name.
      copy.setName(name + SUFFIX);
      boolean isRead = node.getOp().equals("ReadVariableOp");
      var attributes =
          isProduct
              ? PRODUCTS.get(node.getOp())
              : List.of(isRead ? "dtype" : PASSING.get(node.getOp()));
      attributes.forEach(attribute -> copy.putAttr(attribute, NARROW));
      nodes.add(cast(name, name + SUFFIX, NARROW, WIDE));
    }
    nodes.add(copy.build());
  }

  private boolean isHandle(String input) {
    return index.find(input).filter(node -> node.getOp().equals("VarHandleOp")).isPresent();
  }

  private String narrowed(String input) {
    String source = TensorNames.node(input);
    if (narrow.contains(source)) {
      return source + SUFFIX;
    }
    String name = source + "/" + TensorNames.index(input) + "/to_bfloat16";
    casts.putIfAbsent(name, cast(name, input, WIDE, NARROW));
    return name;
  }

  private static NodeDef cast(String name, String input, AttrValue from, AttrValue to) {
    return node(name, "Cast", input).putAttr("SrcT", from).putAttr("DstT", to).build();
  }
}
