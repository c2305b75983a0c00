package dev.performer.savedmodel;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.FunctionInliner;
import dev.performer.graph.FunctionLibrary;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.GraphSize;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.OpDefinitions;
import dev.performer.graph.TensorNames;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AssetFileDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.SavedModel;

/**
 * A SavedModel on disk, read and checked before TensorFlow touches it: some damages would take the
 * JVM along, others would show only when the model runs.
 */
public final class SavedModelDirectory {
  /** The tag of graphs that are made for inference. */
  public static final String SERVE = "serve";

  private static final int DEEPEST_FILE = 3; // assets.extra/optimizer/variables.index
  private static final String INIT_SIGNATURE = "__saved_model_init_op";

  private final Path path;
  private final MetaGraphDef metaGraph;
  private final GraphIndex index;
  private final GraphSize size;
  private final ObjectGraph objects;
  private final Map<String, SignatureSpec> signatures = new TreeMap<>();
  private final List<VariableSpec> variables;
  private final Map<String, CheckpointReader.Entry> stored;

  private SavedModelDirectory(Path path, MetaGraphDef metaGraph) {
    this.path = path;
    this.metaGraph = metaGraph;
    index = new GraphIndex(metaGraph.getGraphDef().getNodeList());
    size = checkGraph();
    objects = new ObjectGraph(metaGraph);
    metaGraph
        .getSignatureDefMap()
        .forEach((name, definition) -> signatures.put(name, SignatureSpec.of(name, definition)));
    signatures.remove(INIT_SIGNATURE);
    variables = VariableCatalog.of(metaGraph, objects);
    stored = variables.isEmpty() ? Map.of() : stored(path);
    variables.forEach(this::checkStored);
  }

  /**
   * Reads and checks a directory.
   *
   * @throws PerformerException if it is not a SavedModel, damaged, or of a kind TensorFlow cannot
   *     run; the message names which file or node is to blame
   */
  public static SavedModelDirectory open(Path path) {
    MetaGraphDef metaGraph = serving(path, parse(path));
    try {
      return new SavedModelDirectory(path, metaGraph);
    } catch (PerformerException e) {
      throw e.in(path);
    } catch (RuntimeException e) { // attributes or references that make no sense
      throw new PerformerException(
          path.resolve("saved_model.pb") + " is damaged: " + NativeErrors.firstLine(e), e);
    }
  }

  private static Map<String, CheckpointReader.Entry> stored(Path path) {
    if (!Files.isDirectory(path.resolve("variables"))) {
      throw new PerformerException(
          path + ": the folder variables/ is missing, so the model has no weights; copy it again");
    }
    try (CheckpointReader reader = CheckpointReader.open(variablesPrefix(path))) {
      return reader.entries();
    }
  }

