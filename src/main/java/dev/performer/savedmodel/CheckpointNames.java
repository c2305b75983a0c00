package dev.performer.savedmodel;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;
import org.tensorflow.types.TString;

/** The names that a TF2 checkpoint's own object graph gives to its keys. */
final class CheckpointNames {
  /** The key under which every TF2 checkpoint stores its object graph. */
  static final String OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH";

  private CheckpointNames() {}

  /** Full variable names by checkpoint key. @throws PerformerException if it cannot be read */
  static Map<String, String> read(Path prefix) {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      var stored =
          tf.scope()
              .opBuilder("RestoreV2", "RestoreV2")
              .addInput(tf.constant(prefix.toString()).asOutput())
              .addInput(VariableRestore.strings(tf, List.of(OBJECT_GRAPH)))
              .addInput(VariableRestore.strings(tf, List.of("")))
              .setAttr("dtypes", new DataType[] {DataType.DT_STRING})
              .build();
      try (Session session = new Session(graph);
          Result result = session.runner().fetch(stored.output(0)).run()) {
        return names(((TString) result.get(0)).asBytes().getObject());
      }
    } catch (InvalidProtocolBufferException | RuntimeException e) {
      throw new PerformerException(
          prefix + ": the checkpoint's object graph cannot be read: " + NativeErrors.firstLine(e),
          e);
    }
  }

  private static Map<String, String> names(byte[] bytes) throws InvalidProtocolBufferException {
    Map<String, String> names = new LinkedHashMap<>();
    for (var node : TrackableObjectGraph.parseFrom(bytes).getNodesList()) {
      for (var attribute : node.getAttributesList()) {
        names.put(attribute.getCheckpointKey(), attribute.getFullName());
      }
    }
    return names;
  }
}
