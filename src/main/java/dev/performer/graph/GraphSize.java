package dev.performer.graph;

import static dev.performer.PerformerException.require;
import static java.lang.Math.addExact;
import static java.lang.Math.min;
import static java.lang.Math.multiplyExact;

import dev.performer.PerformerException;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;

/**
 * How large a graph is once its calls are expanded: a few small functions that call each other
 * twice can stand for more than fits memory.
 *
 * @param depth levels of functions
 * @param constantBytes what its constants claim, which TensorFlow allocates
 */
public record GraphSize(long nodes, int depth, long constantBytes) {
  private static final long ENOUGH = 1L << 60; // sums are cut here, far beyond any limit
  private static final String RAISE = "; if that is meant, raise the limit with -D";
  private static final String NODES = "performer.graph.nodes";
  private static final String DEPTH = "performer.graph.depth";
  private static final String CONSTANT_BYTES = "performer.graph.constantBytes";

  /**
   * Measures a graph and refuses one that takes all memory or overflows TensorFlow's stack, which
   * ends the process: more than 62,000 nodes (1 GB of memory when they run), 100 levels, or
   * constants that claim 256 MB more than the file holds. System properties set other limits.
   *
   * @throws PerformerException also if functions are recursive or a constant's shape makes no sense
   */
  public static GraphSize check(GraphDef graph, FunctionLibrary library) {
    GraphSize size = new Measurement(library).ofGraph(graph);
    long most = Long.getLong(NODES, 62_000);
    String nodes = "the graph has more than %s nodes once its functions are expanded";
    require(size.nodes <= most, nodes + RAISE + NODES + "=N", most);
    long present = library.nodesOf(graph).mapToLong(GraphSize::present).sum();
    // A real constant may be in several signatures.
    boolean isHeld = size.constantBytes <= Long.getLong(CONSTANT_BYTES, 256L << 20) + 4 * present;
    String claim = "the constants of the graph claim %s bytes, of which the file holds %s";
    require(isHeld, claim + RAISE + CONSTANT_BYTES + "=N", size.constantBytes, present);
    return size;
  }

  private static final class Measurement {
    private final FunctionLibrary library;
    private final Map<String, GraphSize> functions = new HashMap<>();
    private final Set<String> open = new LinkedHashSet<>();
    private final int deepest = Integer.getInteger(DEPTH, 100);

    Measurement(FunctionLibrary library) {
      this.library = library;
    }

    GraphSize ofGraph(GraphDef graph) {
      library.names().forEach(this::ofFunction);
      return sum(graph.getNodeList(), "the main graph");
    }

    private GraphSize ofFunction(String name) {
      if (!functions.containsKey(name)) {
        // TensorFlow overflows the stack on recursion and takes the JVM along.
        String recursive = "the graph has recursive functions, which TensorFlow cannot run: %s";
        require(open.add(name), recursive, name);
        requireDepth(open.size());
        var body = library.find(name).orElseThrow().getNodeDefList();
        functions.put(name, sum(body, "the function " + name));
        open.remove(name);
      }
      return functions.get(name);
    }

    private GraphSize sum(Collection<NodeDef> body, String place) {
      long nodes = body.size();
      int depth = 0;
      long bytes = 0;
      for (NodeDef node : body) {
        bytes = min(ENOUGH, bytes + claimed(node, place));
        for (String callee : library.referencesOf(node)) {
          GraphSize called = ofFunction(callee);
          nodes = min(ENOUGH, nodes + called.nodes);
          bytes = min(ENOUGH, bytes + called.constantBytes);
          depth = Math.max(depth, 1 + called.depth);
        }
      }
      requireDepth(depth);
      return new GraphSize(nodes, depth, bytes);
    }

    private void requireDepth(int depth) {
      String what = "the functions of the graph call each other more than %s levels deep";
      require(depth <= deepest, what + RAISE + DEPTH + "=N", deepest);
    }
  }

  /**
   * Bytes of the node's constants as tensors. TensorFlow ends the process where a shape overflows.
   */
  private static long claimed(NodeDef node, String place) {
    try {
      long bytes = 0;
      for (AttrValue value : node.getAttrMap().values()) {
        GraphProtos.elements(value.getShape());
        value.getList().getShapeList().forEach(GraphProtos::elements);
        for (TensorProto tensor : tensors(value)) {
          bytes = addExact(bytes, claimed(tensor, node, place));
        }
      }
      return bytes;
    } catch (ArithmeticException e) {
      String message = "the node %s of %s has a shape of more elements than can be counted";
      throw new PerformerException(message.formatted(node.getName(), place), e);
    }
  }

  private static long claimed(TensorProto tensor, NodeDef node, String place) {
    long elements = GraphProtos.elements(tensor.getTensorShape());
    long content = tensor.getTensorContent().size();
    int width = GraphProtos.width(tensor.getDtype());
    if (width <= 0) {
      // Packed strings take a byte each at least; one that is left out repeats the last, and empty
      // ones take 24 bytes of memory.
      return elements > content ? multiplyExact(elements, 24L) : 0;
    }
    long size = multiplyExact(elements, (long) width);
    String message = "the node %s of %s: a constant holds %s bytes, its shape needs %s";
    require(content == 0 || content == size, message, node.getName(), place, content, size);
    return size;
  }

  private static long present(NodeDef node) {
    var tensors = node.getAttrMap().values().stream().flatMap(value -> tensors(value).stream());
    return tensors.mapToLong(TensorProto::getSerializedSize).sum();
  }

  private static List<TensorProto> tensors(AttrValue value) {
    return value.hasTensor() ? List.of(value.getTensor()) : value.getList().getTensorList();
  }
}
