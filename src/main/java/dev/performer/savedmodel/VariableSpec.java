package dev.performer.savedmodel;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.graph.FunctionInliner;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.ResourceConversion;
import dev.performer.graph.TensorNames;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.CollectionDef;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedVariable;
import org.tensorflow.proto.VariableDef;

/**
 * One variable as a SavedModel describes it.
 *
 * @param name unique in the model, without {@code :0}
 * @param node the node of the main graph that makes its handle
 * @param trainable whether Python marked it so; without any mark, whether it is floating point
 * @param checkpointKey where {@code variables/} stores it; empty if it is not stored
 * @param slice the part of the stored tensor it is, as RestoreV2 writes it; empty for all of it
 */
public record VariableSpec(
    String name,
    String node,
    DataType type,
    Shape shape,
    boolean trainable,
    String checkpointKey,
    String slice) {

  /** Number of elements; 0 if the shape is not fully known. */
  public long size() {
    return shape.hasUnknownDimension() ? 0 : shape.size();
  }

  /** The variable of a graph that has its node. */
  Variable in(Graph graph) {
    Output<?> handle = graph.outputOrThrow(node);
    DataType held = ((GraphOperation) handle.op()).attributes().getAttrType("dtype");
    return new Variable(name, handle, Tensors.javaType(held), shape, trainable, checkpointKey);
  }

  boolean isStored() {
    return !checkpointKey.isEmpty();
  }

  /** All variables of a SavedModel in the order of its graph. */
  static List<VariableSpec> of(MetaGraphDef metaGraph, ObjectGraph objects) {
    return new Catalog(metaGraph, objects).specs();
  }

  private static final class Catalog {
    private static final Set<String> VARIABLES = Set.of("VarHandleOp", "VariableV2", "Variable");
    private static final Pattern UNNAMED = Pattern.compile("(.*/)?Variable(_\\d+)?");
    private static final Set<DataType> FLOATING =
        Set.of(DataType.DT_FLOAT, DataType.DT_DOUBLE, DataType.DT_HALF, DataType.DT_BFLOAT16);

    private final MetaGraphDef metaGraph;
    private final ObjectGraph objects;
    private final List<NodeDef> nodes;
    private final Map<String, Boolean> trainable = new HashMap<>();
    private final Map<String, Stored> keys = new HashMap<>();
    private final Map<String, OptionalInt> found = new HashMap<>();

    Catalog(MetaGraphDef metaGraph, ObjectGraph objects) {
      this.metaGraph = metaGraph;
      this.objects = objects;
      var all = metaGraph.getGraphDef().getNodeList().stream();
      keys.putAll(Stored.of(metaGraph));
      Set<String> copies = new HashSet<>();
      CopiedVariables.of(metaGraph)
          .forEach(
              (variable, copy) -> {
                if (keys.containsKey(copy) && !keys.containsKey(variable)) {
                  keys.put(variable, keys.get(copy));
                  copies.add(copy);
                }
              });
      var variables = all.filter(node -> VARIABLES.contains(node.getOp()));
      nodes = variables.filter(node -> !copies.contains(node.getName())).toList();
      collect("variables", false);
      collect("trainable_variables", true);
    }

    /** TF1's collections name a variable by its handle or reference tensor. */
    private void collect(String collection, boolean isTrainable) {
      var none = CollectionDef.getDefaultInstance();
      var definition = metaGraph.getCollectionDefOrDefault(collection, none);
      for (var bytes : definition.getBytesList().getValueList()) {
        try {
          String tensor = VariableDef.parseFrom(bytes).getVariableName();
          trainable.put(TensorNames.node(tensor), isTrainable);
        } catch (InvalidProtocolBufferException notVariables) {
          return;
        }
      }
    }

    List<VariableSpec> specs() {
      nodes.forEach(node -> found.put(node.getName(), object(node)));
      Map<String, String> names = names();
      List<VariableSpec> specs = new ArrayList<>();
      for (NodeDef node : nodes) {
        String name = node.getName();
        DataType type = node.getAttrOrThrow("dtype").getType();
        Shape shape = GraphProtos.shape(node.getAttrOrThrow("shape").getShape());
        boolean isCollected = trainable.getOrDefault(name, true);
        boolean isTrainable = known(node).map(SavedVariable::getTrainable).orElse(isCollected);
        boolean trains = isTrainable && FLOATING.contains(type);
        Stored in = stored(node);
        specs.add(new VariableSpec(names.get(name), name, type, shape, trains, in.key, in.slice));
      }
      return List.copyOf(specs);
    }

    /**
     * Names by node: Python's, or the path to the object where Python has no name for it but {@code
     * Variable}, or one for several that signatures use. Keras 3 stores each variable twice under
     * one name: those that signatures use have the first choice.
     */
    private Map<String, String> names() {
      List<String> outputs = new ArrayList<>();
      for (var signature : metaGraph.getSignatureDefMap().values()) {
        signature.getOutputsMap().values().forEach(output -> outputs.add(output.getName()));
      }
      GraphIndex index = new GraphIndex(metaGraph.getGraphDef().getNodeList());
      Set<String> used = index.reached(outputs, NodeDef::getInputList);
      List<NodeDef> usedFirst = new ArrayList<>(nodes);
      usedFirst.sort(Comparator.comparing(node -> !used.contains(node.getName())));
      var shared = nodes.stream().filter(node -> used.contains(node.getName())).map(this::given);
      var counts = shared.collect(Collectors.groupingBy(name -> name, Collectors.counting()));
      Set<String> taken = new HashSet<>();
      Map<String, Integer> copies = new HashMap<>();
      Map<String, String> names = new HashMap<>();
      for (NodeDef node : usedFirst) {
        String given = given(node);
        boolean isPlain = UNNAMED.matcher(given).matches() || counts.getOrDefault(given, 0L) > 1;
        String wanted = isPlain ? path(node).orElse(given) : given;
        String name = wanted;
        while (!taken.add(name)) {
          name = wanted + "_" + copies.merge(wanted, 1, Integer::sum);
        }
        names.put(node.getName(), name);
      }
      return names;
    }

    private String given(NodeDef node) {
      var known = known(node).map(SavedVariable::getName).filter(name -> !name.isEmpty());
      return known.orElse(node.getName());
    }

    private Optional<String> path(NodeDef node) {
      OptionalInt object = found.get(node.getName());
      return object.isPresent() ? objects.path(object.getAsInt()) : Optional.empty();
    }

    private Optional<SavedVariable> known(NodeDef node) {
      var shared = node.getAttrOrDefault("shared_name", AttrValue.getDefaultInstance());
      return objects.variable(found.get(node.getName()), shared.getS().toStringUtf8());
    }

    private OptionalInt object(NodeDef node) {
      return objects.variableObject(node.getName(), stored(node).key);
    }

    private Stored stored(NodeDef node) {
      return keys.getOrDefault(node.getName(), new Stored("", ""));
    }
  }

  /**
   * Where {@code variables/} holds a variable, read off the model's own restore function, which is
   * never run: it names the keys for TF1, TF2 and every Keras alike.
   */
  private record Stored(String key, String slice) {
    static Map<String, Stored> of(MetaGraphDef metaGraph) {
      String restore = TensorNames.node(metaGraph.getSaverDef().getRestoreOpName());
      if (restore.isEmpty()) {
        return Map.of();
      }
      var flat = FunctionInliner.inline(metaGraph.getGraphDef(), List.of("^" + restore));
      var graph = ResourceConversion.apply(flat.graph());
      GraphIndex index = new GraphIndex(graph.getNodeList());
      Map<String, Stored> keys = new LinkedHashMap<>();
      for (NodeDef node : graph.getNodeList()) {
        if (node.getOp().equals("AssignVariableOp")) {
          restored(node.getInput(1), index)
              .ifPresent(stored -> keys.putIfAbsent(TensorNames.node(node.getInput(0)), stored));
        }
      }
      return keys;
    }

    private static Optional<Stored> restored(String value, GraphIndex index) {
      String source = index.source(value, Set.of("Identity", "Cast"));
      NodeDef restore = index.find(source).orElse(NodeDef.getDefaultInstance());
      if (!restore.getOp().equals("RestoreV2")) {
        return Optional.empty();
      }
      int output = TensorNames.index(source);
      String slice = string(restore.getInput(2), output, index).orElse("");
      return string(restore.getInput(1), output, index).map(key -> new Stored(key, slice));
    }

    private static Optional<String> string(String constant, int number, GraphIndex index) {
      return index
          .find(constant)
          .filter(node -> node.getOp().equals("Const"))
          .map(node -> GraphProtos.strings(node.getAttrOrThrow("value").getTensor()))
          .filter(strings -> number < strings.size())
          .map(strings -> strings.get(number).toStringUtf8());
    }
  }
}
