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
  private static final String NODES = "performer.graph.nodes";
  private static final String DEPTH = "performer.graph.depth";
  private static final String CONSTANT_BYTES = "performer.graph.constantBytes";
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

  /**
   * Measures a graph and refuses one that takes all memory or overflows the stack of TensorFlow,
   * which ends the process: more than 62,000 nodes (1 GB of memory when they run), 100 levels, or
   * constants that claim 256 MB more than the file holds, as one that repeats a single value does.
   * The system properties {@code performer.graph.nodes}, {@code performer.graph.depth} and {@code
   * performer.graph.constantBytes} set other limits.
   *
   * @throws PerformerException if it is too large
   */
  public static GraphSize check(GraphDef graph, FunctionLibrary library) {
    GraphSize size = of(graph, library);
    long nodes = Long.getLong(NODES, 62_000);
    if (size.nodes > nodes) {
      throw tooLarge(
          "the graph has more than " + nodes + " nodes once its functions are expanded", NODES);
    }
    int depth = Integer.getInteger(DEPTH, 100);
    if (size.depth > depth) {
      throw tooLarge(
          "the functions of the graph call each other more than " + depth + " levels deep", DEPTH);
    }
    long present = library.nodesOf(graph).mapToLong(ConstantSize::present).sum();
    // A real constant may be in several signatures.
    if (size.constantBytes > Long.getLong(CONSTANT_BYTES, 256L << 20) + 4 * present) {
      throw tooLarge(
          "the constants of the graph claim %s bytes, of which the file holds %s"
              .formatted(size.constantBytes, present),
          CONSTANT_BYTES);
    }
    return size;
  }

  private static PerformerException tooLarge(String what, String property) {
    return new PerformerException(
        what + "; if that is meant, raise the limit with -D" + property + "=N");
  }
}
