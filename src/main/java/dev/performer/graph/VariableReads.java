package dev.performer.graph;

import static dev.performer.graph.GraphProtos.INT32;
import static dev.performer.graph.GraphProtos.node;

import java.util.List;
import java.util.Set;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.NodeDef;

/** Ops that take a variable's handle and do not change the variable. */
final class VariableReads {
  private static final Set<String> READS =
      Set.of("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape");
  private static final Set<String> HARMLESS =
      Set.of("Identity", "VarIsInitializedOp", "DisableCopyOnRead");

  private VariableReads() {}

  /** Whether a node needs nothing of the variable but its value. */
  static boolean isRead(NodeDef node) {
    return READS.contains(node.getOp());
  }

  static boolean leaveAsItIs(NodeDef node) {
    return isRead(node) || HARMLESS.contains(node.getOp());
  }

  /** A read as nodes of one name that take the value from elsewhere. */
  static List<NodeDef> ofValue(NodeDef read, String value, AttrValue type) {
    NodeDef.Builder same = node(read.getName(), "", value);
    same.addAllInput(read.getInputList().subList(1, read.getInputCount()));
    AttrValue indices = read.getAttrOrDefault("Tindices", INT32);
    switch (read.getOp()) {
      case "ReadVariableOp" -> same.setOp("Identity").putAttr("T", type);
      case "VariableShape" ->
          same.setOp("Shape")
              .putAttr("T", type)
              .putAttr("out_type", read.getAttrOrDefault("out_type", INT32));
      case "ResourceGatherNd" ->
          same.setOp("GatherNd").putAttr("Tparams", type).putAttr("Tindices", indices);
      default -> {
        var none = AttrValue.newBuilder().setI(0).build();
        AttrValue batch = read.getAttrOrDefault("batch_dims", none);
        String axis = read.getName() + "/axis";
        same.setOp("GatherV2").clearInput().addInput(value).addInput(read.getInput(1));
        same.addInput(axis).addAllInput(GraphIndex.controlInputs(read));
        same.putAttr("batch_dims", batch);
        same.putAttr("Tparams", type).putAttr("Tindices", indices).putAttr("Taxis", INT32);
        return List.of(
            GraphProtos.ints(axis, Shape.scalar(), (int) batch.getI()).build(), same.build());
      }
    }
    return List.of(same.build());
  }
}
