package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

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
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.SavedModel;
import org.tensorflow.proto.TensorInfo;

/**
 * A SavedModel on disk, read and checked before TensorFlow touches it: some damages would take the
 * JVM along, others would show only when the model runs.
 *
 * @param metaGraph the graph for inference, as it was read, with its nodes and functions
 * @param size how large its graph is once the functions are expanded
 * @param signatures by name, sorted, without TensorFlow's own initializer
 * @param variables all of them, optimizer slots and metrics included
 */
public record SavedModelDirectory(
    Path path,
    MetaGraphDef metaGraph,
    GraphIndex nodes,
    FunctionLibrary functions,
    GraphSize size,
    ObjectGraph objects,
    Map<String, SignatureSpec> signatures,
    List<VariableSpec> variables) {
  /** The tag of graphs that are made for inference. */
  public static final String SERVE = "serve";

  static final String GRAPH_FILE = "saved_model.pb";

  /** Where TensorFlow's checkpoint ops find the variables. */
  static final Path CHECKPOINT = Path.of("variables", "variables");

  private static final int DEEPEST_FILE = 3; // assets.extra/optimizer/variables.index
  private static final String INIT_SIGNATURE = "__saved_model_init_op";

  /**
   * Reads and checks a directory.
   *
   * @throws PerformerException naming the file or node to blame, if it is no SavedModel, damaged,
   *     or of a kind TensorFlow cannot run
   */
  public static SavedModelDirectory open(Path path) {
    MetaGraphDef metaGraph = serving(path, parse(path));
    try {
      GraphDef graph = metaGraph.getGraphDef();
      FunctionLibrary functions = new FunctionLibrary(graph.getLibrary());
      GraphSize size = GraphSize.check(graph, functions);
      checkNodes(graph, functions);
      ObjectGraph objects = new ObjectGraph(metaGraph);
      Map<String, SignatureSpec> signatures = new TreeMap<>();
      metaGraph.getSignatureDefMap().forEach((k, v) -> signatures.put(k, SignatureSpec.of(k, v)));
      signatures.remove(INIT_SIGNATURE);
      var directory =
          new SavedModelDirectory(
              path,
              metaGraph,
              new GraphIndex(graph.getNodeList()),
              functions,
              size,
              objects,
              Collections.unmodifiableMap(signatures),
              VariableSpec.of(metaGraph, objects));
      directory.checkStored();
      return directory;
    } catch (PerformerException e) {
      throw e.in(path);
    } catch (RuntimeException e) { // attributes or references that make no sense
      Path file = path.resolve(GRAPH_FILE);
      throw new PerformerException(file + " is damaged: " + NativeErrors.firstLine(e), e);
    }
  }

  private static SavedModel parse(Path path) {
    Path file = path.resolve(GRAPH_FILE);
    require(Files.exists(path), "%s does not exist", path);
    require(Files.isDirectory(path), "%s is a file; a SavedModel is a directory", path);
    String hint =
        Files.exists(path.resolve("saved_model.pbtxt"))
            ? " (the text form saved_model.pbtxt is not supported)"
            : Files.exists(path.resolve("checkpoint")) ? " (it looks like a checkpoint)" : "";
    boolean hasFile = Files.isRegularFile(file);
    require(hasFile, "%s is not a SavedModel: it has no file %s%s", path, GRAPH_FILE, hint);
    checkFiles(path);
    try {
      SavedModel model = SavedModel.parseFrom(RegularFiles.readAllBytes(file));
      boolean hasGraph = model.getMetaGraphsCount() > 0;
      require(hasGraph, "%s holds no graph: it is empty, truncated or garbage", file);
      return model;
    } catch (InvalidProtocolBufferException e) {
      throw new PerformerException(file + " is truncated or not a SavedModel", e);
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  /** TensorFlow opens whatever has the name of a file that it knows, and would wait for a pipe. */
  private static void checkFiles(Path path) {
    try (var files = Files.walk(path, DEEPEST_FILE)) {
      for (Path file : files.toList()) {
        if (Files.exists(file) && !Files.isDirectory(file)) {
          RegularFiles.require(file);
        }
      }
    } catch (IOException | UncheckedIOException e) {
      IOException cause = e instanceof UncheckedIOException u ? u.getCause() : (IOException) e;
      String file = cause.getMessage().split(": ")[0];
      throw new PerformerException(
          "%s cannot be read: %s: %s".formatted(path, file, AtomicFiles.describe(cause)), cause);
    }
  }

  private static MetaGraphDef serving(Path path, SavedModel model) {
    List<MetaGraphDef> graphs = model.getMetaGraphsList();
    var tags = graphs.stream().map(g -> List.copyOf(g.getMetaInfoDef().getTagsList())).toList();
    for (int i = 0; i < tags.size(); i++) {
      if (tags.get(i).contains(SERVE)) {
        return graphs.get(i);
      }
    }
    String message = "%s: no graph of the model has the tag %s; the tags are %s";
    throw new PerformerException(message.formatted(path, SERVE, tags));
  }

  private static void checkNodes(GraphDef graph, FunctionLibrary functions) {
    graph.getNodeList().forEach(node -> checkNode(node, "the main graph", true, functions));
    for (String name : functions.reachedFrom(graph.getNodeList())) {
      List<NodeDef> body = functions.find(name).orElseThrow().getNodeDefList();
      body.forEach(node -> checkNode(node, "the function " + name, false, functions));
    }
    functions.checkReferences();
  }

  private static void checkNode(
      NodeDef node, String place, boolean isMain, FunctionLibrary functions) {
    var op = OpDefinitions.find(node.getOp());
    if (op.isPresent()) {
      OpDefinitions.checkAttributes(node, op.get(), place);
      // In a function one input may stand for several tensors; a call is checked when expanded.
      if (isMain && !FunctionInliner.CALLS.contains(node.getOp())) {
        OpDefinitions.checkInputs(node, op.get(), place);
      }
    }
    boolean isKnown = op.isPresent() || functions.find(node.getOp()).isPresent();
    String at = node.getName() + " of " + place;
    require(isKnown, "the op %s (node %s) is unknown to this TensorFlow", node.getOp(), at);
    for (String name : FunctionLibrary.attributeFunctions(node)) {
      boolean isThere = name.isEmpty() || functions.find(name).isPresent();
      require(isThere, "the function %s, which the node %s needs, is not in the model", name, at);
    }
  }

  private void checkStored() {
    if (variables.isEmpty()) {
      return;
    }
    boolean hasFolder = Files.isDirectory(variablesPrefix().getParent());
    String missing = "%s: the folder variables/ is missing, so the model has no weights";
    require(hasFolder, missing + "; copy it again", path);
    try (CheckpointReader reader = CheckpointReader.open(variablesPrefix())) {
      for (VariableSpec variable : variables) {
        if (variable.isStored()) {
          checkStored(variable, reader.entries().get(variable.checkpointKey()));
        }
      }
    }
  }

  private static void checkStored(VariableSpec variable, CheckpointReader.Entry entry) {
    String key = variable.checkpointKey();
    require(entry != null, "variables/ has no tensor %s for the variable %s", key, variable.name());
    boolean comparable = variable.slice().isEmpty() && !variable.shape().hasUnknownDimension();
    String own = "the variable " + variable.name() + " has shape " + variable.shape();
    boolean isEqual = !comparable || entry.shape().equals(variable.shape());
    require(isEqual, "%s, but variables/ stores %s as %s", own, entry.shape(), key);
  }

  public SignatureSpec signature(String name) {
    SignatureSpec signature = signatures.get(name);
    if (signature == null) {
      String known = Excerpt.names(signatures.keySet());
      throw new PerformerException(
              "%s has no signature %s; it has [%s]".formatted(path, name, known))
          .settledBy("signature");
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
    String what = "the %s %s of the signature %s".formatted(kind, spec.name(), signature);
    String tensor = spec.tensor();
    require(!tensor.isEmpty(), "%s is sparse or composite, which is not supported", what);
    NodeDef node = nodes.require(tensor, what);
    var function = functions.find(node.getOp()).map(FunctionDef::getSignature);
    int outputs =
        function.map(OpDef::getOutputArgCount).orElse(OpDefinitions.outputTypes(node).size());
    boolean isOutput = TensorNames.index(tensor) < outputs;
    require(isOutput, "%s is %s, but that node has %d outputs", what, tensor, outputs);
  }

  public Path variablesPrefix() {
    return path.resolve(CHECKPOINT);
  }

  /** Asset files the graph reads: the file by the tensor that names it. */
  public Map<String, Path> assets() {
    Map<String, Path> assets = new TreeMap<>();
    Path folder = path.resolve("assets");
    for (var asset : metaGraph.getAssetFileDefList()) {
      String name = asset.getFilename();
      Path file = folder.resolve(name).normalize();
      boolean isInside = file.startsWith(folder.normalize());
      require(isInside, "%s: the asset %s is not inside %s", path, name, folder);
      assets.put(asset.getTensorInfo().getName(), file);
    }
    return assets;
  }

  public Optional<String> performerJson() {
    Path file = path.resolve(ModelCard.FILE);
    try {
      return Files.exists(file) ? Optional.of(RegularFiles.readString(file)) : Optional.empty();
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
        .map(TensorInfo::getName);
  }
}
