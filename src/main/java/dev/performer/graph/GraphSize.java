package dev.performer.graph;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * How large a graph is once its calls are expanded: a few small functions that call each other
 * twice can stand for more than fits memory.
 *
 * @param depth levels of functions
 * @param constantBytes what its constants claim
 */
public record GraphSize(long nodes, int depth, long constantBytes) {
  private static final long ENOUGH = 1L << 60; // sums are cut here, far beyond any limit

  private static GraphSize of(GraphDef graph, FunctionLibrary library) {
    Map<String, GraphSize> functions = new HashMap<>();
    for (String name : library.calleesFirst()) {
      List<NodeDef> body = library.find(name).orElseThrow().getNodeDefList();
      functions.put(name, sum(body, "the function " + name, library, functions));
    }
    return sum(graph.getNodeList(), "the main graph", library, functions);
  }

  private static GraphSize sum(
      Collection<NodeDef> body,
      String place,
      FunctionLibrary library,
      Map<String, GraphSize> functions) {
    long nodes = body.size();
    int depth = 0;
    long bytes = 0;
    for (NodeDef node : body) {
      bytes = Math.min(ENOUGH, bytes + TensorSizes.claimed(node, place));
      for (String callee : library.referencesOf(node)) {
        GraphSize called = functions.get(callee);
        nodes = Math.min(ENOUGH, nodes + called.nodes);
        bytes = Math.min(ENOUGH, bytes + called.constantBytes);
        depth = Math.max(depth, 1 + called.depth);
      }
    }
    return new GraphSize(nodes, depth, bytes);
  }

  /**
   * Measures a graph, functions that it does not reach left out, and refuses one that takes all
   * memory or overflows the stack of TensorFlow, which ends the process: more than 62,000 nodes (1
   * GB of memory when they run), 100 levels, or constants that claim 256 MB more than the file
   * holds, as one that repeats a single value does. The system properties {@code
   * performer.graph.nodes}, {@code performer.graph.depth} and {@code performer.graph.constantBytes}
   * set other limits.
   *
   * @throws PerformerException if it is too large, if functions are recursive, or if a constant's
   *     shape makes no sense
   */
  public static GraphSize check(GraphDef graph, FunctionLibrary library) {
    GraphSize size = of(graph, library);
    long nodes = limit("nodes", 62_000);
    long depth = limit("depth", 100);
    long present = library.nodesOf(graph).mapToLong(TensorSizes::present).sum();
    // A real constant may be in several signatures.
    long bytes = limit("constantBytes", 256L << 20) + 4 * present;
    String hint = "; if that is meant, raise the limit with -Dperformer.graph.";
    require(
        size.nodes <= nodes,
        "the graph has more than %s nodes once its functions are expanded" + hint + "nodes=N",
        nodes);
    require(
        size.depth <= depth,
        "the functions of the graph call each other more than %s levels deep" + hint + "depth=N",
        depth);
    require(
        size.constantBytes <= bytes,
        "the constants of the graph claim %s bytes, of which the file holds %s"
            + hint
            + "constantBytes=N",
        size.constantBytes,
        present);
    return size;
  }

  private static long limit(String name, long standard) {
    return Long.getLong("performer.graph." + name, standard);
  }
}
