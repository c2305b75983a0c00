package dev.performer.graph;

import static dev.performer.graph.NodeBuilders.integer;
import static dev.performer.graph.NodeBuilders.ints;
import static dev.performer.graph.NodeBuilders.node;
import static dev.performer.graph.NodeBuilders.type;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import org.tensorflow.Graph;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Replaces, in a graph about to be imported, what TensorFlow's C++ registry differentiates wrongly
 * or not at all by an equal that it differentiates rightly. Outputs stay the same, under the same
 * names.
 */
public final class GradientRewrites {
  private final GraphIndex index;
  private final List<NodeDef> rewritten = new ArrayList<>();
  private final Set<String> scopes = new HashSet<>();
  private final Map<String, RawCustomGradient> identityGradients = new HashMap<>();
  private GraphDef result;

  private GradientRewrites(GraphDef graph) {
    index = new GraphIndex(graph.getNodeList());
    for (NodeDef node : graph.getNodeList()) {
      int slash = node.getName().lastIndexOf('/');
      scopes.add(slash < 0 ? "" : node.getName().substring(0, slash));
    }
  }

  /** Replaces every known trouble of a graph. */
  public static GradientRewrites of(GraphDef graph) {
    GradientRewrites rewrites = new GradientRewrites(graph);
    graph.getNodeList().forEach(rewrites::rewrite);
    rewrites.result = graph.toBuilder().clearNode().addAllNode(rewrites.rewritten).build();
    return rewrites;
  }

  /** The graph to import. */
  public GraphDef graph() {
    return result;
  }

  /** Completes the work on the imported graph, before any gradient is added. */
  public void attach(Graph graph) {
    identityGradients.forEach((node, own) -> IdentityGradients.attach(graph, node, own));
  }

  private void rewrite(NodeDef node) {
    switch (node.getOp()) {
      case "LogSoftmax" -> logSoftmax(node);
      case "GatherV2" -> gather(node);
      case "Gather" -> gatherV1(node);
      case "Concat" -> concatV1(node);
      case "Atan2" -> atan2(node);
      case "FusedBatchNorm", "FusedBatchNormV2" -> fusedBatchNorm(node);
      case "Conv2D", "DepthwiseConv2dNative" -> convolution(node);
      default -> rewritten.add(node);
    }
  }

  /** The C++ gradient sums over axis 1: right for matrices only, wrong without a word otherwise. */
  private void logSoftmax(NodeDef original) {
    String name = scope(original);
    AttrValue t = original.getAttrOrThrow("T");
    String x = original.getInput(0);
    add(
        node(name + "/shape", "Shape", x)
            .putAttr("T", t)
            .putAttr("out_type", type(DataType.DT_INT32)));
    rewritten.add(ints(name + "/last", -1));
    rewritten.add(ints(name + "/end", 0));
    rewritten.add(ints(name + "/step", 1));
    add(
        node(
                name + "/classes",
                "StridedSlice",
                name + "/shape",
                name + "/last",
                name + "/end",
                name + "/step")
            .putAttr("T", type(DataType.DT_INT32))
            .putAttr("Index", type(DataType.DT_INT32))
            .putAttr("end_mask", AttrValue.newBuilder().setI(1).build()));
    rewritten.add(integer(name + "/axis", 0));
    add(
        node(name + "/matrix_shape", "ConcatV2", name + "/last", name + "/classes", name + "/axis")
            .putAttr("N", AttrValue.newBuilder().setI(2).build())
            .putAttr("T", type(DataType.DT_INT32))
            .putAttr("Tidx", type(DataType.DT_INT32)));
    add(reshape(name + "/matrix", t, x, name + "/matrix_shape"));
    add(node(name + "/rows", "LogSoftmax", name + "/matrix").putAttr("T", t));
    add(
        reshape(original.getName(), t, name + "/rows", name + "/shape")
            .addAllInput(GraphIndex.controlInputs(original)));
  }

  private static NodeDef.Builder reshape(String name, AttrValue t, String x, String shape) {
    return node(name, "Reshape", x, shape)
        .putAttr("T", t)
        .putAttr("Tshape", type(DataType.DT_INT32));
  }

