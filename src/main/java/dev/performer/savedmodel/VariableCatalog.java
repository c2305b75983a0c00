package dev.performer.savedmodel;

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

  private VariableCatalog(MetaGraphDef metaGraph, ObjectGraph objects) {
    this.metaGraph = metaGraph;
    this.objects = objects;
    collect("variables", false);
    collect("trainable_variables", true);
  }

  /** All variables in the order of the graph. */
  static List<VariableSpec> of(MetaGraphDef metaGraph, ObjectGraph objects) {
    return new VariableCatalog(metaGraph, objects).all();
  }

  private List<VariableSpec> all() {
    Map<String, CheckpointKeys.Stored> keys = CheckpointKeys.of(metaGraph);
    Set<String> taken = new HashSet<>();
    List<VariableSpec> specs = new ArrayList<>();
    for (NodeDef node : metaGraph.getGraphDef().getNodeList()) {
      if (VARIABLES.contains(node.getOp())) {
        specs.add(spec(node, keys.get(node.getName()), taken));
      }
    }
    return List.copyOf(specs);
  }

  private VariableSpec spec(NodeDef node, CheckpointKeys.Stored stored, Set<String> taken) {
    String sharedName =
        node.getAttrOrDefault("shared_name", AttrValue.getDefaultInstance()).getS().toStringUtf8();
    DataType type = node.getAttrOrThrow("dtype").getType();
    Optional<SavedVariable> known = objects.variable(node.getName(), sharedName);
    String name =
        known.map(SavedVariable::getName).filter(n -> !n.isEmpty()).orElse(node.getName());
    if (!taken.add(name)) {
      name = node.getName();
      taken.add(name);
    }
    boolean trainable =
        FLOATING.contains(type)
            && known
                .map(SavedVariable::getTrainable)
                .or(() -> Optional.ofNullable(collected.get(node.getName())))
                .orElse(true);
    return new VariableSpec(
        name,
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
      } catch (com.google.protobuf.InvalidProtocolBufferException notVariables) {
        return;
      }
    }
  }
}
