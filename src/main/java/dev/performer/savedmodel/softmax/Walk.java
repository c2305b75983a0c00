package dev.performer.savedmodel.softmax;

import dev.performer.graph.GraphIndex;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.proto.NodeDef;

/** From axes of a node's output to those of an input, and back, where elements only move. */
record Walk(GraphIndex index, Samples samples) {
  /** Ops that pass a tensor on as it is. */
  static final Set<String> SAME =
      Set.of("Identity", "Cast", "CheckNumerics", "StopGradient", "EnsureShape", "Snapshot");

  /** Ops that give its elements other axes. */
  static final Set<String> MOVING = Set.of("Reshape", "ExpandDims", "Squeeze", "Transpose");

  private static final Set<String> REPEATING = Set.of("Tile", "BroadcastTo", "StridedSlice");
  private static final Set<String> ELEMENTWISE =
      Set.of(
          """
          Add AddV2 Sub Mul RealDiv Div DivNoNan Maximum Minimum Select SelectV2 LogicalAnd LogicalOr
          LogicalNot Equal NotEqual Greater GreaterEqual Less LessEqual Neg Sign
          """
              .strip()
              .split("\\s+"));

  /** Whether an op gives elements where its inputs have them. */
  static boolean passes(String op) {
    return SAME.contains(op)
        || MOVING.contains(op)
        || REPEATING.contains(op)
        || ELEMENTWISE.contains(op);
  }

  /** How many inputs hold elements; others say how to move them. */
  static int operands(NodeDef node) {
    boolean isMoving = MOVING.contains(node.getOp()) || REPEATING.contains(node.getOp());
    return isMoving ? 1 : GraphIndex.dataInputs(node).size();
  }

  /** Axes of an input by those of the output; none where elements go astray. */
  Optional<Axes> back(NodeDef node, int input, Axes out) {
    String reference = node.getInput(input);
    if (!samples.has(reference)) {
      return Optional.empty();
    }
    List<long[]> shapes = samples.shapes(reference);
    return switch (node.getOp()) {
      case "Transpose" -> permutation(node).map(p -> unpermuted(out, p));
      case "Reshape", "ExpandDims", "Squeeze" -> Axes.regrouped(out.leaves(), shapes);
      case "StridedSlice" -> // new axes only
          isAsLarge(shapes, out) ? Axes.regrouped(out.leaves(), shapes) : Optional.empty();
      default -> out.operand(shapes);
    };
  }

  /** Axes of the output by those of the first input. */
  Optional<Axes> forward(NodeDef node, Axes in) {
    if (node.getOp().equals("Transpose")) {
      return permutation(node).map(p -> new Axes(p.stream().map(in::axis).toList()));
    }
    List<long[]> shapes = samples.shapes(node.getName());
    return MOVING.contains(node.getOp())
        ? Axes.regrouped(in.leaves(), shapes)
        : in.operand(shapes); // nothing may have grown
  }

  private static boolean isAsLarge(List<long[]> shapes, Axes out) {
    for (int s = 0; s < shapes.size(); s++) {
      int sample = s;
      long size = 1;
      for (long one : shapes.get(s)) {
        size *= one;
      }
      long wanted = out.leaves().stream().mapToLong(a -> a.size(sample)).reduce(1, (a, b) -> a * b);
      if (size != wanted) {
        return false;
      }
    }
    return true;
  }

  private Optional<List<Integer>> permutation(NodeDef transpose) {
    String reference = transpose.getInput(1);
    if (!samples.has(reference)) {
      return Optional.empty();
    }
    List<Integer> places = new ArrayList<>();
    for (int place : samples.value(reference, 0).ints()) {
      places.add(place);
    }
    return Optional.of(places);
  }

  private static Axes unpermuted(Axes out, List<Integer> permutation) {
    List<List<Atom>> in = new ArrayList<>(Collections.nCopies(out.rank(), List.of()));
    for (int i = 0; i < permutation.size(); i++) {
      in.set(permutation.get(i), out.axis(i));
    }
    return new Axes(in);
  }
}
