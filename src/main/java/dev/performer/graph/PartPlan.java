package dev.performer.graph;

import static dev.performer.PerformerException.require;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.tensorflow.Graph;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Where a graph of any origin is cut into parts, so that little is kept: what passes between them,
 * and what is inside the greatest. Any place in the order of its nodes is a cut; those are taken
 * past which the least goes, which in a Transformer is between its layers.
 */
final class PartPlan {
  private static final String NOTHING =
      "recomputation needs a graph of several layers with little between them; this one would keep %d %% of its activations all the same; take plain";
  private static final double WORTH = 0.75;
  private static final int MOST_PARTS = 64;
  private static final int UNKNOWN_SIZE = 256;

  /** What reads a variable or a table, and gives the same when it is repeated. */
  private static final Set<String> READS =
      Set.of(
          "ReadVariableOp",
          "ResourceGather",
          "ResourceGatherNd",
          "VariableShape",
          "LookupTableFindV2",
          "LookupTableSizeV2");

  private static final Set<String> VIEWS =
      Set.of("Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "StopGradient");

  private final GraphIndex index;
  private final FunctionLibrary functions;
  private final Set<String> carrying = new HashSet<>();
  private final Set<String> single = new HashSet<>();
  private final List<NodeDef> nodes = new ArrayList<>();
  private final Map<String, Integer> places = new HashMap<>();

  /**
   * @param outputs references to what is differentiated
   * @param variables operations of handles
   * @throws dev.performer.PerformerException if something that has a gradient gives another result
   *     each time
   */
  PartPlan(GraphDef graph, List<String> outputs, Set<String> variables) {
    index = new GraphIndex(graph.getNodeList());
    functions = new FunctionLibrary(graph.getLibrary());
    Set<String> ofWeights = new HashSet<>();
    Set<String> ofData = new HashSet<>();
    for (NodeDef node : ordered(outputs)) {
      String name = node.getName();
      boolean isVariable = variables.contains(name);
      boolean isSingle = isSingle(node);
      var sources = node.getInputList().stream().map(TensorNames::node).toList();
      var inputs = GraphIndex.dataInputs(node).stream().map(TensorNames::node).toList();
      if (isVariable || sources.stream().anyMatch(ofWeights::contains)) {
        ofWeights.add(name);
      }
      if (isSingle || isFed(node) || sources.stream().anyMatch(ofData::contains)) {
        ofData.add(name);
      }
      boolean passes =
          isVariable
              || !LossGradients.stops(node.getOp()) && inputs.stream().anyMatch(carrying::contains);
      if (passes
          && OpDefinitions.outputTypes(node).stream().anyMatch(LossGradients::isDifferentiable)) {
        carrying.add(name);
        String text =
            "recomputation cannot repeat %s (node %s), which has a gradient and gives another result each time; take plain";
        require(!isSingle || isVariable, text, node.getOp(), name);
      }
      if (ofWeights.contains(name) && ofData.contains(name)) {
        places.put(name, nodes.size());
        nodes.add(node);
        if (isSingle || isRead(node) && !carrying.contains(name)) {
          single.add(name);
        }
      }
    }
  }

  private static boolean isFed(NodeDef node) {
    return node.getOp().startsWith("Placeholder");
  }

  private boolean isSingle(NodeDef node) {
    boolean calls = !FunctionLibrary.attributeFunctions(node).isEmpty();
    if (!calls) {
      return OpDefinitions.isStateful(node) && !isRead(node);
    }
    return functions.reachedFrom(List.of(node)).stream()
        .flatMap(name -> functions.find(name).orElseThrow().getNodeDefList().stream())
        .filter(inner -> FunctionLibrary.attributeFunctions(inner).isEmpty())
        .anyMatch(inner -> OpDefinitions.isStateful(inner) && !isRead(inner));
  }

  private static boolean isRead(NodeDef node) {
    String op = node.getOp();
    return READS.contains(op) || op.equals("VarHandleOp") || op.contains("HashTable");
  }

  /** What outputs need, each node behind what it takes, control inputs included. */
  private List<NodeDef> ordered(List<String> outputs) {
    Map<String, NodeDef> done = new LinkedHashMap<>();
    Set<String> open = new HashSet<>();
    Deque<String> todo = new ArrayDeque<>();
    outputs.forEach(output -> todo.push(TensorNames.node(output)));
    while (!todo.isEmpty()) {
      String name = todo.peek();
      if (done.containsKey(name)) {
        todo.pop();
        continue;
      }
      NodeDef node = index.require(name, "an output");
      List<String> missing =
          node.getInputList().stream()
              .map(TensorNames::node)
              .filter(input -> !done.containsKey(input))
              .toList();
      if (missing.isEmpty()) {
        done.put(name, node);
        todo.pop();
      } else {
        String text = "recomputation needs a graph without cycles; %s (node %s) is in one";
        require(open.add(name), text, node.getOp(), name);
        missing.forEach(todo::push);
      }
    }
    return List.copyOf(done.values());
  }

  /** What depends on variables and on what is fed, in order: the parts together. */
  List<NodeDef> nodes() {
    return nodes;
  }

  boolean contains(String node) {
    return places.containsKey(node);
  }

  /** Whether a node is run once, and its results kept, as it would give others. */
  boolean isSingle(String node) {
    return single.contains(node);
  }

  /** Whether a gradient may pass through a tensor. */
  boolean carries(String reference) {
    String name = TensorNames.node(reference);
    return places.containsKey(name)
        && carrying.contains(name)
        && LossGradients.isDifferentiable(type(reference));
  }

  private DataType type(String reference) {
    NodeDef node = nodes.get(places.get(TensorNames.node(reference)));
    return OpDefinitions.outputTypes(node).get(TensorNames.index(reference));
  }

  /**
   * The last nodes of all parts but the last, by their places. The first part and the last are kept
   * as they are.
   *
   * @throws dev.performer.PerformerException if hardly anything could be saved
   */
  List<Integer> ends(Graph graph, List<String> outputs) {
    int count = nodes.size();
    double[] inside = new double[count + 1]; // before each node
    double[] live = new double[count + 1]; // past each node
    int[] barred = new int[count + 1];
    Map<String, Integer> lastUse = new HashMap<>();
    for (int i = 0; i < count; i++) {
      for (String input : GraphIndex.dataInputs(nodes.get(i))) {
        lastUse.put(TensorNames.shortest(input), i);
      }
    }
    outputs.forEach(output -> lastUse.put(TensorNames.shortest(output), count));
    for (int i = 0; i < count; i++) {
      NodeDef node = nodes.get(i);
      double size = 0;
      for (int output = 0; output < OpDefinitions.outputTypes(node).size(); output++) {
        String reference = TensorNames.of(node.getName(), output);
        double own = size(graph.outputOrThrow(node.getName() + ":" + output).shape());
        size += own;
        int last = lastUse.getOrDefault(reference, i);
        int isBarred = carries(reference) && type(reference) != DataType.DT_FLOAT ? 1 : 0;
        live[i] += own;
        live[last] -= own;
        barred[i] += isBarred;
        barred[last] -= isBarred;
      }
      inside[i + 1] = inside[i] + (VIEWS.contains(node.getOp()) ? 0 : size);
    }
    for (int i = 1; i < count; i++) {
      live[i] += live[i - 1];
      barred[i] += barred[i - 1];
    }
    return new Choice(inside, live, barred).best();
  }

  private static double size(Shape shape) {
    if (shape.isUnknown()) {
      return Math.pow(UNKNOWN_SIZE, 3);
    }
    return IntStream.range(0, shape.numDimensions())
        .mapToDouble(i -> shape.get(i) < 0 ? UNKNOWN_SIZE : shape.get(i))
        .reduce(1, (x, y) -> x * y);
  }

  /**
   * Cuts by what they keep.
   *
   * @param inside numbers that the nodes before each compute
   * @param live numbers that pass behind each
   * @param barred more than 0 where what passes is not float32
   */
  private record Choice(double[] inside, double[] live, int[] barred) {
    List<Integer> best() {
      int count = live.length - 1;
      double all = inside[count];
      List<Integer> best = List.of();
      double least = all;
      for (int parts = 2; parts <= MOST_PARTS; parts++) {
        List<Integer> ends = ends(all / parts);
        double kept = kept(ends);
        if (ends.size() > 1 && kept < least) {
          least = kept;
          best = ends;
        }
      }
      double share = all == 0 ? 1 : least / all;
      require(share < WORTH, NOTHING, Math.round(100 * share));
      return best;
    }

    /** Parts of at most so many numbers, where that is possible. */
    private List<Integer> ends(double limit) {
      int count = live.length - 1;
      Set<Integer> ends = new LinkedHashSet<>();
      int first = -1;
      for (int i = 0; i < count - 1 && (first < 0 || inside[i + 1] <= limit); i++) {
        boolean isLess = first < 0 || inside[i + 1] + live[i] < inside[first + 1] + live[first];
        first = barred[i] == 0 && isLess ? i : first;
      }
      int end = first;
      while (end >= 0 && end < count - 1) {
        ends.add(end);
        int start = end + 1;
        end = inside[count] - inside[start] <= limit ? -1 : next(start, limit);
      }
      return List.copyOf(ends);
    }

    /** The end of the part that begins at a node: what keeps least for what it saves. */
    private int next(int start, double limit) {
      int best = -1;
      double least = Double.MAX_VALUE;
      for (int i = start; i < live.length - 2; i++) {
        double own = inside[i + 1] - inside[start];
        if (own > limit && best >= 0) {
          break;
        }
        if (barred[i] == 0 && own > 0 && live[i] / own <= least) {
          least = live[i] / own;
          best = i;
        }
      }
      return best;
    }

    private double kept(List<Integer> ends) {
      if (ends.isEmpty()) {
        return inside[live.length - 1];
      }
      double kept = 0;
      double greatest = 0;
      for (int i = 0; i < ends.size(); i++) {
        kept += live[ends.get(i)];
        if (i > 0) {
          greatest = Math.max(greatest, inside[ends.get(i) + 1] - inside[ends.get(i - 1) + 1]);
        }
      }
      double last = inside[live.length - 1] - inside[ends.get(ends.size() - 1) + 1];
      return kept + greatest + last + inside[ends.get(0) + 1];
    }
  }
}
