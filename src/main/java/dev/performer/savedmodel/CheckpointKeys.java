package dev.performer.savedmodel;

import com.google.protobuf.ByteString;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.FunctionInliner;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.ResourceConversion;
import dev.performer.graph.StringTensors;
import dev.performer.graph.TensorNames;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Under which key a SavedModel's {@code variables/} holds each variable, read off the model's own
 * restore function, which is never run: it names the keys for TF1, TF2 and every Keras alike.
 */
final class CheckpointKeys {
  private static final Set<String> TRANSPARENT = Set.of("Identity", "Cast");

  /** A key and the part of its tensor. */
  record Stored(String key, String slice) {}

  private CheckpointKeys() {}

  /** By the name of the node that makes the variable's handle. */
  static Map<String, Stored> of(MetaGraphDef metaGraph) {
    String restore = TensorNames.node(metaGraph.getSaverDef().getRestoreOpName());
    if (restore.isEmpty()) {
      return Map.of();
    }
    FlatGraph flat = FunctionInliner.inline(metaGraph.getGraphDef(), List.of("^" + restore));
    GraphDef graph = ResourceConversion.apply(flat.graph());
    GraphIndex index = new GraphIndex(graph.getNodeList());
    Map<String, Stored> keys = new LinkedHashMap<>();
    for (NodeDef node : graph.getNodeList()) {
      if (node.getOp().equals("AssignVariableOp")) {
        restored(node.getInput(1), index)
            .ifPresent(stored -> keys.putIfAbsent(TensorNames.node(node.getInput(0)), stored));
      }
    }
    return keys;
  }

  private static Optional<Stored> restored(String value, GraphIndex index) {
    String source = index.source(value, TRANSPARENT);
    Optional<NodeDef> restore = index.find(source).filter(n -> n.getOp().equals("RestoreV2"));
    if (restore.isEmpty()) {
      return Optional.empty();
    }
    int output = TensorNames.index(source);
    Optional<NodeDef> keys = index.find(restore.get().getInput(1));
    Optional<NodeDef> slices = index.find(restore.get().getInput(2));
    return keys.flatMap(node -> string(node, output))
        .map(key -> new Stored(key, slices.flatMap(node -> string(node, output)).orElse("")));
  }

  private static Optional<String> string(NodeDef constant, int index) {
    if (!constant.getOp().equals("Const")) {
      return Optional.empty();
    }
    List<ByteString> strings = StringTensors.strings(constant.getAttrOrThrow("value").getTensor());
    return index < strings.size()
        ? Optional.of(strings.get(index).toStringUtf8())
        : Optional.empty();
  }
}
