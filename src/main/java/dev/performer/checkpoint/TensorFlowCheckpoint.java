package dev.performer.checkpoint;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.tensorflow.Tensor;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph.TrackableObject;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph.TrackableObject.SerializedTensor;

/**
 * A checkpoint of TensorFlow: of objects (version 2; a SavedModel's variables are one too) or of
 * names (version 1). Tensors have the paths of objects, such as {@code
 * encoder/layer_with_weights-4/_attention_layer/_query_dense/kernel}; {@link #variable} has the
 * variables' own names.
 */
final class TensorFlowCheckpoint extends WeightFile {
  private static final String ATTRIBUTE = "/.ATTRIBUTES/VARIABLE_VALUE";
  private static final String SLOT = "/.OPTIMIZER_SLOT/";
  private static final String COPIES = "_all_variables/";
  private static final Pattern TRAINING =
      Pattern.compile(
          "(.*/)?(_?optimizer|keras_api|_all_variables|save_counter|_CHECKPOINTABLE_OBJECT_GRAPH"
              + "|global_step|step)(/.*)?");
  private static final Pattern TRAINING_NAME =
      Pattern.compile("(Adam\\w*|SGD|RMSprop|Adagrad|Adafactor|Ftrl|Lion|optimizer)/.*");

  private final CheckpointReader reader;
  private final Map<String, String> keys = new HashMap<>();

  private TensorFlowCheckpoint(Path prefix, CheckpointReader reader) {
    super(prefix, "TensorFlow " + (hasObjects(reader) ? 2 : 1) + " checkpoint", reader::close);
    this.reader = reader;
    Map<String, String> namesByKey = new HashMap<>();
    Set<String> slots = new HashSet<>();
    if (hasObjects(reader)) {
      readObjects(namesByKey, slots);
    }
    reader.entries().forEach((key, entry) -> add(key, entry, namesByKey.get(key), slots));
    dropSecondCopies();
  }

  private static boolean hasObjects(CheckpointReader reader) {
    return reader.entries().containsKey(CheckpointReader.OBJECT_GRAPH_KEY);
  }

  /** Whether a path is, or leads to, a checkpoint. */
  static boolean recognizes(Path path) {
    return CheckpointLocation.find(path).isPresent();
  }

  /**
   * Opens a checkpoint by its prefix, its {@code .index} or a data file, by a directory of
   * checkpoints (the newest is taken) or by a SavedModel.
   */
  static TensorFlowCheckpoint open(Path path) {
    Path prefix = CheckpointLocation.find(path).orElse(null);
    String none = "%s: expected the PREFIX of files PREFIX.index and PREFIX.data-00000-of-00001";
    PerformerException.require(prefix != null, none, path);
    CheckpointReader reader = CheckpointReader.open(prefix);
    try {
      return owning(reader::close, () -> new TensorFlowCheckpoint(prefix, reader));
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  private void readObjects(Map<String, String> namesByKey, Set<String> slots) {
    TrackableObjectGraph graph;
    try {
      graph = TrackableObjectGraph.parseFrom(reader.string(CheckpointReader.OBJECT_GRAPH_KEY));
    } catch (InvalidProtocolBufferException e) {
      throw new PerformerException("checkpoint " + path() + ": its object graph is damaged", e);
    }
    Set<Integer> slotNodes = new HashSet<>();
    for (TrackableObject object : graph.getNodesList()) {
      object.getSlotVariablesList().forEach(slot -> slotNodes.add(slot.getSlotVariableNodeId()));
    }
    for (int i = 0; i < graph.getNodesCount(); i++) {
      for (SerializedTensor tensor : graph.getNodes(i).getAttributesList()) {
        namesByKey.put(tensor.getCheckpointKey(), tensor.getFullName());
        if (slotNodes.contains(i)) {
          slots.add(tensor.getCheckpointKey());
        }
      }
    }
  }

  private void add(
      String key, CheckpointReader.Entry entry, String variableName, Set<String> slots) {
    ElementType type = ElementType.of(entry.type()).orElse(null);
    if (type == null) {
      return; // the object graph, strings, and what no layer has
    }
    String name =
        key.endsWith(ATTRIBUTE) ? key.substring(0, key.length() - ATTRIBUTE.length()) : key;
    keys.put(name, key);
    long[] shape = entry.shape().asArray();
    boolean isTraining =
        slots.contains(key)
            || key.contains(SLOT)
            || TRAINING.matcher(name).matches()
            || variableName != null && TRAINING_NAME.matcher(variableName).matches();
    (isTraining ? trainingState : tensors)
        .put(name, new Info(type.label(), shape, type.bytesOf(shape, path() + ", " + key)));
    if (variableName != null && !variableName.isEmpty()) {
      variableNames.put(name, variableName);
    }
  }

  /** Keras 3 exports every variable twice: the second copies were put with the training state. */
  private void dropSecondCopies() {
    if (tensors.isEmpty()) {
      tensors.putAll(trainingState);
      tensors.keySet().removeIf(name -> !name.contains(COPIES));
    }
    trainingState.keySet().removeIf(name -> name.contains(COPIES));
  }

  @Override
  NpyArray read(String name, Info info, String where) {
    try (Tensor tensor = reader.tensor(keys.get(name))) {
      return ElementType.of(info.type())
          .orElseThrow()
          .array(Tensors.bytes(tensor), info.shape(), where);
    }
  }
}
