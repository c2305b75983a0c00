package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * How many nodes a graph has once its calls are expanded: a few small functions that call each
 * other twice can stand for more than fit memory.
 */
final class ExpandedSize {
  private static final long MAX_NODES = 2_000_000;
  private static final int MAX_DEPTH = 300;

  private final FunctionLibrary library;
  private final Map<String, Long> sizes = new HashMap<>();

  private ExpandedSize(FunctionLibrary library) {
    this.library = library;
  }

  /** Refuses graphs that are too large. @throws PerformerException if it is */
  static void check(GraphDef graph, FunctionLibrary library) {
    ExpandedSize size = new ExpandedSize(library);
    long total = 0;
    for (NodeDef node : graph.getNodeList()) {
      total += size.of(node, 0);
      if (total > MAX_NODES) {
        throw new PerformerException(
            "the graph has more than " + MAX_NODES + " nodes once its functions are expanded");
      }
    }
  }

  private long of(NodeDef node, int depth) {
    Optional<FunctionDef> function = callee(node).flatMap(library::find);
    if (function.isEmpty()) {
      return 1;
    }
    if (depth > MAX_DEPTH) {
      throw new PerformerException(
          "the functions of the graph call each other more than " + MAX_DEPTH + " levels deep");
    }
    String name = function.get().getSignature().getName();
    Long known = sizes.get(name);
    if (known == null) {
      long size = 1;
      for (NodeDef inner : function.get().getNodeDefList()) {
        size = Math.min(MAX_NODES + 1, size + of(inner, depth + 1));
      }
      known = size;
      sizes.put(name, known);
    }
    return known;
  }

  private Optional<String> callee(NodeDef node) {
    if (library.find(node.getOp()).isPresent()) {
      return Optional.of(node.getOp());
    }
    return FunctionInliner.CALLS.contains(node.getOp())
        ? Optional.of(node.getAttrOrThrow("f").getFunc().getName())
        : Optional.empty();
  }
}
