package dev.performer.graph;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.FunctionDefLibrary;
import org.tensorflow.proto.NodeDef;

/**
 * The functions of a model, and those made for gradients of its loops and branches, which must be
 * in the graph before a gradient is added: inside a gradient callback the graph is locked.
 */
public final class ControlFlowGradients {
  static final Set<String> OPS =
      Set.of("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase");

  static final String LOWER = "_lower_using_switch_merge";
  private static final AttrValue NONE = AttrValue.getDefaultInstance();
  private static final String SHAPES = "output_shapes";
  private static final List<String> OUTPUT_ATTRIBUTES =
      List.of("_output_shapes", "_num_original_outputs", "_read_only_resource_inputs");

  private final Map<String, FunctionDef> functions = new LinkedHashMap<>();
  private final Map<String, FunctionDef> made = new LinkedHashMap<>();
  private final OwnGradients own;

  public ControlFlowGradients(FunctionDefLibrary library, OwnGradients own) {
    library.getFunctionList().forEach(f -> functions.put(f.getSignature().getName(), f));
    this.own = own;
  }

  /**
   * A loop or branch that also keeps what its gradient needs.
   *
   * @param nodes new ones, the last of which has the name and the outputs of the original
   * @param carried inputs that have a gradient
   */
  record Rewritten(List<NodeDef> nodes, RawCustomGradient gradient, List<Integer> carried) {}

  /**
   * @param scope for the names of new nodes @throws Refusal if something in it has no gradient
   */
  Rewritten rewrite(NodeDef node, GraphIndex index, FlatGraph flat, String scope) {
    var types = node.getAttrOrThrow(isLoop(node) ? "T" : "Tin").getList().getTypeList();
    var handles = handles(node, types, index, flat);
    return isLoop(node)
        ? new LoopRewrite(this, node, types, handles).rewritten(scope)
        : new BranchRewrite(this, node, types, handles).rewritten(scope);
  }

  /** The node without its inputs, with some outputs more, of unknown shapes. */
  static NodeDef.Builder widened(NodeDef node, int more) {
    NodeDef.Builder wide = node.toBuilder().clearInput();
    OUTPUT_ATTRIBUTES.forEach(wide::removeAttr);
    AttrValue shapes = node.getAttrOrDefault(SHAPES, NONE);
    if (shapes.getList().getShapeCount() > 0) {
      AttrValue.Builder all = shapes.toBuilder();
      for (int i = 0; i < more; i++) {
        all.getListBuilder().addShapeBuilder().setUnknownRank(true);
      }
      wide.putAttr(SHAPES, all.build());
    }
    return wide;
  }

  /**
   * The nodes that give a loop or branch its resources, by argument. They become part of its
   * functions, since TensorFlow would ask for the gradients of handles that a loop passes on.
   *
   * @throws Refusal if a resource has no name by which functions find it
   */
  static Map<Integer, NodeDef> handles(
      NodeDef node, List<DataType> types, GraphIndex index, FlatGraph flat) {
    List<String> inputs = GraphIndex.dataInputs(node);
    int first = inputs.size() - types.size();
    Map<Integer, NodeDef> handles = new HashMap<>();
    for (int i = 0; i < types.size(); i++) {
      if (types.get(i) == DataType.DT_RESOURCE) {
        String source = index.source(inputs.get(first + i), Set.of("Identity"));
        NodeDef handle = index.require(source, node.getName());
        boolean isNamed =
            handle.getInputCount() == 0
                && !handle.getAttrOrDefault("shared_name", NONE).getS().isEmpty();
        if (!isNamed) {
          String reason = "it uses a resource without a name, " + handle.getName();
          throw new Refusal(Refusal.obstacle(node, flat, reason));
        }
        handles.put(i, handle);
      }
    }
    return handles;
  }

  /** Adds a read of each variable whose value a loop or branch needs: the further inputs. */
  static List<String> readBefore(
      NodeDef node,
      int firstArgument,
      Map<Integer, DataType> variables,
      String scope,
      List<NodeDef> nodes) {
    List<String> values = new ArrayList<>();
    variables.forEach(
        (variable, type) -> {
          String name = scope + "value" + variable;
          String handle = node.getInput(firstArgument + variable);
          var read = GraphProtos.node(name, "ReadVariableOp", handle);
          read.addAllInput(GraphIndex.controlInputs(node));
          nodes.add(read.putAttr("dtype", GraphProtos.type(type)).build());
          values.add(name);
        });
    return values;
  }

  static boolean isLowered(NodeDef node) {
    return node.getAttrOrDefault(LOWER, NONE).getB();
  }

  OwnGradients own() {
    return own;
  }

  FunctionDefLibrary library() {
    return FunctionDefLibrary.newBuilder().addAllFunction(functions.values()).build();
  }

  /** The functions that some nodes, or their gradients, may call. */
  FunctionDefLibrary usedBy(Collection<NodeDef> nodes) {
    List<NodeDef> all = new ArrayList<>(nodes);
    made.values().forEach(f -> all.addAll(f.getNodeDefList()));
    Map<String, FunctionDef> used = new LinkedHashMap<>(made);
    for (FunctionDef f : new FunctionLibrary(library()).usedBy(all).getFunctionList()) {
      used.put(f.getSignature().getName(), f);
    }
    return FunctionDefLibrary.newBuilder().addAllFunction(used.values()).build();
  }

  String freshName(String kind) {
    int number = functions.size();
    while (functions.containsKey(kind + "_" + number)) {
      number++;
    }
    return kind + "_" + number;
  }

  void add(FunctionDef function) {
    functions.put(function.getSignature().getName(), function);
    made.put(function.getSignature().getName(), function);
  }

  void add(FunctionDefLibrary library) {
    library.getFunctionList().forEach(f -> functions.putIfAbsent(f.getSignature().getName(), f));
  }

  static boolean isLoop(NodeDef node) {
    return node.getOp().endsWith("While");
  }

  static boolean isControlFlow(NodeDef node) {
    return OPS.contains(node.getOp());
  }

  boolean changesVariables(NodeDef node) {
    return anyInside(
        node,
        inner -> {
          String op = inner.getOp();
          boolean isGather = op.startsWith("ResourceGather");
          return op.startsWith("Assign") || op.startsWith("Resource") && !isGather;
        });
  }

  /** Whether running a node again may give other results. */
  boolean isStateful(NodeDef node) {
    return isControlFlow(node)
        ? anyInside(node, inner -> !isControlFlow(inner) && OpDefinitions.isStateful(inner))
        : OpDefinitions.isStateful(node);
  }

  private boolean anyInside(NodeDef node, Predicate<NodeDef> condition) {
    for (String name : new FunctionLibrary(library()).reachedFrom(List.of(node))) {
      boolean isCall = false;
      for (NodeDef inner : functions.get(name).getNodeDefList()) {
        isCall =
            FunctionInliner.CALLS.contains(inner.getOp()) || functions.containsKey(inner.getOp());
        if (!isCall && condition.test(inner)) {
          return true;
        }
      }
    }
    return false;
  }
}
