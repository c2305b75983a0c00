package dev.performer.savedmodel;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.TensorNames;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.CollectionDef;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedVariable;
import org.tensorflow.proto.VariableDef;

/**
 * Collects the variables of a SavedModel from its graph, object graph, collections and restore
 * function.
 */
final class VariableCatalog {
  private static final Set<String> VARIABLES = Set.of("VarHandleOp", "VariableV2", "Variable");
  private static final Set<DataType> FLOATING =
      Set.of(DataType.DT_FLOAT, DataType.DT_DOUBLE, DataType.DT_HALF, DataType.DT_BFLOAT16);

  private final MetaGraphDef metaGraph;
  private final ObjectGraph objects;
  private final List<NodeDef> nodes;
  private final Map<String, Boolean> trainable = new HashMap<>();

  private VariableCatalog(MetaGraphDef metaGraph, ObjectGraph objects) {
    this.metaGraph = metaGraph;
    this.objects = objects;
    var all = metaGraph.getGraphDef().getNodeList().stream();
    nodes = all.filter(node -> VARIABLES.contains(node.getOp())).toList();
    collect("variables", false);
    collect("trainable_variables", true);
  }

  /** All variables in the order of the graph. */
  static List<VariableSpec> of(MetaGraphDef metaGraph, ObjectGraph objects) {
    VariableCatalog catalog = new VariableCatalog(metaGraph, objects);
    Map<String, CheckpointKeys.Stored> keys = CheckpointKeys.of(metaGraph);
    Map<String, String> names = catalog.names();
    List<VariableSpec> specs = new ArrayList<>();
    for (NodeDef node : catalog.nodes) {
      String name = node.getName();
      var stored = keys.getOrDefault(name, CheckpointKeys.NOT_STORED);
      specs.add(catalog.spec(node, names.get(name), stored));
    }
    return List.copyOf(specs);
  }

  /**
   * Names by node. Keras 3 stores each variable twice under one name: those that signatures use
   * have the first choice.
   */
  private Map<String, String> names() {
    Set<String> used = usedBySignatures();
    Set<String> taken = new HashSet<>();
    Map<String, Integer> copies = new HashMap<>();
    List<NodeDef> usedFirst = new ArrayList<>(nodes);
    usedFirst.sort(Comparator.comparing(node -> !used.contains(node.getName())));
    Map<String, String> names = new HashMap<>();
    for (NodeDef node : usedFirst) {
      String known = known(node).map(SavedVariable::getName).orElse("");
      String wanted = known.isEmpty() ? node.getName() : known;
      String name = wanted;
      while (!taken.add(name)) {
        name = wanted + "_" + copies.merge(wanted, 1, Integer::sum);
      }
      names.put(node.getName(), name);
    }
    return names;
  }

  private Set<String> usedBySignatures() {
    List<String> outputs = new ArrayList<>();
    for (var signature : metaGraph.getSignatureDefMap().values()) {
      signature.getOutputsMap().values().forEach(output -> outputs.add(output.getName()));
    }
    return new GraphIndex(metaGraph.getGraphDef().getNodeList())
        .reached(outputs, NodeDef::getInputList);
  }

  private Optional<SavedVariable> known(NodeDef node) {
    var shared = node.getAttrOrDefault("shared_name", AttrValue.getDefaultInstance());
    return objects.variable(node.getName(), shared.getS().toStringUtf8());
  }

  private VariableSpec spec(NodeDef node, String name, CheckpointKeys.Stored stored) {
    DataType type = node.getAttrOrThrow("dtype").getType();
    Shape shape = TensorSpec.shape(node.getAttrOrThrow("shape").getShape());
    boolean isCollected = trainable.getOrDefault(node.getName(), true);
    boolean isTrainable = known(node).map(SavedVariable::getTrainable).orElse(isCollected);
    boolean trains = isTrainable && FLOATING.contains(type);
    return new VariableSpec(
        name, node.getName(), type, shape, trains, stored.key(), stored.slice());
  }

  /** TF1's collections name a variable by its handle or reference tensor. */
  private void collect(String collection, boolean isTrainable) {
    var definition =
        metaGraph.getCollectionDefOrDefault(collection, CollectionDef.getDefaultInstance());
    for (var bytes : definition.getBytesList().getValueList()) {
      try {
        String tensor = VariableDef.parseFrom(bytes).getVariableName();
        trainable.put(TensorNames.node(tensor), isTrainable);
      } catch (InvalidProtocolBufferException notVariables) {
        return;
      }
    }
  }
}
