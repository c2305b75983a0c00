package dev.performer.savedmodel;

import static dev.performer.graph.CheckpointReader.OBJECT_GRAPH_KEY;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.tensorflow.Tensor;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.SavedModel;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObjectGraph;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;

/**
 * Finds variables that a checkpoint holds twice. Keras 3 exports each variable as two objects with
 * the same name and value: one that the functions use, and one that Python lists.
 */
final class VariableCopies {
  private VariableCopies() {}

  private record Stored(String key, String name, boolean used) {}

  /**
   * From the key of each copy to the one of {@code keys} that it copies: same name, type, shape and
   * bytes, where not both are used by functions. What could be the copy of two is left out.
   */
  static Map<String, String> find(Path graphFile, CheckpointReader checkpoint, Set<String> keys) {
    if (!checkpoint.entries().containsKey(OBJECT_GRAPH_KEY)) {
      return Map.of();
    }
    Map<String, List<Stored>> byName =
        stored(graphFile, checkpoint).stream().collect(Collectors.groupingBy(Stored::name));
    Map<String, String> copies = new TreeMap<>();
    Set<String> ambiguous = new HashSet<>();
    for (List<Stored> namesakes : byName.values()) {
      for (Stored variable : namesakes) {
        for (Stored other : namesakes) {
          if (keys.contains(variable.key())
              && !keys.contains(other.key())
              && !(variable.used() && other.used())
              && equal(checkpoint, variable.key(), other.key())
              && copies.put(other.key(), variable.key()) != null) {
            ambiguous.add(other.key());
          }
        }
      }
    }
    copies.keySet().removeAll(ambiguous);
    return copies;
  }

  private static List<Stored> stored(Path graphFile, CheckpointReader checkpoint) {
    SavedObjectGraph objects;
    TrackableObjectGraph tracked;
    try {
      SavedModel model = SavedModel.parseFrom(RegularFiles.readAllBytes(graphFile));
      PerformerException.require(model.getMetaGraphsCount() > 0, "%s holds no graph", graphFile);
      objects = model.getMetaGraphs(0).getObjectGraphDef();
      tracked = TrackableObjectGraph.parseFrom(checkpoint.string(OBJECT_GRAPH_KEY));
    } catch (IOException e) {
      throw new PerformerException(graphFile + " cannot be read: " + AtomicFiles.describe(e), e);
    }
    Set<Integer> used = new HashSet<>();
    objects.getConcreteFunctionsMap().values().forEach(f -> used.addAll(f.getBoundInputsList()));
    Map<String, Stored> byKey = new TreeMap<>();
    for (int node = 0; node < tracked.getNodesCount(); node++) {
      for (var tensor : tracked.getNodes(node).getAttributesList()) {
        String key = tensor.getCheckpointKey();
        if (!tensor.getFullName().isEmpty() && checkpoint.entries().containsKey(key)) {
          byKey.put(key, new Stored(key, tensor.getFullName(), used.contains(node)));
        }
      }
    }
    return List.copyOf(byKey.values());
  }

  private static boolean equal(CheckpointReader checkpoint, String key, String other) {
    CheckpointReader.Entry entry = checkpoint.entry(key);
    CheckpointReader.Entry copy = checkpoint.entry(other);
    if (key.equals(other)
        || entry.type() == DataType.DT_STRING
        || entry.type() != copy.type()
        || !entry.shape().equals(copy.shape())) {
      return false;
    }
    try (Tensor a = checkpoint.tensor(key);
        Tensor b = checkpoint.tensor(other)) {
      return Arrays.equals(Tensors.bytes(a), Tensors.bytes(b));
    }
  }
}
