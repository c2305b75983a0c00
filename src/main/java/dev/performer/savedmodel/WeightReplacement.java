package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;
import static dev.performer.graph.CheckpointReader.OBJECT_GRAPH_KEY;
import static dev.performer.savedmodel.SavedModelDirectory.CHECKPOINT;
import static dev.performer.savedmodel.SavedModelDirectory.GRAPH_FILE;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.SinglePrecision;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.NdArrays;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FingerprintDef;
import org.tensorflow.proto.SavedModel;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TString;

/**
 * Writes an imported SavedModel with new weights: every file of the original except {@code
 * variables/}, whose checkpoint gets the values of a session under the keys that were trained and
 * keeps all others bit for bit. So all signatures, Keras layers and training functions survive.
 *
 * <p>Where Python stored a variable twice (Keras 3 does), both get the new value. The checkpoint's
 * hash in {@code fingerprint.pb} is computed anew; the others are of files that stay.
 */
public final class WeightReplacement {
  /** Checkpoint keys with the session's values, of second copies of those, and with old values. */
  public record Report(List<String> replaced, List<String> copies, List<String> kept) {}

  private final Path original;
  private ModelCard card;
  private boolean replace;

  private WeightReplacement(Path original) {
    this.original = original;
  }

  public static WeightReplacement of(Path original) {
    boolean hasGraph = Files.isRegularFile(original.resolve(GRAPH_FILE));
    require(hasGraph, "%s is not a SavedModel: it has no %s", original, GRAPH_FILE);
    if (!CheckpointReader.exists(original.resolve(CHECKPOINT))) {
      try {
        SavedModelDirectory.open(original); // fine where the graph has no variables either
      } catch (PerformerException e) {
        throw new PerformerException(
            original + " has no variables to replace: " + CHECKPOINT + ".index is missing", e);
      }
    }
    return new WeightReplacement(original);
  }

  public WeightReplacement card(ModelCard description) {
    card = description;
    return this;
  }

  public WeightReplacement replaceExisting() {
    replace = true;
    return this;
  }

  /**
   * Writes the model with a session's values, by the variables' checkpoint keys in the original; no
   * variables make a copy.
   *
   * @throws PerformerException listing variables that do not fit the original, or if the target is
   *     taken or cannot be written; nothing has changed then
   */
  public Report export(Session session, List<Variable> variables, Path target) {
    requireApart(target);
    if (variables.isEmpty()) {
      OutputDirectory.write(target, replace, card, staging -> copyFiles(staging, file -> true));
      return new Report(List.of(), List.of(), List.of());
    }
    try (CheckpointReader reader = CheckpointReader.open(original.resolve(CHECKPOINT))) {
      var asStored = variables.stream().map(variable -> asStored(variable, reader)).toList();
      reader.requireFit(asStored, "these weights are not of " + original);
      Map<String, Variable> values = new LinkedHashMap<>();
      variables.forEach(variable -> values.put(variable.checkpointKey(), variable));
      List<String> replaced = List.copyOf(values.keySet());
      var copies = copies(original.resolve(GRAPH_FILE), reader, values.keySet());
      copies.forEach((copy, key) -> values.put(copy, values.get(key)));
      List<String> kept = new ArrayList<>(reader.entries().keySet());
      kept.removeAll(values.keySet());
      OutputDirectory.Writer writer =
          staging -> {
            copyFiles(staging, this::isKept);
            saveCheckpoint(session, values, kept, reader, staging.resolve(CHECKPOINT));
            updateFingerprint(staging);
          };
      OutputDirectory.write(target, replace, card, writer);
      return new Report(replaced, List.copyOf(copies.keySet()), List.copyOf(kept));
    }
  }

  /** Half precision is computed in float32 and stored as it was. */
  private static Variable asStored(Variable variable, CheckpointReader reader) {
    CheckpointReader.Entry entry = reader.entries().get(variable.checkpointKey());
    boolean isNarrower = entry != null && SinglePrecision.isNarrow(entry.type());
    return isNarrower && variable.type() == TFloat32.class
        ? variable.withType(Tensors.javaType(entry.type()))
        : variable;
  }

  private void requireApart(Path target) {
    Path from = original.toAbsolutePath().normalize();
    Path to = target.toAbsolutePath().normalize();
    boolean isInside = !from.equals(to) && (from.startsWith(to) || to.startsWith(from));
    require(!isInside, "%s and %s lie inside one another", target, original);
  }

  private record Stored(String key, String name, boolean used) {}

