package dev.performer.savedmodel;

import static java.util.stream.Collectors.toSet;

import dev.performer.PerformerException;
import dev.performer.graph.GradientObstacle;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.Tensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.Predicate;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph.TrackableObject.ObjectReference;

/**
 * What is in a SavedModel and whether it can be trained here, in plain values for text and JSON.
 *
 * @param origin a guess what wrote it, such as {@code Keras 2; Model Garden KernelAttention}
 * @param tensorflowVersion that wrote it; empty if that is not recorded
 * @param signatures sorted by name, as the variables, optimizer slots included
 * @param parameters number of values in all variables that the signatures use
 * @param ops how often each op occurs once functions are inlined, most frequent first
 * @param projections random projections of linear attention, as constants or variables
 * @param assets names of files the model reads
 * @param performerJson the text of {@code assets.extra/performer.json}; empty if there is none
 */
public record Inspection(
    String path,
    String origin,
    String tensorflowVersion,
    List<SignatureReport> signatures,
    List<VariableReport> variables,
    long parameters,
    long trainableParameters,
    Map<String, Integer> ops,
    List<Projection> projections,
    List<String> assets,
    String performerJson) {
  // Layer names in the scopes of nodes, and whose they are.
  private static final Map<String, String> LAYERS =
      Map.of(
          "kernel_attention", "Model Garden KernelAttention",
          "transformer_scaffold", "Model Garden TransformerScaffold",
          "favor", "FAVOR+ attention");

  // Those that SavedModelExporter puts at the root.
  private static final Set<String> LISTS =
      Set.of("variables", "trainable_variables", "non_trainable_variables");

  /** An input or output; sizes are −1 where unknown, the shape null if its rank is. */
  public record TensorReport(String name, String type, List<Long> shape) {
    static List<TensorReport> of(Map<String, TensorSpec> specs) {
      return specs.values().stream()
          .map(s -> new TensorReport(s.name(), s.typeName(), dimensions(s.shape())))
          .toList();
    }

    private static List<Long> dimensions(Shape shape) {
      return shape.isUnknown() ? null : shape.toListOrNull();
    }
  }

  /**
   * A signature and what training it meets: whether all trainable variables it depends on get a
   * gradient, how many do, and the ops that stop gradients, one line each.
   */
  public record SignatureReport(
      String name,
      String method,
      List<TensorReport> inputs,
      List<TensorReport> outputs,
      boolean trainable,
      int trainableVariables,
      List<String> obstacles,
      String summary) {}

  public record VariableReport(
      String name,
      String type,
      List<Long> shape,
      boolean trainable,
      boolean used,
      String checkpointKey) {
    private static VariableReport of(VariableSpec v, boolean used) {
      String type = Tensors.typeName(v.type());
      List<Long> shape = TensorReport.dimensions(v.shape());
      return new VariableReport(v.name(), type, shape, v.trainable(), used, v.checkpointKey());
    }
  }

  /** A projection matrix {@code [features, size]}: M random directions of size D, one per row. */
  public record Projection(String name, long features, long size) {
    private static Projection of(String name, Shape shape) {
      return new Projection(name, shape.get(0), shape.get(1));
    }
  }

  public static Inspection of(Path path) {
    return of(SavedModelDirectory.open(path));
  }

  public static Inspection of(SavedModelDirectory directory) {
    List<SignatureReport> signatures = new ArrayList<>();
    Map<String, NodeDef> nodes = new TreeMap<>();
    for (SignatureSpec signature : directory.signatures().values()) {
      signatures.add(inspect(directory, signature, nodes));
    }
    Predicate<VariableSpec> isUsed =
        v -> nodes.containsKey(v.node()) && nodes.get(v.node()).getOp().equals("VarHandleOp");
    List<VariableSpec> used = directory.variables().stream().filter(isUsed).toList();
    return new Inspection(
        directory.path().toString(),
        origin(directory),
        directory.metaGraph().getMetaInfoDef().getTensorflowVersion(),
        List.copyOf(signatures),
        directory.variables().stream()
            .map(variable -> VariableReport.of(variable, used.contains(variable)))
            .sorted(Comparator.comparing(VariableReport::name))
            .toList(),
        used.stream().mapToLong(VariableSpec::size).sum(),
        used.stream().filter(VariableSpec::trainable).mapToLong(VariableSpec::size).sum(),
        histogram(nodes.values()),
        ProjectionSearch.find(nodes.values(), used),
        directory.assets().values().stream().map(file -> file.getFileName().toString()).toList(),
        directory.performerJson().orElse(""));
  }

  /** Signatures are imported one by one, so that one that cannot be imported spoils no other. */
  private static SignatureReport inspect(
      SavedModelDirectory directory, SignatureSpec signature, Map<String, NodeDef> nodes) {
    Trainability training = Trainability.NONE;
    String summary;
    try (ImportedModel model = ImportedModel.load(directory, List.of(signature.name()))) {
      model.flatGraph().getNodeList().forEach(node -> nodes.put(node.getName(), node));
      training = model.trainability();
      summary = training.summary();
    } catch (PerformerException e) {
      summary = "cannot be imported: " + e.getMessage();
    }
    return new SignatureReport(
        signature.name(),
        signature.method(),
        TensorReport.of(signature.inputs()),
        TensorReport.of(signature.outputs()),
        training.isTrainable(),
        training.trainable().size(),
        training.obstacles().stream().map(GradientObstacle::toString).toList(),
        summary);
  }

  private static Map<String, Integer> histogram(Collection<NodeDef> nodes) {
    Map<String, Integer> counts = new TreeMap<>();
    nodes.forEach(node -> counts.merge(node.getOp(), 1, Integer::sum));
    Map<String, Integer> sorted = new LinkedHashMap<>();
    counts.entrySet().stream()
        .sorted(Map.Entry.<String, Integer>comparingByValue(Comparator.reverseOrder()))
        .forEach(entry -> sorted.put(entry.getKey(), entry.getValue()));
    return sorted;
  }

  public boolean trainable() {
    return signatures.stream().anyMatch(SignatureReport::trainable);
  }

  private static String origin(SavedModelDirectory directory) {
    Set<String> traces = new TreeSet<>();
    for (var f : directory.metaGraph().getGraphDef().getLibrary().getFunctionList()) {
      for (NodeDef node : f.getNodeDefList()) {
        var layers = LAYERS.keySet().stream().filter(node.getName()::contains);
        layers.forEach(layer -> traces.add(LAYERS.get(layer)));
      }
    }
    String writer = writer(directory);
    return traces.isEmpty() ? writer : writer + "; " + String.join(", ", traces);
  }

  private static String writer(SavedModelDirectory directory) {
    var objects = directory.metaGraph().getObjectGraphDef().getNodesList();
    if (objects.isEmpty()) {
      return "TensorFlow 1 or a session (no object graph)";
    }
    var identifiers = objects.stream().map(object -> object.getUserObject().getIdentifier());
    if (identifiers.anyMatch(identifier -> identifier.startsWith("_tf_keras_"))) {
      boolean isModel = Files.exists(directory.path().resolve("keras_metadata.pb"));
      return isModel ? "Keras 2" : "TensorFlow 2 module with Keras 2 layers";
    }
    var references = objects.get(0).getChildrenList().stream();
    Set<String> children = references.map(ObjectReference::getLocalName).collect(toSet());
    return children.contains("_all_variables")
        ? "Keras 3"
        : children.containsAll(LISTS) ? "Performer for Java" : "TensorFlow 2 module";
  }

  /**
   * Finds random projections in a flat graph: Python's attention layers capture them as constant
   * matrices that go into a product, ours are variables that are not trained.
   */
  private static final class ProjectionSearch {
    private static final Set<String> TRANSPARENT =
        Set.of("Identity", "Cast", "Transpose", "Mul", "ExpandDims", "Reshape");
    private static final Set<String> PRODUCTS =
        Set.of("Einsum", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3");

    static List<Projection> find(Collection<NodeDef> nodes, List<VariableSpec> variables) {
      // What goes into a product as it is, or scaled or in another order.
      var products = nodes.stream().filter(node -> PRODUCTS.contains(node.getOp()));
      List<String> inputs = products.flatMap(n -> GraphIndex.dataInputs(n).stream()).toList();
      Function<NodeDef, List<String>> passed =
          node -> TRANSPARENT.contains(node.getOp()) ? GraphIndex.dataInputs(node) : List.of();
      Set<String> factors = new GraphIndex(nodes).reached(inputs, passed);
      List<Projection> found = new ArrayList<>();
      for (NodeDef node : nodes) {
        if (isMatrix(node) && factors.contains(node.getName())) {
          found.add(Projection.of(node.getName(), shape(node)));
        }
      }
      for (VariableSpec variable : variables) {
        String name = variable.name();
        boolean isNamed = name.contains("projection") || name.contains("random");
        if (isNamed && !variable.trainable() && variable.shape().numDimensions() == 2) {
          found.add(Projection.of(name, variable.shape()));
        }
      }
      return List.copyOf(found);
    }

    private static boolean isMatrix(NodeDef node) {
      if (!node.getOp().equals("Const")
          || node.getAttrOrThrow("dtype").getType() != DataType.DT_FLOAT) {
        return false;
      }
      Shape shape = shape(node);
      return shape.numDimensions() == 2 && shape.get(0) > 1 && shape.get(1) > 1;
    }

    private static Shape shape(NodeDef constant) {
      return GraphProtos.shape(constant.getAttrOrThrow("value").getTensor().getTensorShape());
    }
  }
}
