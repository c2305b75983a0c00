package dev.performer.graph;

import dev.performer.PerformerException;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;

/** The nodes of a graph or of a function's body by name, and what is reached from where. */
public final class GraphIndex {
  private final Map<String, NodeDef> nodes = new LinkedHashMap<>();

  /** Indexes some nodes; where two have one name, the last counts. */
  public GraphIndex(Collection<NodeDef> nodes) {
    nodes.forEach(node -> this.nodes.put(node.getName(), node));
  }

  Collection<NodeDef> nodes() {
    return nodes.values();
  }

  public Optional<NodeDef> find(String reference) {
    return Optional.ofNullable(nodes.get(TensorNames.node(reference)));
  }

  public NodeDef require(String reference, String user) {
    String name = TensorNames.node(reference);
    String message = "the graph has no node %s, which %s refers to";
    PerformerException.require(nodes.containsKey(name), message, name, user);
    return nodes.get(name);
  }

  public static List<String> dataInputs(NodeDef node) {
    return node.getInputList().stream().filter(input -> !TensorNames.isControl(input)).toList();
  }

  static List<String> controlInputs(NodeDef node) {
    return node.getInputList().stream().filter(TensorNames::isControl).toList();
  }

  /** Names of the nodes reached, the first ones included; references to nothing lead nowhere. */
  public Set<String> reached(
      Collection<String> from, Function<NodeDef, ? extends Collection<String>> next) {
    Set<String> reached = new LinkedHashSet<>();
    var todo = new ArrayDeque<>(from);
    while (!todo.isEmpty()) {
      NodeDef node = nodes.get(TensorNames.node(todo.pop()));
      if (node != null && reached.add(node.getName())) {
        todo.addAll(next.apply(node));
      }
    }
    return reached;
  }

  /** The value of a scalar integer constant, 1 for true; none for other nodes and types. */
  public Optional<Long> integer(String reference) {
    return find(reference)
        .filter(n -> constant(n).getTensorShape().getDimCount() == 0)
        .flatMap(n -> leading(reference));
  }

  private static TensorProto constant(NodeDef node) {
    return node.getAttrOrDefault("value", AttrValue.getDefaultInstance()).getTensor();
  }

  /** The first value of an integer constant of any shape. */
  Optional<Long> leading(String reference) {
    NodeDef node = find(reference).orElse(NodeDef.getDefaultInstance());
    TensorProto tensor = constant(node);
    if (!node.getOp().equals("Const")) {
      return Optional.empty();
    }
    boolean isPacked = !tensor.getTensorContent().isEmpty();
    var packed = tensor.getTensorContent().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    Long value =
        switch (tensor.getDtype()) {
          case DT_BOOL -> isPacked ? packed.get() : first(tensor.getBoolValList(), false) ? 1L : 0L;
          case DT_INT32 -> isPacked ? packed.getInt() : (long) first(tensor.getIntValList(), 0);
          case DT_INT64 -> isPacked ? packed.getLong() : first(tensor.getInt64ValList(), 0L);
          default -> null;
        };
    return Optional.ofNullable(value);
  }

  private static <T> T first(List<T> values, T otherwise) {
    return values.isEmpty() ? otherwise : values.get(0);
  }

  /** Follows a reference back through nodes of some op types, which pass their first input on. */
  public String source(String reference, Set<String> transparent) {
    String source = reference;
    for (int steps = 0; steps < nodes.size(); steps++) {
      NodeDef node = nodes.get(TensorNames.node(source));
      if (node == null || !transparent.contains(node.getOp())) {
        break;
      }
      source = node.getInput(0);
    }
    return source;
  }
}