  /**
   * From the key of each copy in the checkpoint to the one of {@code keys} that it copies: Keras 3
   * exports each variable as two objects, one that the functions use and one that Python lists.
   * Same name, type, shape and bytes, not both used by functions; copies of two keys are left out.
   */
  static Map<String, String> copies(Path graphFile, CheckpointReader checkpoint, Set<String> keys) {
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
          if (keys.contains(variable.key)
              && !keys.contains(other.key)
              && !(variable.used && other.used)
              && equal(checkpoint, variable.key, other.key)
              && copies.put(other.key, variable.key) != null) {
            ambiguous.add(other.key);
          }
        }
      }
    }
    copies.keySet().removeAll(ambiguous);
    return copies;
  }

  private static Collection<Stored> stored(Path graphFile, CheckpointReader checkpoint) {
    Set<Integer> used = new HashSet<>();
    Map<String, Stored> byKey = new TreeMap<>();
    try {
      SavedModel model = SavedModel.parseFrom(RegularFiles.readAllBytes(graphFile));
      require(model.getMetaGraphsCount() > 0, "%s holds no graph", graphFile);
      var functions = model.getMetaGraphs(0).getObjectGraphDef().getConcreteFunctionsMap();
      functions.values().forEach(f -> used.addAll(f.getBoundInputsList()));
      var tracked = TrackableObjectGraph.parseFrom(checkpoint.string(OBJECT_GRAPH_KEY));
      for (int node = 0; node < tracked.getNodesCount(); node++) {
        for (var tensor : tracked.getNodes(node).getAttributesList()) {
          String key = tensor.getCheckpointKey();
          if (!tensor.getFullName().isEmpty() && checkpoint.entries().containsKey(key)) {
            byKey.put(key, new Stored(key, tensor.getFullName(), used.contains(node)));
          }
        }
      }
      return byKey.values();
    } catch (IOException e) {
      throw new PerformerException(graphFile + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  private static boolean equal(CheckpointReader checkpoint, String key, String other) {
    CheckpointReader.Entry entry = checkpoint.entry(key);
    if (entry.type() == DataType.DT_STRING || !entry.equals(checkpoint.entry(other))) {
      return false;
    }
    try (Tensor a = checkpoint.tensor(key);
        Tensor b = checkpoint.tensor(other)) {
      return Arrays.equals(Tensors.bytes(a), Tensors.bytes(b));
    }
  }

  private boolean isKept(Path file) {
    boolean isIn = file.startsWith(original.resolve(CHECKPOINT.getParent()));
    boolean isNamed = file.getFileName().toString().startsWith(CHECKPOINT.getFileName() + ".");
    boolean isOptimizer = file.startsWith(original.resolve(PerformerModels.OPTIMIZER));
    return !(isIn && isNamed) && !isOptimizer;
  }

  private void copyFiles(Path target, Predicate<Path> wanted) throws IOException {
    try (var files = Files.walk(original)) {
      for (Path file : files.filter(wanted).toList()) {
        Path copy = target.resolve(original.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(copy);
        } else {
          Files.copy(file, copy);
        }
      }
    }
  }

  private void saveCheckpoint(
      Session session,
      Map<String, Variable> values,
      List<String> kept,
      CheckpointReader reader,
      Path prefix) {
    var once = List.copyOf(new LinkedHashSet<>(values.values())); // copies share a variable
    try (Variables.Values fetched = Variables.fetch(session, once)) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      values.forEach((key, variable) -> tensors.put(key, fetched.tensors().get(variable)));
      Map<String, DataType> types = new LinkedHashMap<>();
      tensors.forEach((key, tensor) -> types.put(key, reader.entry(key).type()));
      types.entrySet().removeIf(e -> tensors.get(e.getKey()).dataType() == e.getValue());
      SaveRestore.write(prefix, tensors, types, tf -> originals(tf, kept, reader));
    }
  }

  private Map<String, Operand<?>> originals(Ops tf, List<String> keys, CheckpointReader reader) {
    Map<String, Operand<?>> originals = new LinkedHashMap<>();
    if (!keys.isEmpty()) {
      var prefix = tf.constant(original.resolve(CHECKPOINT).toString()).asOutput();
      var types = keys.stream().map(key -> reader.entry(key).type()).toList();
      var slices = Collections.nCopies(keys.size(), "");
      var restored = ModelRestore.restore(tf, prefix, keys, slices, types);
      keys.forEach(key -> originals.put(key, restored.output(originals.size())));
    }
    return originals;
  }

  private static void updateFingerprint(Path model) throws IOException {
    Path file = model.resolve("fingerprint.pb");
    if (!Files.exists(file)) {
      return;
    }
    try {
      byte[] index = Files.readAllBytes(model.resolve(CHECKPOINT + ".index"));
      var fingerprint = FingerprintDef.parseFrom(RegularFiles.readAllBytes(file)).toBuilder();
      Files.write(file, fingerprint.setCheckpointHash(farmHash(index)).build().toByteArray());
    } catch (InvalidProtocolBufferException e) {
      Files.delete(file); // It is damaged, and loaders do without.
    }
  }

  /** FarmHash's Fingerprint64, with which TensorFlow hashes a checkpoint's index. */
  static long farmHash(byte[] file) {
    try (Graph graph = new Graph();
        Session session = new Session(graph);
        TString data = TString.tensorOfBytes(NdArrays.vectorOfObjects(file))) {
      Ops tf = Ops.create(graph);
      var hash = tf.fingerprint(tf.constantOf(data), tf.constant("farmhash64"));
      try (var result = session.runner().fetch(hash).run()) {
        var bytes = ByteBuffer.wrap(Tensors.bytes(result.get(0)));
        return bytes.order(ByteOrder.LITTLE_ENDIAN).getLong();
      }
    }
  }
}
