package dev.performer.graph;

import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;

/** Replaces {@code If} and {@code Case} on a constant by a call of the branch taken. */
final class ConstantBranches {
  private static final Set<String> IFS = Set.of("If", "StatelessIf");
  private static final Set<String> CASES = Set.of("Case", "StatelessCase");

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
    boolean isIf = IFS.contains(node.getOp());
    if (!isIf && !CASES.contains(node.getOp())) {
      return Optional.empty();
    }
    OptionalLong value =
        index
            .find(index.source(node.getInput(0), Set.of("Identity")))
            .map(ConstantBranches::constant)
            .orElse(OptionalLong.empty());
    if (value.isEmpty()) {
      return Optional.empty();
    }
    if (isIf) {
      String branch = value.getAsLong() != 0 ? "then_branch" : "else_branch";
      return Optional.of(node.getAttrOrThrow(branch).getFunc());
    }
    List<NameAttrList> branches = node.getAttrOrThrow("branches").getList().getFuncList();
    // Case runs its last branch for an index that is out of range.
    boolean inRange = value.getAsLong() >= 0 && value.getAsLong() < branches.size();
    return Optional.of(branches.get(inRange ? (int) value.getAsLong() : branches.size() - 1));
  }

  private static OptionalLong constant(NodeDef node) {
    boolean isScalar =
        node.getAttrMap().containsKey("value")
            && node.getAttrOrThrow("value").getTensor().getTensorShape().getDimCount() == 0;
    // Of other shapes "not empty" decides: rare, and left to TensorFlow.
    return isScalar ? ScalarConstants.find(node) : OptionalLong.empty();
  }

  private static NodeDef call(NodeDef branching, NameAttrList branch) {
    return NodeDef.newBuilder()
        .setName(branching.getName())
        .setOp("StatefulPartitionedCall")
        .addAllInput(branching.getInputList().subList(1, branching.getInputCount()))
        .putAttr("f", AttrValue.newBuilder().setFunc(branch).build())
        .putAttr("Tin", branching.getAttrOrThrow("Tin"))
        .putAttr("Tout", branching.getAttrOrThrow("Tout"))
        .build();
  }
}
