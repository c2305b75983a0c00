package dev.performer.graph;

import static dev.performer.PerformerException.require;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef.ArgDef;

/**
 * A graph without function calls.
 *
 * @param calls for each node that came out of a function, the call it came from
 * @param resolver turns a reference that was valid in the original graph into one of this graph
 */
public record FlatGraph(GraphDef graph, Map<String, Call> calls, UnaryOperator<String> resolver) {

  /** Where a reference of the original graph, or of an expanded call, points in this graph. */
  public String resolve(String reference) {
    return resolver.apply(reference);
  }

  public Optional<Call> callOf(String node) {
    return Optional.ofNullable(calls.get(node));
  }

  /**
   * One call that was replaced by the function's body, whose node {@code x} became {@code
   * prefix/x}.
   *
   * @param caller the call in whose body this one stood, if any
   * @param attributes what the caller passes for the attributes that the body leaves open
   * @param arguments references in the flat graph, by the function's arguments
   */
  public record Call(
      FunctionDef definition,
      String prefix,
      Optional<Call> caller,
      Map<String, AttrValue> attributes,
      Map<String, List<String>> arguments,
      GraphIndex nodes) {

    public String function() {
      return definition.getSignature().getName();
    }

    /** A reference in the flat graph for one as object graphs write it, also to an argument. */
    public String tensor(String name) {
      int index = TensorNames.index(name);
      String node = TensorNames.node(name);
      List<String> argument = arguments.get(node);
      return argument == null ? flatName(node) + ":" + index : argument.get(index);
    }

    int length(ArgDef argument) {
      return OpDefinitions.length(argument, attributes);
    }

    String flatName(String node) {
      return prefix + "/" + node;
    }

    /** A node of a polymorphic body with the caller's values for attributes that it leaves open. */
    NodeDef filled(NodeDef node) {
      return node.toBuilder().putAllAttr(filled(node.getAttrMap(), node.getName())).build();
    }

    private Map<String, AttrValue> filled(Map<String, AttrValue> open, String node) {
      Map<String, AttrValue> filled = new HashMap<>(open);
      filled.replaceAll((name, value) -> filled(value, node));
      return filled;
    }

    private AttrValue filled(AttrValue value, String node) {
      String open = value.getPlaceholder();
      if (!open.isEmpty()) {
        String message = "the caller of a function does not give the attribute %s of the node %s";
        require(attributes.containsKey(open), message, open, node);
        return attributes.get(open);
      }
      if (!value.hasFunc() && value.getList().getFuncCount() == 0) {
        return value;
      }
      AttrValue.Builder filled = value.toBuilder();
      List<NameAttrList.Builder> functions =
          value.hasFunc()
              ? List.of(filled.getFuncBuilder())
              : filled.getListBuilder().getFuncBuilderList();
      functions.forEach(function -> function.putAllAttr(filled(function.getAttrMap(), node)));
      return filled.build();
    }
  }
}
