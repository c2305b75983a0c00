package dev.performer.savedmodel;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.TensorNames;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
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
    nodes =
        metaGraph.getGraphDef().getNodeList().stream()
            .filter(node -> VARIABLES.contains(node.getOp()))
            .toList();
    collect("variables", false);
    collect("trainable_variables", true);
  }

  /** All variables in the order of the graph. */
  static List<VariableSpec> of(MetaGraphDef metaGraph, ObjectGraph objects) {
    VariableCatalog catalog = new VariableCatalog(metaGraph, objects);
    Map<String, CheckpointKeys.Stored> keys = CheckpointKeys.of(metaGraph);
    Map<String, String> names = catalog.names();
    return catalog.nodes.stream()
        .map(
            node ->
                catalog.spec(
                    node,
                    names.get(node.getName()),
                    keys.getOrDefault(node.getName(), CheckpointKeys.NOT_STORED)))
        .toList();
  }

  /**
   * Names by node. Keras 3 stores each variable twice under one name: those that signatures use
   * have the first choice.
   */
  private Map<String, String> names() {
    Set<String> used = usedBySignatures();
    Map<String, String> names = new HashMap<>();
    Set<String> taken = new HashSet<>();
    Map<String, Integer> copies = new HashMap<>();
    for (boolean first : new boolean[] {true, false}) {
      for (NodeDef node : nodes) {
        if (used.contains(node.getName()) == first) {
          String wanted =
              known(node)
                  .map(SavedVariable::getName)
                  .filter(name -> !name.isEmpty())
                  .orElse(node.getName());
          String name = wanted;
          while (!taken.add(name)) {
            name = wanted + "_" + copies.merge(wanted, 1, Integer::sum);
          }
          names.put(node.getName(), name);
        }
      }
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
    AttrValue shared = node.getAttrOrDefault("shared_name", AttrValue.getDefaultInstance());
    return objects.variable(node.getName(), shared.getS().toStringUtf8());
  }

  private VariableSpec spec(NodeDef node, String name, CheckpointKeys.Stored stored) {
    DataType type = node.getAttrOrThrow("dtype").getType();
    boolean isTrainable =
        FLOATING.contains(type)
            && known(node)
                .map(SavedVariable::getTrainable)
                .orElseGet(() -> trainable.getOrDefault(node.getName(), true));
    return new VariableSpec(
        name,
        node.getName(),
        type,
        TensorSpec.shape(node.getAttrOrThrow("shape").getShape()),
        isTrainable,
        stored.key(),
        stored.slice());
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
