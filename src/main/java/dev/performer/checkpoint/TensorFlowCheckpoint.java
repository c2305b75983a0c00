package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.tensorflow.Tensor;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;

/**
 * A checkpoint of objects (TensorFlow 2; a SavedModel's variables are one too) or of names (1).
 * Tensors have the paths of objects; {@link #variable} has the variables' own names.
 */
final class TensorFlowCheckpoint extends WeightFile {
  private static final String ATTRIBUTE = "/\\.ATTRIBUTES/VARIABLE_VALUE$";
  private static final String COPIES = "_all_variables/";
  private static final Pattern TRAINING =
      Pattern.compile(
          "(.*/)?(_?optimizer|keras_api|_all_variables|save_counter|_CHECKPOINTABLE_OBJECT_GRAPH"
              + "|global_step|step)(/.*)?|.*/\\.OPTIMIZER_SLOT/.*");
  private static final Pattern TRAINING_NAME =
      Pattern.compile("(Adam\\w*|SGD|RMSprop|Adagrad|Adafactor|Ftrl|Lion|optimizer)/.*");
  private static final Pattern STATE =
      Pattern.compile("(?m)^\\s*model_checkpoint_path:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"");
  private static final Pattern PART = Pattern.compile("(.*)\\.(index|data-\\d{5}-of-\\d{5})");
  private static final Pattern INDEX = Pattern.compile("(?s)(?!\\.index$).*?(\\d*)\\.index");

  /** Of {@code DIR/.index}, whose prefix {@code DIR/} is no path. */
  private static final String NAMELESS = ".";

  private static final long LONGEST_STATE = 1 << 22;

  private final CheckpointReader reader;
  private final Map<String, String> keys = new HashMap<>();

  private TensorFlowCheckpoint(Path prefix, CheckpointReader reader) {
    super(prefix, "TensorFlow " + (hasObjects(reader) ? 2 : 1) + " checkpoint", reader::close);
    this.reader = reader;
    Set<String> slots = new HashSet<>();
    Map<String, String> variables = hasObjects(reader) ? readObjects(slots) : Map.of();
    reader.entries().forEach((key, entry) -> add(key, entry, variables.get(key), slots));
    // Keras 3 exports every variable twice: the second copies were put with the training state.
    if (tensors.isEmpty()) {
      tensors.putAll(trainingState);
      tensors.keySet().removeIf(name -> !name.contains(COPIES));
    }
    trainingState.keySet().removeIf(name -> name.contains(COPIES));
  }

  private static boolean hasObjects(CheckpointReader reader) {
    return reader.entries().containsKey(CheckpointReader.OBJECT_GRAPH_KEY);
  }

  /** By prefix, {@code .index} or data file, directory (the newest is taken) or SavedModel. */
  static TensorFlowCheckpoint open(Path path) {
    Path prefix = find(path).orElse(null);
    String none = "%s: expected the PREFIX of files PREFIX.index and PREFIX.data-00000-of-00001";
    require(prefix != null, none, path);
    CheckpointReader reader = CheckpointReader.open(prefix);
    try {
      return owning(reader::close, source -> new TensorFlowCheckpoint(prefix, reader));
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  /** The variables' own names by keys; finds the keys of an optimizer's slots, too. */
  private Map<String, String> readObjects(Set<String> slots) {
    TrackableObjectGraph graph;
    try {
      graph = TrackableObjectGraph.parseFrom(reader.string(CheckpointReader.OBJECT_GRAPH_KEY));
    } catch (InvalidProtocolBufferException e) {
      throw new PerformerException("checkpoint " + path() + ": its object graph is damaged", e);
    }
    Set<Integer> slotNodes = new HashSet<>();
    for (var object : graph.getNodesList()) {
      object.getSlotVariablesList().forEach(slot -> slotNodes.add(slot.getSlotVariableNodeId()));
    }
    Map<String, String> variables = new HashMap<>();
    for (int i = 0; i < graph.getNodesCount(); i++) {
      for (var tensor : graph.getNodes(i).getAttributesList()) {
        variables.put(tensor.getCheckpointKey(), tensor.getFullName());
        if (slotNodes.contains(i)) {
          slots.add(tensor.getCheckpointKey());
        }
      }
    }
    return variables;
  }

  private void add(String key, CheckpointReader.Entry entry, String variable, Set<String> slots) {
    ElementType type = ElementType.of(entry.type()).orElse(null);
    if (type == null) {
      return; // the object graph, strings, and what no layer has
    }
    String name = key.replaceFirst(ATTRIBUTE, "");
    keys.put(name, key);
    boolean isTraining =
        slots.contains(key)
            || TRAINING.matcher(name).matches()
            || variable != null && TRAINING_NAME.matcher(variable).matches();
    Info info = type.info(entry.shape().asArray(), path() + ", " + key);
    (isTraining ? trainingState : tensors).put(name, info);
    if (variable != null && !variable.isEmpty()) {
      variableNames.put(name, variable);
    }
  }

  @Override
  NpyArray read(String name, Info info, String where) {
    try (Tensor tensor = reader.tensor(keys.get(name))) {
      ElementType type = ElementType.of(info.type()).orElseThrow();
      return type.array(Tensors.bytes(tensor), info.shape(), where);
    }
  }

  /** The prefix, if the path is, or leads to, a checkpoint. */
  static Optional<Path> find(Path path) {
    if (Files.isDirectory(path)) {
      Path variables = path.resolve("variables/variables");
      return CheckpointReader.exists(variables)
          ? Optional.of(variables)
          : fromState(path.resolve("checkpoint"))
              .or(() -> newest(path, TensorFlowCheckpoint::number).flatMap(p -> find(p)))
              .or(() -> Optional.of(path.resolve(NAMELESS)).filter(CheckpointReader::exists));
    }
    Matcher part = PART.matcher(String.valueOf(path.getFileName()));
    if (part.matches()) {
      return Optional.of(path.resolveSibling(part.group(1).isEmpty() ? NAMELESS : part.group(1)));
    }
    Path data = path.resolveSibling(path.getFileName() + ".data-00000-of-00001");
    if (CheckpointReader.exists(path) || Files.isRegularFile(data)) {
      return Optional.of(path);
    }
    return path.endsWith("checkpoint") ? fromState(path) : Optional.empty();
  }

  private static Optional<Path> fromState(Path state) {
    try {
      if (!Files.isRegularFile(state) || Files.size(state) > LONGEST_STATE) {
        return Optional.empty();
      }
      Matcher matcher =
          STATE.matcher(new String(Files.readAllBytes(state), StandardCharsets.UTF_8));
      if (!matcher.find()) {
        return Optional.empty();
      }
      String text = matcher.group(1).replaceAll("\\\\(.)", "$1");
      Path named = Path.of(text.endsWith("/") ? text + NAMELESS : text);
      // An absolute path is where the checkpoint was written, perhaps on another machine.
      Path place = named.isAbsolute() && named.getNameCount() > 0 ? named.getFileName() : named;
      Path prefix = state.resolveSibling(place);
      boolean isInside = prefix.normalize().startsWith(state.resolveSibling("").normalize());
      require(isInside, "%s names a checkpoint outside of its folder; name that one itself", state);
      String missing = "%s names the checkpoint %s, but %s.index is missing";
      String shown = Excerpt.of(named.toString());
      require(CheckpointReader.exists(prefix), missing, state, shown, prefix);
      return Optional.of(prefix);
    } catch (InvalidPathException e) {
      throw new PerformerException(state + " names a checkpoint by what is no path", e);
    } catch (IOException e) {
      throw unreadable(state, e);
    }
  }

  /** The number at the end of an index's name, -1 for none; null for what is no index. */
  private static BigInteger number(Path file) {
    Matcher index = INDEX.matcher(file.getFileName().toString());
    String digits = index.matches() ? index.group(1) : null;
    return digits == null ? null : new BigInteger(digits.isEmpty() ? "-1" : digits);
  }
}
