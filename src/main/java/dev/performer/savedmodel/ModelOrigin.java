package dev.performer.savedmodel;

import java.nio.file.Files;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph.TrackableObject.ObjectReference;

/** Guesses which software made a SavedModel from the traces it leaves. */
final class ModelOrigin {
  /** Layer names in the scopes of nodes, and whose they are. */
  private static final Map<String, String> LAYERS =
      Map.of(
          "kernel_attention", "Model Garden KernelAttention",
          "transformer_scaffold", "Model Garden TransformerScaffold",
          "favor", "FAVOR+ attention");

  // Those that SavedModelExporter puts at the root.
  private static final Set<String> LISTS =
      Set.of("variables", "trainable_variables", "non_trainable_variables");

  private ModelOrigin() {}

  /** One line, such as {@code Keras 2; Model Garden KernelAttention}. */
  static String of(SavedModelDirectory directory) {
    var library = directory.metaGraph().getGraphDef().getLibrary();
    Set<String> traces = new TreeSet<>();
    for (FunctionDef function : library.getFunctionList()) {
      LAYERS.forEach(
          (layer, origin) -> {
            if (function.getNodeDefList().stream().anyMatch(n -> n.getName().contains(layer))) {
              traces.add(origin);
            }
          });
    }
    String writer = writer(directory);
    return traces.isEmpty() ? writer : writer + "; " + String.join(", ", traces);
  }

  private static String writer(SavedModelDirectory directory) {
    var objects = directory.metaGraph().getObjectGraphDef().getNodesList();
    if (objects.isEmpty()) {
      return "TensorFlow 1 or a session (no object graph)";
    }
    if (objects.stream()
        .anyMatch(object -> object.getUserObject().getIdentifier().startsWith("_tf_keras_"))) {
      return Files.exists(directory.path().resolve("keras_metadata.pb"))
          ? "Keras 2"
          : "TensorFlow 2 module with Keras 2 layers";
    }
    Set<String> children =
        objects.get(0).getChildrenList().stream()
            .map(ObjectReference::getLocalName)
            .collect(Collectors.toSet());
    if (children.contains("_all_variables")) {
      return "Keras 3";
    }
    return children.containsAll(LISTS) ? "Performer for Java" : "TensorFlow 2 module";
  }
}
