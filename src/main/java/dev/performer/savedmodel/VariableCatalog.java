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
  private final Map<String, Boolean> collected = new HashMap<>();
  private final Set<String> used;

  private VariableCatalog(MetaGraphDef metaGraph, ObjectGraph objects) {
    this.metaGraph = metaGraph;
    this.objects = objects;
    used = usedBySignatures();
    collect("variables", false);
    collect("trainable_variables", true);
  }

  /** All variables in the order of the graph. */
  static List<VariableSpec> of(MetaGraphDef metaGraph, ObjectGraph objects) {
    return new VariableCatalog(metaGraph, objects).all();
  }

  private List<VariableSpec> all() {
    Map<String, CheckpointKeys.Stored> keys = CheckpointKeys.of(metaGraph);
    Map<String, String> names = names();
    List<VariableSpec> specs = new ArrayList<>();
    for (NodeDef node : metaGraph.getGraphDef().getNodeList()) {
      if (VARIABLES.contains(node.getOp())) {
        specs.add(spec(node, keys.get(node.getName()), names.get(node.getName())));
      }
    }
    return List.copyOf(specs);
  }

  /**
   * Names by node. Keras 3 stores each variable twice under one name: those that signatures use
   * have the first choice.
   */
  private Map<String, String> names() {
    Map<String, String> names = new HashMap<>();
    Set<String> taken = new HashSet<>();
    Map<String, Integer> copies = new HashMap<>();
    for (boolean first : new boolean[] {true, false}) {
      for (NodeDef node : metaGraph.getGraphDef().getNodeList()) {
        if (VARIABLES.contains(node.getOp()) && used.contains(node.getName()) == first) {
          names.put(node.getName(), freeName(node, taken, copies));
        }
      }
    }
    return names;
  }

  private String freeName(NodeDef node, Set<String> taken, Map<String, Integer> copies) {
    String wanted =
        objects
            .variable(node.getName(), sharedName(node))
            .map(SavedVariable::getName)
            .filter(name -> !name.isEmpty())
            .orElse(node.getName());
    String name = wanted;
    while (!taken.add(name)) {
      name = wanted + "_" + copies.merge(wanted, 1, Integer::sum);
    }
    return name;
  }

  private Set<String> usedBySignatures() {
    List<String> outputs = new ArrayList<>();
    metaGraph
        .getSignatureDefMap()
        .values()
        .forEach(s -> s.getOutputsMap().values().forEach(o -> outputs.add(o.getName())));
    return new GraphIndex(metaGraph.getGraphDef().getNodeList())
        .reached(outputs, NodeDef::getInputList);
  }

  private static String sharedName(NodeDef node) {
    return node.getAttrOrDefault("shared_name", AttrValue.getDefaultInstance())
        .getS()
        .toStringUtf8();
  }

  private VariableSpec spec(NodeDef node, CheckpointKeys.Stored stored, String name) {
    DataType type = node.getAttrOrThrow("dtype").getType();
    Optional<SavedVariable> known = objects.variable(node.getName(), sharedName(node));
    boolean trainable =
        FLOATING.contains(type)
            && known
                .map(SavedVariable::getTrainable)
                .or(() -> Optional.ofNullable(collected.get(node.getName())))
                .orElse(true);
    return new VariableSpec(
        name,
        known.map(SavedVariable::getName).orElse(""),
        used.contains(node.getName()),
        node.getName(),
        type,
        TensorSpec.shape(node.getAttrOrThrow("shape").getShape()),
        trainable,
        stored == null ? "" : stored.key(),
        stored == null ? "" : stored.slice());
  }

  /** TF1's collections name a variable by its handle or reference tensor. */
  private void collect(String collection, boolean trainable) {
    CollectionDef definition = metaGraph.getCollectionDefMap().get(collection);
    if (definition == null) {
      return;
    }
    for (var bytes : definition.getBytesList().getValueList()) {
      try {
        String tensor = VariableDef.parseFrom(bytes).getVariableName();
        collected.put(TensorNames.node(tensor), trainable);
      } catch (InvalidProtocolBufferException notVariables) {
        return;
      }
    }
  }
}
