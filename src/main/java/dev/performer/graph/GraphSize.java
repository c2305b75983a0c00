package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * How large a graph is once its calls are expanded: a few small functions that call each other
 * twice can stand for more than fits memory.
 *
 * @param nodes number of nodes
 * @param depth levels of functions
 * @param constantBytes what its constants claim
 */
public record GraphSize(long nodes, int depth, long constantBytes) {
  private static final long ENOUGH = 1L << 60; // sums are cut here, far beyond any limit

  /**
   * Measures a graph, functions that it does not reach left out.
   *
   * @throws PerformerException if functions are recursive or a constant's shape makes no sense
   */
  public static GraphSize of(GraphDef graph, FunctionLibrary library) {
    Map<String, GraphSize> functions = new HashMap<>();
    for (String name : library.calleesFirst()) {
      functions.put(
          name,
          sum(
              library.find(name).orElseThrow().getNodeDefList(),
              "the function " + name,
              library,
              functions));
    }
    return sum(graph.getNodeList(), "the main graph", library, functions);
  }

  private static GraphSize sum(
      Collection<NodeDef> body,
      String place,
      FunctionLibrary library,
      Map<String, GraphSize> functions) {
    long nodes = 0;
    int depth = 0;
    long bytes = 0;
    for (NodeDef node : body) {
      nodes++;
      bytes += ConstantSize.claimed(node, place);
      for (String callee : library.referencesOf(node)) {
        GraphSize called = functions.get(callee);
        nodes = Math.min(ENOUGH, nodes + called.nodes);
        bytes = Math.min(ENOUGH, bytes + called.constantBytes);
        depth = Math.max(depth, 1 + called.depth);
      }
    }
    return new GraphSize(nodes, depth, Math.min(ENOUGH, bytes));
  }

  /** Measures a graph and refuses it if it is too large. @throws PerformerException if it is */
  public static GraphSize check(GraphDef graph, FunctionLibrary library, GraphLimits limits) {
    GraphSize size = of(graph, library);
    if (size.nodes > limits.nodes()) {
      throw new PerformerException(
          "the graph has more than %s nodes once its functions are expanded%s"
              .formatted(limits.nodes(), limits.nodesHint()));
    }
    if (size.depth > limits.depth()) {
      throw new PerformerException(
          "the functions of the graph call each other more than %s levels deep%s"
              .formatted(limits.depth(), limits.depthHint()));
    }
    long present = 0;
    for (NodeDef node : graph.getNodeList()) {
      present += ConstantSize.present(node);
    }
    for (var function : library.all()) {
      for (NodeDef node : function.getNodeDefList()) {
        present += ConstantSize.present(node);
      }
    }
    // A real constant may be in several signatures.
    if (size.constantBytes > limits.constantBytes() + 4 * present) {
      throw new PerformerException(
          "the constants of the graph claim %s bytes, of which the file holds %s%s"
              .formatted(size.constantBytes, present, limits.constantsHint()));
    }
    return size;
  }
}
