package dev.performer.checkpoint;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.tensorflow.Tensor;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph.TrackableObject;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph.TrackableObject.SerializedTensor;

/**
 * A checkpoint of TensorFlow: of objects (version 2; a SavedModel's variables are one too) or of
 * names (version 1). Tensors have the paths of objects, such as {@code
 * encoder/layer_with_weights-4/_attention_layer/_query_dense/kernel}; {@link #variable} has the
 * variables' own names.
 */
public final class TensorFlowCheckpoint extends OpenedWeights {
  private static final String ATTRIBUTE = "/.ATTRIBUTES/VARIABLE_VALUE";
  private static final String SLOT = "/.OPTIMIZER_SLOT/";
  private static final Pattern TRAINING =
      Pattern.compile(
          "(.*/)?(_?optimizer|keras_api|_all_variables|save_counter|_CHECKPOINTABLE_OBJECT_GRAPH"
              + "|global_step|step)(/.*)?");
  private static final Pattern TRAINING_NAME =
      Pattern.compile("(Adam\\w*|SGD|RMSprop|Adagrad|Adafactor|Ftrl|Lion|optimizer)/.*");

  private static final Map<DataType, ElementType> TYPES =
      Map.ofEntries(
          Map.entry(DataType.DT_DOUBLE, ElementType.FLOAT64),
          Map.entry(DataType.DT_FLOAT, ElementType.FLOAT32),
          Map.entry(DataType.DT_HALF, ElementType.FLOAT16),
          Map.entry(DataType.DT_BFLOAT16, ElementType.BFLOAT16),
          Map.entry(DataType.DT_INT64, ElementType.INT64),
          Map.entry(DataType.DT_INT32, ElementType.INT32),
          Map.entry(DataType.DT_INT16, ElementType.INT16),
          Map.entry(DataType.DT_INT8, ElementType.INT8),
          Map.entry(DataType.DT_UINT8, ElementType.UINT8),
          Map.entry(DataType.DT_BOOL, ElementType.BOOL));

  private final Path prefix;
  private final CheckpointReader reader;
  private final Map<String, String> keys = new HashMap<>();
  private final Map<String, String> variableNames = new HashMap<>();

  private TensorFlowCheckpoint(Path prefix, CheckpointReader reader) {
    super(prefix, hasObjects(reader) ? "TensorFlow 2 checkpoint" : "TensorFlow 1 checkpoint");
    this.prefix = prefix;
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
  public static boolean recognizes(Path path) {
    return CheckpointLocation.find(path).isPresent();
  }

  /**
   * Opens a checkpoint.
   *
   * @param path its prefix, its {@code .index} or a data file, a directory of checkpoints (the
   *     newest is taken) or a SavedModel
   * @throws PerformerException if there is none, or it is not whole
   */
  public static TensorFlowCheckpoint open(Path path) {
    Path prefix =
        CheckpointLocation.find(path)
            .orElseThrow(
                () ->
                    new PerformerException(
                        path
                            + ": no TensorFlow checkpoint there; expected a prefix, of which there"
                            + " are PREFIX.index and PREFIX.data-00000-of-00001"));
    CheckpointReader reader = CheckpointReader.open(prefix);
    try {
      return new TensorFlowCheckpoint(prefix, reader);
    } catch (RuntimeException e) {
      reader.close();
      throw e;
    }
  }

  private void readObjects(Map<String, String> namesByKey, Set<String> slots) {
    TrackableObjectGraph graph;
    try {
      graph = TrackableObjectGraph.parseFrom(reader.string(CheckpointReader.OBJECT_GRAPH_KEY));
    } catch (InvalidProtocolBufferException e) {
      throw new PerformerException("checkpoint " + prefix + ": its object graph is damaged", e);
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
    ElementType type = TYPES.get(entry.type());
    if (type == null) {
      return; // the object graph, strings, and what no layer has
    }
    String name =
        key.endsWith(ATTRIBUTE) ? key.substring(0, key.length() - ATTRIBUTE.length()) : key;
    keys.put(name, key);
    long[] shape = entry.shape().asArray();
    Info info = new Info(type.label(), shape, type.bytesOf(shape, prefix + ", " + key));
    boolean isTraining =
        slots.contains(key)
            || key.contains(SLOT)
            || TRAINING.matcher(name).matches()
            || variableName != null && TRAINING_NAME.matcher(variableName).matches();
    (isTraining ? trainingState : tensors).put(name, info);
    if (variableName != null && !variableName.isEmpty()) {
      variableNames.put(name, variableName.replaceFirst(":0$", ""));
    }
  }

  /** Keras 3 exports every variable twice: the second copies were put with the training state. */
  private void dropSecondCopies() {
    if (tensors.isEmpty()) {
      trainingState.entrySet().stream()
          .filter(e -> e.getKey().contains("_all_variables/"))
          .forEach(e -> tensors.put(e.getKey(), e.getValue()));
    }
    trainingState.keySet().removeIf(name -> name.contains("_all_variables/"));
  }

  @Override
  public String variable(String tensor) {
    return variableNames.getOrDefault(tensor, tensor);
  }

  @Override
  public NpyArray read(String name) {
    Info info = tensors.getOrDefault(name, trainingState.get(name));
    if (info == null) {
      throw new PerformerException("checkpoint " + prefix + " has no tensor " + name);
    }
    String key = keys.get(name);
    ElementType type = TYPES.get(reader.entry(key).type());
    if (info.bytes() > Integer.MAX_VALUE - 16) {
      throw new PerformerException(
          "checkpoint " + prefix + ", " + name + ": above the 2 GiB that one tensor may have");
    }
    try (Tensor tensor = reader.tensor(key)) {
      return type.array(Tensors.bytes(tensor), info.shape(), prefix + ", " + name);
    }
  }

  @Override
  public void close() {
    reader.close();
  }
}
