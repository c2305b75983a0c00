package dev.performer.graph;

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
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.Output;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.types.TFloat32;

/**
 * What a graph of any origin computes, once more and in parts that are computed again for their
 * gradients. What depends on variables alone, or on what is fed alone, is shared with the original,
 * which stays as it is; what gives another result each time is run once.
 */
public final class GraphParts {
  private final Graph graph;
  private final Recomputation parts;
  private final PartPlan plan;
  private final Map<String, Output<?>> forward = new HashMap<>();
  private final Map<String, Operation> operations = new HashMap<>();

  private GraphParts(Graph graph, Recomputation parts, PartPlan plan) {
    this.graph = graph;
    this.parts = parts;
    this.plan = plan;
  }

  /**
   * Adds outputs once more.
   *
   * @param nodes the graph's nodes, under the names that they have in it
   * @param outputs references to what shall be differentiated
   * @param parts new; gets the parts
   * @return outputs with the values of the original ones, in their order
   * @throws dev.performer.PerformerException if nothing could be saved, or something that has a
   *     gradient cannot be repeated
   */
  public static List<Output<?>> of(
      Graph graph,
      GraphDef nodes,
      List<String> outputs,
      List<Variable> variables,
      Recomputation parts) {
    Set<String> handles = new HashSet<>();
    variables.forEach(variable -> handles.add(variable.handle().op().name()));
    PartPlan plan = new PartPlan(nodes, outputs, handles);
    return new GraphParts(graph, parts, plan).build(outputs, plan.ends(graph, outputs));
  }

  private List<Output<?>> build(List<String> outputs, List<Integer> ends) {
    Ops tf = Ops.create(graph).withSubScope("in_parts");
    List<NodeDef> nodes = plan.nodes();
    write(tf, nodes.subList(0, ends.get(0) + 1));
    for (int i = 1; i < ends.size(); i++) {
      int from = ends.get(i - 1) + 1;
      int to = ends.get(i) + 1;
      Set<String> later = new HashSet<>(outputs.stream().map(TensorNames::shortest).toList());
      nodes.subList(to, nodes.size()).forEach(node -> later.addAll(inputs(node)));
      add(tf, nodes.subList(from, to), later);
    }
    write(tf, nodes.subList(ends.get(ends.size() - 1) + 1, nodes.size()));
    List<Output<?>> copies = new ArrayList<>();
    outputs.forEach(output -> copies.add(forward(TensorNames.shortest(output))));
    return copies;
  }

  private static List<String> inputs(NodeDef node) {
    return GraphIndex.dataInputs(node).stream().map(TensorNames::shortest).toList();
  }

  private void add(Ops tf, List<NodeDef> nodes, Set<String> later) {
    Set<String> made = new LinkedHashSet<>();
    Set<String> used = new LinkedHashSet<>();
    for (NodeDef node : nodes) {
      for (int i = 0; i < OpDefinitions.outputTypes(node).size(); i++) {
        made.add(TensorNames.of(node.getName(), i));
      }
      used.addAll(inputs(node));
    }
    List<String> entering =
        used.stream().filter(input -> plan.carries(input) && !made.contains(input)).toList();
    List<String> leaving =
        made.stream().filter(output -> plan.carries(output) && later.contains(output)).toList();
    if (entering.isEmpty() || leaving.isEmpty()) {
      write(tf, nodes);
      return;
    }
    List<Operand<TFloat32>> inputs = new ArrayList<>();
    entering.forEach(input -> inputs.add(forward(input).expect(TFloat32.class)));
    List<Operand<TFloat32>> outputs = parts.add(tf, inputs, part(nodes, entering, leaving));
    for (int i = 0; i < leaving.size(); i++) {
      forward.put(leaving.get(i), outputs.get(i).asOutput());
    }
  }

  private Recomputation.Part part(
      List<NodeDef> nodes, List<String> entering, List<String> leaving) {
    boolean[] isAgain = {false};
    return (tf, inputs) -> {
      Map<String, Output<?>> tensors = isAgain[0] ? new HashMap<>() : forward;
      for (int i = 0; i < entering.size(); i++) {
        tensors.put(entering.get(i), inputs.get(i).asOutput());
      }
      if (isAgain[0]) {
        again(tf, needed(nodes, leaving), tensors);
      } else {
        write(tf, nodes);
        isAgain[0] = true;
      }
      List<Operand<TFloat32>> outputs = new ArrayList<>();
      leaving.forEach(output -> outputs.add(tensors.get(output).expect(TFloat32.class)));
      return outputs;
    };
  }

  /** Nodes of a part that are computed again for what leaves it, in their order. */
  private List<NodeDef> needed(List<NodeDef> nodes, List<String> leaving) {
    Map<String, NodeDef> own = new LinkedHashMap<>();
    nodes.forEach(node -> own.put(node.getName(), node));
    Set<String> needed = new HashSet<>();
    Deque<String> open = new ArrayDeque<>(leaving);
    while (!open.isEmpty()) {
      NodeDef node = own.get(TensorNames.node(open.pop()));
      if (node != null && !plan.isSingle(node.getName()) && needed.add(node.getName())) {
        open.addAll(inputs(node));
      }
    }
    return nodes.stream().filter(node -> needed.contains(node.getName())).toList();
  }

  /** The tensor of the forward pass: a copy, or the original where that is shared. */
  private Output<?> forward(String reference) {
    Output<?> copy = forward.get(reference);
    String original = TensorNames.node(reference) + ":" + TensorNames.index(reference);
    return copy != null ? copy : graph.outputOrThrow(original);
  }

  private void write(Ops tf, List<NodeDef> nodes) {
    for (NodeDef node : nodes) {
      List<Op> before = new ArrayList<>();
      for (String input : GraphIndex.controlInputs(node)) {
        String name = TensorNames.node(input);
        Operation copy = operations.get(name);
        Operation control = copy != null ? copy : graph.operationOrThrow(name);
        before.add(() -> control);
      }
      Ops behind = before.isEmpty() ? tf : tf.withControlDependencies(before);
      operations.put(node.getName(), write(behind, node, forward));
    }
  }

  /** Behind the tensors that enter, so that nothing of it is computed before. */
  private void again(Ops tf, List<NodeDef> nodes, Map<String, Output<?>> tensors) {
    Ops late = tf.withControlDependencies(new ArrayList<>(tensors.values()));
    for (NodeDef node : nodes) {
      boolean isBehind = inputs(node).stream().anyMatch(tensors::containsKey);
      write(isBehind ? tf : late, node, tensors);
    }
  }

  private Operation write(Ops tf, NodeDef node, Map<String, Output<?>> tensors) {
    Operation copy =
        NodeCopies.write(
            node,
            tf,
            input -> {
              String reference = TensorNames.shortest(input);
              Output<?> own = tensors.get(reference);
              return own != null ? own : forward(reference);
            });
    for (int i = 0; i < copy.numOutputs(); i++) {
      tensors.put(TensorNames.of(node.getName(), i), copy.output(i));
    }
    LossGradients.attachCopy(
        graph,
        node.getName(),
        copy.name(),
        original -> {
          String reference = TensorNames.of(original.op().name(), original.index());
          Output<?> own = tensors.getOrDefault(reference, forward.get(reference));
          return own != null ? own : original;
        });
    return copy;
  }
}
