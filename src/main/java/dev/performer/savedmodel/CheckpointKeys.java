package dev.performer.savedmodel;

import dev.performer.graph.FunctionInliner;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.ResourceConversion;
import dev.performer.graph.TensorNames;
import dev.performer.graph.TensorProtos;
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

  static final Stored NOT_STORED = new Stored("", "");

  private CheckpointKeys() {}

  /** By the name of the node that makes the variable's handle. */
  static Map<String, Stored> of(MetaGraphDef metaGraph) {
    String restore = TensorNames.node(metaGraph.getSaverDef().getRestoreOpName());
    if (restore.isEmpty()) {
      return Map.of();
    }
    var flat = FunctionInliner.inline(metaGraph.getGraphDef(), List.of("^" + restore));
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
    NodeDef restore = index.find(source).orElse(NodeDef.getDefaultInstance());
    if (!restore.getOp().equals("RestoreV2")) {
      return Optional.empty();
    }
    int output = TensorNames.index(source);
    String slice = string(restore.getInput(2), output, index).orElse("");
    return string(restore.getInput(1), output, index).map(key -> new Stored(key, slice));
  }

  private static Optional<String> string(String constant, int number, GraphIndex index) {
    return index
        .find(constant)
        .filter(node -> node.getOp().equals("Const"))
        .map(node -> TensorProtos.strings(node.getAttrOrThrow("value").getTensor()))
        .filter(strings -> number < strings.size())
        .map(strings -> strings.get(number).toStringUtf8());
  }
}
