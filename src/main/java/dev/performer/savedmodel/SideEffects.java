package dev.performer.savedmodel;

import dev.performer.graph.OpDefinitions;
import java.util.Set;
import java.util.stream.Stream;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef.ArgDef;

/** Whether running a signature leaves something changed for the runs that follow. */
public final class SideEffects {
  private static final Set<String> HARMLESS =
      Set.of(
          "VarHandleOp",
          "Variable",
          "VariableV2",
          "ReadVariableOp",
          "VariableShape",
          "VarIsInitializedOp",
          "IsVariableInitialized",
          "ResourceGather",
          "ResourceGatherNd",
          "HashTable",
          "HashTableV2",
          "MutableHashTable",
          "MutableHashTableV2",
          "MutableDenseHashTable",
          "MutableDenseHashTableV2",
          "LookupTableFind",
          "LookupTableFindV2",
          "LookupTableSize",
          "LookupTableSizeV2",
          "LookupTableExport",
          "LookupTableExportV2",
          "PartitionedCall",
          "StatefulPartitionedCall",
          "If",
          "While",
          "Case",
          "Assert",
          "Print",
          "PrintV2",
          "RestoreV2",
          "Multinomial",
          "TruncatedNormal",
          "GuaranteeConst",
          "XlaCallModule");

  private SideEffects() {}

  /** Whether it assigns a variable, fills a table or the like; what is not known is taken to. */
  public static boolean of(SavedModelDirectory directory, SignatureSpec signature) {
    var fetched = signature.outputs().values().stream().map(TensorSpec::tensor).toList();
    var nodes = directory.nodes();
    var run = nodes.reached(fetched, NodeDef::getInputList);
    var main = run.stream().map(name -> nodes.find(name).orElseThrow()).toList();
    var functions = directory.functions();
    Stream<NodeDef> bodies =
        functions.reachedFrom(main).stream()
            .flatMap(name -> functions.find(name).orElseThrow().getNodeDefList().stream());
    return Stream.concat(main.stream(), bodies).anyMatch(SideEffects::changes);
  }

  private static boolean changes(NodeDef node) {
    String op = node.getOp();
    // Arrays of a loop are new in each run; random numbers leave the model as it is.
    boolean isOfRun = op.startsWith("TensorArray") || op.startsWith("Random");
    boolean isHarmless = HARMLESS.contains(op) || isOfRun;
    return !isHarmless
        && OpDefinitions.find(op)
            .filter(
                o -> o.getIsStateful() || o.getInputArgList().stream().anyMatch(ArgDef::getIsRef))
            .isPresent();
  }
}