  private static SavedModel parse(Path path) {
    Path file = path.resolve("saved_model.pb");
    if (!Files.exists(path)) {
      throw new PerformerException(path + " does not exist");
    }
    if (!Files.isDirectory(path)) {
      throw new PerformerException(path + " is a file; a SavedModel is a directory");
    }
    if (!Files.isRegularFile(file)) {
      throw new PerformerException(
          path + " is not a SavedModel: it has no file saved_model.pb" + hint(path));
    }
    checkFiles(path);
    try {
      SavedModel model = SavedModel.parseFrom(RegularFiles.readAllBytes(file));
      if (model.getMetaGraphsCount() == 0) {
        throw new PerformerException(file + " holds no graph: it is empty, truncated or garbage");
      }
      return model;
    } catch (InvalidProtocolBufferException e) {
      throw new PerformerException(file + " is truncated or not a SavedModel", e);
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  /** TensorFlow opens whatever has the name of a file that it knows, and would wait for a pipe. */
  private static void checkFiles(Path path) {
    try (Stream<Path> files = Files.walk(path, DEEPEST_FILE)) {
      for (Path file : files.toList()) {
        if (Files.exists(file) && !Files.isDirectory(file)) {
          RegularFiles.require(file);
        }
      }
    } catch (IOException | UncheckedIOException e) {
      IOException cause = e instanceof UncheckedIOException u ? u.getCause() : (IOException) e;
      throw new PerformerException(
          "%s cannot be read: %s: %s"
              .formatted(path, cause.getMessage().split(": ")[0], AtomicFiles.describe(cause)),
          cause);
    }
  }

  private static String hint(Path path) {
    if (Files.exists(path.resolve("saved_model.pbtxt"))) {
      return " (the text form saved_model.pbtxt is not supported)";
    }
    if (Files.exists(path.resolve("checkpoint"))) {
      return " (it looks like a checkpoint)";
    }
    return "";
  }

  private static MetaGraphDef serving(Path path, SavedModel model) {
    List<String> tags = new ArrayList<>();
    for (MetaGraphDef graph : model.getMetaGraphsList()) {
      if (graph.getMetaInfoDef().getTagsList().contains(SERVE)) {
        return graph;
      }
      tags.add(graph.getMetaInfoDef().getTagsList().toString());
    }
    throw new PerformerException(
        path + ": no graph of the model has the tag " + SERVE + "; the tags are " + tags);
  }

  private GraphSize checkGraph() {
    GraphDef graph = metaGraph.getGraphDef();
    FunctionLibrary library = functions();
    GraphSize size = GraphSize.check(graph, library);
    graph.getNodeList().forEach(node -> checkNode(node, "the main graph", true, library));
    for (String name : library.reachedFrom(graph.getNodeList())) {
      library
          .find(name)
          .orElseThrow()
          .getNodeDefList()
          .forEach(node -> checkNode(node, "the function " + name, false, library));
    }
    library.checkReferences();
    return size;
  }

  private static void checkNode(
      NodeDef node, String place, boolean isMain, FunctionLibrary library) {
    Optional<OpDef> op = OpDefinitions.find(node.getOp());
    if (op.isPresent()) {
      OpDefinitions.checkAttributes(node, op.get(), place);
      // In a function one input may stand for several tensors; a call is checked when expanded.
      if (isMain && !FunctionInliner.CALLS.contains(node.getOp())) {
        OpDefinitions.checkInputs(node, op.get(), place);
      }
    } else if (library.find(node.getOp()).isEmpty()) {
      throw new PerformerException(
          "the op %s (node %s of %s) is unknown to this TensorFlow"
              .formatted(node.getOp(), node.getName(), place));
    }
    for (String function : FunctionLibrary.attributeFunctions(node)) {
      if (!function.isEmpty() && library.find(function).isEmpty()) {
        throw new PerformerException(
            "the function %s, which the node %s of %s needs, is not in the model"
                .formatted(function, node.getName(), place));
      }
    }
  }

  private void checkStored(VariableSpec variable) {
    if (variable.checkpointKey().isEmpty()) {
      return;
    }
    CheckpointReader.Entry entry = stored.get(variable.checkpointKey());
    if (entry == null) {
      throw new PerformerException(
          "variables/ has no tensor %s for the variable %s"
              .formatted(variable.checkpointKey(), variable.name()));
    }
    Shape shape = entry.shape();
    boolean comparable = variable.slice().isEmpty() && !variable.shape().hasUnknownDimension();
    if (comparable && !shape.equals(variable.shape())) {
      throw new PerformerException(
          "the variable %s has shape %s, but variables/ stores %s as %s"
              .formatted(variable.name(), variable.shape(), shape, variable.checkpointKey()));
    }
  }

  /** Where the model is. */
  public Path path() {
    return path;
  }

  /** The graph for inference, as it was read. */
  public MetaGraphDef metaGraph() {
    return metaGraph;
  }

  /** The signatures by name, sorted, without TensorFlow's own initializer. */
  public Map<String, SignatureSpec> signatures() {
    return Collections.unmodifiableMap(signatures);
  }

  /** The signature of that name. @throws PerformerException that lists those there are */
  public SignatureSpec signature(String name) {
    SignatureSpec signature = signatures.get(name);
    if (signature == null) {
      throw new PerformerException(
          "%s has no signature %s; it has [%s]"
              .formatted(path, name, Excerpt.names(signatures.keySet())));
    }
    try {
      signature.inputs().values().forEach(input -> checkTensor(input, "input", name));
      signature.outputs().values().forEach(output -> checkTensor(output, "output", name));
    } catch (PerformerException e) {
      throw e.in(path);
    }
    return signature;
  }

  private void checkTensor(TensorSpec spec, String kind, String signature) {
    String what = "the " + kind + " " + spec.name() + " of the signature " + signature;
    if (spec.tensor().isEmpty()) {
      throw new PerformerException(what + " is sparse or composite, which is not supported");
    }
    NodeDef node = index.require(spec.tensor(), what);
    int outputs =
        functions()
            .find(node.getOp())
            .map(function -> function.getSignature().getOutputArgCount())
            .orElseGet(() -> OpDefinitions.outputTypes(node).size());
    if (TensorNames.index(spec.tensor()) >= outputs) {
      throw new PerformerException(
          what + " is " + spec.tensor() + ", but that node has " + outputs + " outputs");
    }
  }

  /** All variables, optimizer slots and metrics included. */
  public List<VariableSpec> variables() {
    return variables;
  }

  /** The version of TensorFlow that wrote it; empty if that is not recorded. */
  public String tensorflowVersion() {
    return metaGraph.getMetaInfoDef().getTensorflowVersion();
  }

  /** Where TensorFlow's checkpoint ops find the variables. */
  public Path variablesPrefix() {
    return variablesPrefix(path);
  }

  private static Path variablesPrefix(Path model) {
    return model.resolve("variables").resolve("variables");
  }

  /** Asset files the graph reads: the file by the tensor that names it. */
  public Map<String, Path> assets() {
    Map<String, Path> assets = new TreeMap<>();
    Path folder = path.resolve("assets");
    for (AssetFileDef asset : metaGraph.getAssetFileDefList()) {
      Path file = folder.resolve(asset.getFilename()).normalize();
      if (!file.startsWith(folder.normalize())) {
        throw new PerformerException(
            path + ": the asset " + asset.getFilename() + " is not inside " + folder);
      }
      assets.put(asset.getTensorInfo().getName(), file);
    }
    return assets;
  }

  /** How large its graph is once the functions are expanded. */
  GraphSize size() {
    return size;
  }

  /** Whether the graph or one of its functions has a node of one of some types. */
  boolean hasOp(Set<String> ops) {
    return functions()
        .nodesOf(metaGraph.getGraphDef())
        .anyMatch(node -> ops.contains(node.getOp()));
  }

  /** The nodes of the main graph. */
  GraphIndex index() {
    return index;
  }

  /** The model's functions. */
  public FunctionLibrary functions() {
    return new FunctionLibrary(metaGraph.getGraphDef().getLibrary());
  }

  /** The text of {@code assets.extra/performer.json}, if the model has one. */
  public Optional<String> performerJson() {
    Path file = path.resolve("assets.extra").resolve("performer.json");
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    try {
      return Optional.of(RegularFiles.readString(file));
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  /** The node that fills lookup tables and the like, if the model has one. */
  Optional<String> initializer() {
    for (String key : List.of("saved_model_main_op", "legacy_init_op")) {
      var collection = metaGraph.getCollectionDefMap().get(key);
      if (collection != null && collection.getNodeList().getValueCount() == 1) {
        return Optional.of(collection.getNodeList().getValue(0));
      }
    }
    return Optional.ofNullable(metaGraph.getSignatureDefMap().get(INIT_SIGNATURE))
        .map(signature -> signature.getOutputsMap().get(INIT_SIGNATURE))
        .map(info -> info.getName());
  }

  ObjectGraph objects() {
    return objects;
  }
}
