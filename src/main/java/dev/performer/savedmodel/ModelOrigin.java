package dev.performer.savedmodel;

import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObjectGraph;

/** Guesses which software made a SavedModel from the traces it leaves. */
final class ModelOrigin {
  /** Layer names in the scopes of nodes, and whose they are. */
  private static final Map<String, String> LAYERS =
      Map.of(
          "kernel_attention", "Model Garden KernelAttention",
          "transformer_scaffold", "Model Garden TransformerScaffold",
          "favor", "FAVOR+ attention");

  private ModelOrigin() {}

  /** One line, such as {@code Keras 2; Model Garden KernelAttention}. */
  static String of(SavedModelDirectory directory) {
    MetaGraphDef metaGraph = directory.metaGraph();
    Set<String> traces = new TreeSet<>();
    for (FunctionDef function : metaGraph.getGraphDef().getLibrary().getFunctionList()) {
      for (NodeDef node : function.getNodeDefList()) {
        LAYERS.forEach(
            (layer, origin) -> {
              if (node.getName().contains(layer)) {
                traces.add(origin);
              }
            });
      }
    }
    String writer = writer(directory, metaGraph.getObjectGraphDef());
    return traces.isEmpty() ? writer : writer + "; " + String.join(", ", traces);
  }

  private static String writer(SavedModelDirectory directory, SavedObjectGraph objects) {
    if (objects.getNodesCount() == 0) {
      return "TensorFlow 1 or a session (no object graph)";
    }
    List<String> classes = directory.objects().userObjects();
    if (classes.stream().anyMatch(name -> name.startsWith("_tf_keras_"))) {
      return Files.exists(directory.path().resolve("keras_metadata.pb"))
          ? "Keras 2"
          : "TensorFlow 2 module with Keras 2 layers";
    }
    Set<String> children =
        objects.getNodes(0).getChildrenList().stream()
            .map(child -> child.getLocalName())
            .collect(Collectors.toSet());
    if (children.contains("_all_variables")) {
      return "Keras 3";
    }
    // The lists that SavedModelExporter puts at the root.
    boolean ours =
        children.containsAll(Set.of("variables", "trainable_variables", "non_trainable_variables"));
    return ours ? "Performer for Java" : "TensorFlow 2 module";
  }
}