  /** The gradient of a negative axis fails when it runs. */
  private void gather(NodeDef original) {
    OptionalLong axis =
        index.find(original.getInput(2)).map(ScalarConstants::find).orElse(OptionalLong.empty());
    if (axis.isPresent() && axis.getAsLong() >= 0) {
      rewritten.add(original);
      return;
    }
    String name = scope(original);
    AttrValue axisType = original.getAttrOrThrow("Taxis");
    add(
        node(name + "/rank32", "Rank", original.getInput(0))
            .putAttr("T", original.getAttrOrThrow("Tparams")));
    add(
        node(name + "/rank", "Cast", name + "/rank32")
            .putAttr("SrcT", type(DataType.DT_INT32))
            .putAttr("DstT", axisType));
    // FloorMod leaves an axis alone that is not negative.
    add(
        node(name + "/axis", "FloorMod", original.getInput(2), name + "/rank")
            .putAttr("T", axisType));
    rewritten.add(original.toBuilder().setInput(2, name + "/axis").build());
  }

  /** {@code Gather} is {@code GatherV2} along axis 0. */
  private void gatherV1(NodeDef original) {
    String axis = scope(original) + "/axis";
    rewritten.add(integer(axis, 0));
    add(
        node(original.getName(), "GatherV2", original.getInput(0), original.getInput(1), axis)
            .addAllInput(GraphIndex.controlInputs(original))
            .putAttr("Tparams", original.getAttrOrThrow("Tparams"))
            .putAttr("Tindices", original.getAttrOrThrow("Tindices"))
            .putAttr("Taxis", type(DataType.DT_INT32)));
  }

  /** {@code Concat} takes the axis first, {@code ConcatV2} last. */
  private void concatV1(NodeDef original) {
    List<String> data = GraphIndex.dataInputs(original);
    add(
        node(original.getName(), "ConcatV2")
            .addAllInput(data.subList(1, data.size()))
            .addInput(data.get(0))
            .addAllInput(GraphIndex.controlInputs(original))
            .putAttr("N", original.getAttrOrThrow("N"))
            .putAttr("T", original.getAttrOrThrow("T"))
            .putAttr("Tidx", type(DataType.DT_INT32)));
  }

  /** Its gradient does not sum over broadcast dimensions, that of {@code BroadcastTo} does. */
  private void atan2(NodeDef original) {
    String name = scope(original);
    AttrValue t = original.getAttrOrThrow("T");
    AttrValue int32 = type(DataType.DT_INT32);
    for (int i = 0; i < 2; i++) {
      add(
          node(name + "/shape" + i, "Shape", original.getInput(i))
              .putAttr("T", t)
              .putAttr("out_type", int32));
    }
    add(
        node(name + "/shape", "BroadcastArgs", name + "/shape0", name + "/shape1")
            .putAttr("T", int32));
    NodeDef.Builder same = original.toBuilder();
    for (int i = 0; i < 2; i++) {
      add(
          node(name + "/input" + i, "BroadcastTo", original.getInput(i), name + "/shape")
              .putAttr("T", t)
              .putAttr("Tidx", int32));
      same.setInput(i, name + "/input" + i);
    }
    add(same);
  }

  /** Only the third version has a gradient; its first five outputs are those of the others. */
  private void fusedBatchNorm(NodeDef original) {
    NodeDef.Builder third = original.toBuilder().setOp("FusedBatchNormV3");
    if (!original.containsAttr("U")) {
      third.putAttr("U", type(DataType.DT_FLOAT));
    }
    add(third);
  }

  /** The gradient forgets dilations and explicit paddings: give the node one that does not. */
  private void convolution(NodeDef original) {
    if (!ConvolutionGradient.isNeeded(original)) {
      rewritten.add(original);
      return;
    }
    String scope = scope(original);
    AttrValue t = original.getAttrOrThrow("T");
    add(original.toBuilder().setName(scope + "/forward"));
    add(node(scope + "/output", "StopGradient", scope + "/forward").putAttr("T", t));
    AttrValue.ListValue types =
        AttrValue.ListValue.newBuilder().addAllType(Collections.nCopies(3, t.getType())).build();
    add(
        node(original.getName(), "IdentityN", scope + "/output")
            .addInput(original.getInput(0))
            .addInput(original.getInput(1))
            .putAttr("T", AttrValue.newBuilder().setList(types).build()));
    identityGradients.put(original.getName(), new ConvolutionGradient(original));
  }

  /** Where the new nodes of a rewritten one can go without meeting others. */
  private String scope(NodeDef original) {
    String scope = original.getName() + "/rewritten";
    while (index.find(scope).isPresent() || !scopes.add(scope)) {
      scope += "_";
    }
    return scope;
  }

  private void add(NodeDef.Builder node) {
    rewritten.add(node.build());
  }
}
