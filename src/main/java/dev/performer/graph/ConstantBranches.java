package dev.performer.graph;

import java.nio.ByteOrder;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;

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
    return index
        .find(index.source(node.getInput(0), Set.of("Identity")))
        .flatMap(ConstantBranches::constant)
        .map(
            value -> {
              if (isIf) {
                return node.getAttrOrThrow(value != 0 ? "then_branch" : "else_branch").getFunc();
              }
              List<NameAttrList> branches = node.getAttrOrThrow("branches").getList().getFuncList();
              // Case runs its last branch for an index that is out of range.
              boolean inRange = value >= 0 && value < branches.size();
              return branches.get(inRange ? value.intValue() : branches.size() - 1);
            });
  }

  private static Optional<Double> constant(NodeDef node) {
    if (!node.getOp().equals("Const")) {
      return Optional.empty();
    }
    TensorProto tensor = node.getAttrOrThrow("value").getTensor();
    if (tensor.getTensorShape().getDimCount() > 0) {
      return Optional.empty(); // "not empty" decides then: rare, and left to TensorFlow
    }
    return scalar(tensor);
  }

  private static Optional<Double> scalar(TensorProto tensor) {
    DataType type = tensor.getDtype();
    if (type == DataType.DT_BOOL) {
      boolean value =
          tensor.getTensorContent().isEmpty()
              ? tensor.getBoolValCount() > 0 && tensor.getBoolVal(0)
              : tensor.getTensorContent().byteAt(0) != 0;
      return Optional.of(value ? 1.0 : 0.0);
    }
    if (type == DataType.DT_INT32) {
      if (tensor.getTensorContent().isEmpty()) {
        return Optional.of(tensor.getIntValCount() > 0 ? (double) tensor.getIntVal(0) : 0.0);
      }
      return Optional.of(
          (double)
              tensor
                  .getTensorContent()
                  .asReadOnlyByteBuffer()
                  .order(ByteOrder.LITTLE_ENDIAN)
                  .getInt());
    }
    return Optional.empty();
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
