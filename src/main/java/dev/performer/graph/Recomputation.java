package dev.performer.graph;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Parts of a graph of which only what enters them is kept for their gradients: a part is added a
 * second time, behind the gradient of its outputs, so that what is inside exists while it is
 * differentiated and not before. The graph is cut between parts: what they give lets no gradient
 * through by itself, and {@link #gradients} joins the pieces.
 */
public final class Recomputation {
  /** No parts. */
  public static final Recomputation NONE = new Recomputation();

  /** What a part computes, each time the same, and from nothing else that has a gradient. */
  @FunctionalInterface
  public interface Part {
    List<Operand<TFloat32>> of(Ops tf, List<Operand<TFloat32>> inputs);
  }

  /** A cut: behind outputs that have been computed stands what is used. */
  private record Cut(
      Part part,
      List<Output<TFloat32>> inputs,
      List<Output<TFloat32>> outputs,
      List<Output<TFloat32>> used) {}

  private final List<Cut> cuts = new ArrayList<>();
  private final Map<String, Output<TFloat32>> byOutput = new HashMap<>();

  /** Whether there are no parts. */
  public boolean isEmpty() {
    return cuts.isEmpty();
  }

  /** Adds a part; its outputs are to be used in place of those of the part itself. */
  public List<Operand<TFloat32>> add(Ops tf, List<Operand<TFloat32>> inputs, Part part) {
    List<Output<TFloat32>> entering = new ArrayList<>();
    inputs.forEach(input -> entering.add(cut(tf, input.asOutput())));
    return cut(tf, part, entering, part.of(tf, List.copyOf(entering)));
  }

  private List<Operand<TFloat32>> cut(
      Ops tf, Part part, List<Output<TFloat32>> inputs, List<Operand<TFloat32>> computed) {
    List<Output<TFloat32>> outputs = computed.stream().map(Operand::asOutput).toList();
    List<Output<TFloat32>> used = new ArrayList<>();
    outputs.forEach(output -> used.add(tf.stopGradient(output).asOutput()));
    cuts.add(new Cut(part, inputs, outputs, used));
    used.forEach(output -> byOutput.put(key(output), output));
    return List.copyOf(used);
  }

  /** What enters a part, if it does not come from one, is cut once. */
  private Output<TFloat32> cut(Ops tf, Output<TFloat32> input) {
    Output<TFloat32> known = byOutput.get(key(input));
    if (known == null) {
      known = cut(tf, null, List.of(), List.of(input)).get(0).asOutput();
      byOutput.put(key(input), known);
    }
    return known;
  }

  private static String key(Output<?> output) {
    return output.op().name() + ":" + output.index();
  }

  /** Adds the gradients of a loss, of all parts' together. */
  List<Optional<Output<?>>> gradients(Graph graph, Output<?> loss, List<Output<?>> of) {
    Ops tf = Ops.create(graph).withSubScope("recomputed");
    Joined joined = new Joined(graph, tf, of);
    joined.differentiate(List.of(loss), null, Map.of());
    for (int i = cuts.size() - 1; i >= 0; i--) {
      joined.through(cuts.get(i));
    }
    return of.stream().map(joined::total).toList();
  }

  /** Gradients that have arrived so far. */
  private final class Joined {
    private final Graph graph;
    private final Ops tf;
    private final Map<String, Output<?>> sought = new LinkedHashMap<>();
    private final Map<String, List<Output<?>>> arrived = new HashMap<>();
    private List<Op> last = List.of(); // of the part behind

    Joined(Graph graph, Ops tf, List<Output<?>> of) {
      this.graph = graph;
      this.tf = tf;
      of.forEach(output -> sought.put(key(output), output));
    }

    /** The sum of what has arrived at an output. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    Optional<Output<?>> total(Output<?> at) {
      List<Output<?>> all = arrived.getOrDefault(key(at), List.of());
      return all.size() < 2
          ? all.stream().<Output<?>>map(one -> one).findFirst()
          : Optional.of(tf.math.addN((List) all).asOutput());
    }

    void through(Cut cut) {
      List<Output<?>> computed = new ArrayList<>();
      List<Output<?>> behind = new ArrayList<>();
      Map<String, Output<?>> entering = new LinkedHashMap<>();
      List<Integer> reached = new ArrayList<>();
      for (int i = 0; i < cut.used.size(); i++) {
        Optional<Output<?>> gradient = total(cut.used.get(i));
        if (gradient.isPresent()) {
          reached.add(i);
          behind.add(gradient.get());
        }
      }
      if (reached.isEmpty()) {
        return;
      }
      List<? extends Operand<TFloat32>> all = cut.outputs;
      if (cut.part != null) {
        List<Op> before = new ArrayList<>(last);
        before.addAll(behind);
        Ops late = tf.withControlDependencies(before);
        List<Operand<TFloat32>> inputs = new ArrayList<>();
        for (Output<TFloat32> input : cut.inputs) {
          Output<TFloat32> again = late.stopGradient(input).asOutput();
          entering.put(key(again), input);
          inputs.add(again);
        }
        all = cut.part.of(tf, inputs);
      }
      // Gradients of several outputs, one of which feeds another, are wrong without a node between.
      for (int i : reached) {
        computed.add(tf.identity(all.get(i)).asOutput());
      }
      differentiate(computed, behind, entering);
    }

    /**
     * @param entering outputs that stand for others, by their names
     */
    void differentiate(
        List<Output<?>> of, List<Output<?>> behind, Map<String, Output<?>> entering) {
      Map<String, Output<?>> ends = ends(of, entering);
      if (ends.isEmpty()) {
        return;
      }
      Output<?>[] y = of.toArray(Output<?>[]::new);
      Output<?>[] x = ends.values().toArray(Output<?>[]::new);
      Output<?>[] dy = behind == null ? null : behind.toArray(Output<?>[]::new);
      var found = LossGradients.present(graph.addGradients(null, y, x, dy));
      last = new ArrayList<>();
      int i = 0;
      for (String key : ends.keySet()) {
        String target = entering.containsKey(key) ? key(entering.get(key)) : key;
        found
            .get(i++)
            .ifPresent(
                gradient -> {
                  arrived.computeIfAbsent(target, k -> new ArrayList<>()).add(gradient);
                  last.add(gradient);
                });
      }
    }

    /** What is sought and what is cut, where outputs depend on it and no cut lies between. */
    private Map<String, Output<?>> ends(List<Output<?>> of, Map<String, Output<?>> entering) {
      Map<String, Output<?>> ends = new LinkedHashMap<>();
      Set<String> seen = new HashSet<>();
      ArrayDeque<Output<?>> open = new ArrayDeque<>(of);
      while (!open.isEmpty()) {
        Output<?> output = open.remove();
        String key = key(output);
        if (!seen.add(key)) {
          continue;
        }
        Output<?> cut = byOutput.get(key);
        if (entering.containsKey(key) || cut != null && key(cut).equals(key)) {
          ends.put(key, output);
          continue;
        }
        if (sought.containsKey(key)) {
          ends.put(key, output);
        }
        for (Operand<?> input : ((GraphOperation) output.op()).inputs()) {
          open.add(input.asOutput());
        }
      }
      return ends;
    }
  }
}
