package dev.performer.graph;

/**
 * How large a model's graph may be. A small file can describe a graph that takes all memory or
 * overflows the stack of TensorFlow, which ends the process; so it is measured first.
 *
 * @param nodes nodes at most, every call of a function replaced by the function's nodes
 * @param depth levels of functions that call each other at most
 * @param constantBytes bytes at most by which constants may claim more than the file holds, as one
 *     that repeats a single value does
 */
public record GraphLimits(long nodes, int depth, long constantBytes) {
  private static final String NODES = "performer.graph.nodes";
  private static final String DEPTH = "performer.graph.depth";
  private static final String CONSTANT_BYTES = "performer.graph.constantBytes";

  /**
   * 62,000 nodes (1 GB of memory when they run), 100 levels, 256 MB; or what the system properties
   * {@code performer.graph.nodes}, {@code performer.graph.depth} and {@code
   * performer.graph.constantBytes} set.
   */
  public static GraphLimits configured() {
    return new GraphLimits(
        Long.getLong(NODES, 62_000),
        Integer.getInteger(DEPTH, 100),
        Long.getLong(CONSTANT_BYTES, 256L << 20));
  }

  static String raise(String property) {
    return "; if that is meant, raise the limit with -D" + property + "=N";
  }

  String nodesHint() {
    return raise(NODES);
  }

  String depthHint() {
    return raise(DEPTH);
  }

  String constantsHint() {
    return raise(CONSTANT_BYTES);
  }
}
