package dev.performer.graph;

import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.tensorflow.proto.GraphDef;

/**
 * A graph without function calls.
 *
 * @param calls for each node that came out of a function, the call it came from
 * @param resolver turns a reference that was valid in the original graph into one of this graph
 */
public record FlatGraph(
    GraphDef graph, Map<String, FunctionCall> calls, UnaryOperator<String> resolver) {

  /** Where a reference of the original graph, or of an expanded call, points in this graph. */
  public String resolve(String reference) {
    return resolver.apply(reference);
  }

  /** The call that a node came from; none for nodes of the main graph. */
  public Optional<FunctionCall> callOf(String node) {
    return Optional.ofNullable(calls.get(node));
  }

  public FlatGraph withGraph(GraphDef other) {
    return new FlatGraph(other, calls, resolver);
  }
}
