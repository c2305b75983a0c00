package dev.performer.savedmodel.softmax;

import com.google.protobuf.ByteString;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.TensorNames;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.types.TFloat32;

/** A graph in which some products of weights and values are other nodes' results. */
final class Swap {
  private static final AttrValue FLOAT = GraphProtos.type(DataType.DT_FLOAT);

  /**
   * What takes the place of one.
   *
   * @param nodes with placeholders
   * @param given what its placeholders stand for, by their nodes
   * @param projection the placeholder of a projection, or null
   * @param out its result
   * @param type of the result
   * @param layer whose projection it is
   * @param matrix the projection, or null
   */
  record Part(
      GraphDef nodes,
      Map<String, String> given,
      String projection,
      String out,
      DataType type,
      int layer,
      ProjectionMatrix matrix) {}

  private final GraphDef original;
  private final String scope;
  private final Map<String, NodeDef> replaced = new HashMap<>();
  private final List<NodeDef> added = new ArrayList<>();
  private final Set<Integer> projections = new HashSet<>();

  Swap(GraphDef original) {
    this.original = original;
    String free = "linear_attention";
    GraphIndex index = new GraphIndex(original.getNodeList());
    Set<String> tops = new HashSet<>();
    original.getNodeList().forEach(node -> tops.add(node.getName().replaceFirst("/.*", "")));
    while (index.find(free).isPresent() || tops.contains(free)) {
      free += "_";
    }
    scope = free;
  }

  /** A placeholder for a projection. */
  static Operand<TFloat32> projection(Ops tf, ProjectionMatrix matrix) {
    return tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(matrix.shape())));
  }

  /** The node of a layer's variable. */
  String handle(int layer) {
    return scope + "/" + layer + "/variable";
  }

  void put(Site site, Part part) {
    String in = scope + "/site_" + replaced.size() + "/";
    Map<String, String> given = new HashMap<>(part.given());
    if (part.projection() != null) {
      given.put(part.projection(), variable(part));
    }
    for (NodeDef node : part.nodes().getNodeList()) {
      if (!given.containsKey(node.getName())) {
        NodeDef.Builder copy = node.toBuilder().setName(in + node.getName()).clearInput();
        node.getInputList().forEach(input -> copy.addInput(renamed(input, in, given)));
        added.add(copy.build());
      }
    }
    replaced.put(
        site.out(),
        GraphProtos.node(site.out(), "Identity", in + part.out())
            .putAttr("T", GraphProtos.type(part.type()))
            .build());
  }

  private static String renamed(String input, String in, Map<String, String> given) {
    String node = TensorNames.node(input);
    String control = TensorNames.isControl(input) ? "^" : "";
    String reference = given.get(node);
    if (reference == null) {
      return control + in + input.substring(control.length());
    }
    return control.isEmpty() ? reference : "^" + TensorNames.node(reference);
  }

  /** Reads a layer's variable, which is added once. */
  private String variable(Part part) {
    String handle = handle(part.layer());
    if (projections.add(part.layer())) {
      var shared = ByteString.copyFromUtf8(ImportedAttention.projectionOf(part.layer()));
      var shape = GraphProtos.shape(Shape.of(part.matrix().shape()));
      added.add(
          GraphProtos.node(handle, "VarHandleOp")
              .putAttr("dtype", FLOAT)
              .putAttr("shape", AttrValue.newBuilder().setShape(shape).build())
              .putAttr("shared_name", AttrValue.newBuilder().setS(shared).build())
              .build());
      added.add(
          GraphProtos.node(handle + "_read", "ReadVariableOp", handle)
              .putAttr("dtype", FLOAT)
              .build());
    }
    return handle + "_read";
  }

  /** Without what nothing needs any more. */
  GraphDef graph() {
    GraphDef.Builder whole = original.toBuilder().clearNode();
    for (NodeDef node : original.getNodeList()) {
      NodeDef other = replaced.get(node.getName());
      whole.addNode(other != null ? other : node.toBuilder().removeAttr("_output_shapes").build());
    }
    return whole.addAllNode(added).build();
  }
}
