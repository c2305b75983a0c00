package dev.performer.savedmodel;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.PerformerException;
import dev.performer.graph.CheckpointReader;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;

/** The names that a TF2 checkpoint's own object graph gives to its keys. */
final class CheckpointNames {
  private CheckpointNames() {}

  /** Full variable names by checkpoint key. @throws PerformerException if it cannot be read */
  static Map<String, String> read(Path prefix) {
    Map<String, String> names = new LinkedHashMap<>();
    try (CheckpointReader reader = CheckpointReader.open(prefix)) {
      var objects =
          TrackableObjectGraph.parseFrom(reader.string(CheckpointReader.OBJECT_GRAPH_KEY));
      for (var node : objects.getNodesList()) {
        for (var attribute : node.getAttributesList()) {
          names.put(attribute.getCheckpointKey(), attribute.getFullName());
        }
      }
      return names;
    } catch (InvalidProtocolBufferException e) {
      throw new PerformerException(
          prefix + ": the checkpoint's object graph cannot be read: " + e.getMessage(), e);
    }
  }
}
