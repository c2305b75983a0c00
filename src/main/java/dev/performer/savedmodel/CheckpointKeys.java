package dev.performer.savedmodel;

import com.google.protobuf.ByteString;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.FunctionInliner;
import dev.performer.graph.ResourceConversion;
import dev.performer.graph.StringTensors;
import dev.performer.graph.TensorNames;
import java.util.HashMap;
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
 * restore function, which is never run: it says so for TF1, TF2 and every Keras alike.
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
    Map<String, NodeDef> nodes = new HashMap<>();
    graph.getNodeList().forEach(node -> nodes.put(node.getName(), node));
    Map<String, Stored> keys = new LinkedHashMap<>();
    for (NodeDef node : graph.getNodeList()) {
      if (node.getOp().equals("AssignVariableOp")) {
        restored(node.getInput(1), nodes)
            .ifPresent(stored -> keys.putIfAbsent(TensorNames.node(node.getInput(0)), stored));
      }
    }
    return keys;
  }

  private static Optional<Stored> restored(String value, Map<String, NodeDef> nodes) {
    String reference = value;
    NodeDef producer = nodes.get(TensorNames.node(reference));
    while (producer != null && TRANSPARENT.contains(producer.getOp())) {
      reference = producer.getInput(0);
      producer = nodes.get(TensorNames.node(reference));
    }
    if (producer == null || !producer.getOp().equals("RestoreV2")) {
      return Optional.empty();
    }
    int index = TensorNames.index(reference);
    NodeDef slices = nodes.get(TensorNames.node(producer.getInput(2)));
    return string(nodes.get(TensorNames.node(producer.getInput(1))), index)
        .map(key -> new Stored(key, string(slices, index).orElse("")));
  }

  private static Optional<String> string(NodeDef constant, int index) {
    if (constant == null || !constant.getOp().equals("Const")) {
      return Optional.empty();
    }
    List<ByteString> strings = StringTensors.strings(constant.getAttrOrThrow("value").getTensor());
    return index < strings.size()
        ? Optional.of(strings.get(index).toStringUtf8())
        : Optional.empty();
  }
}
