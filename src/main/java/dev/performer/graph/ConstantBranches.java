package dev.performer.graph;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;

/** Replaces {@code If} and {@code Case} on a constant by a call of the branch taken. */
final class ConstantBranches {
  private ConstantBranches() {}

  /** The graph with its constant branches chosen; none if it has no constant branch. */
  static Optional<GraphDef> choose(GraphDef graph) {
    GraphIndex index = new GraphIndex(graph.getNodeList());
    GraphDef.Builder chosen = graph.toBuilder().clearNode();
    boolean any = false;
    for (NodeDef node : graph.getNodeList()) {
      Optional<NameAttrList> branch = branchTaken(node, index);
      any |= branch.isPresent();
      chosen.addNode(branch.map(function -> call(node, function)).orElse(node));
    }
    return any ? Optional.of(chosen.build()) : Optional.empty();
  }

  private static Optional<NameAttrList> branchTaken(NodeDef node, GraphIndex index) {
    return switch (node.getOp()) {
      case "If", "StatelessIf" ->
          decision(node, index)
              .map(value -> value != 0 ? "then_branch" : "else_branch")
              .map(branch -> node.getAttrOrThrow(branch).getFunc());
      case "Case", "StatelessCase" -> {
        List<NameAttrList> branches = node.getAttrOrThrow("branches").getList().getFuncList();
        long last = branches.size() - 1L; // runs, too, for an index that is out of range
        yield decision(node, index)
            .map(value -> branches.get((int) (value < 0 || value > last ? last : value)));
      }
      default -> Optional.empty();
    };
  }

  /** Of other shapes than scalars "not empty" decides: rare, and left to TensorFlow. */
  private static Optional<Long> decision(NodeDef node, GraphIndex index) {
    return index.integer(index.source(node.getInput(0), Set.of("Identity")));
  }

  private static NodeDef call(NodeDef branching, NameAttrList branch) {
    return NodeBuilders.node(branching.getName(), "StatefulPartitionedCall")
        .addAllInput(branching.getInputList().subList(1, branching.getInputCount()))
        .putAttr("f", AttrValue.newBuilder().setFunc(branch).build())
        .putAttr("Tin", branching.getAttrOrThrow("Tin"))
        .putAttr("Tout", branching.getAttrOrThrow("Tout"))
        .build();
  }
}
