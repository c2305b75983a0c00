package dev.performer.savedmodel;

import dev.performer.graph.GraphIndex;
import dev.performer.graph.TensorNames;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Keras 3's variables in what {@code tf.saved_model.save} writes of its models and layers:
 * functions read one that nothing restores, while {@code variables/} fills a copy, initialized from
 * it. Only Python's own loader, which goes by objects, puts the stored value where it is read.
 */
final class CopiedVariables {
  private CopiedVariables() {}

  /** The node of the copy by the node of the variable that is read. */
  static Map<String, String> of(MetaGraphDef metaGraph) {
    Map<String, String> copies = new HashMap<>();
    if (metaGraph.hasObjectGraphDef()) { // in TensorFlow 1, one may begin as another's value
      GraphIndex index = new GraphIndex(metaGraph.getGraphDef().getNodeList());
      for (NodeDef node : metaGraph.getGraphDef().getNodeList()) {
        if (node.getOp().equals("AssignVariableOp")) {
          String copy = TensorNames.node(node.getInput(0));
          read(node.getInput(1), index).ifPresent(variable -> copies.put(variable, copy));
        }
      }
    }
    return copies;
  }

  private static Optional<String> read(String value, GraphIndex index) {
    return index
        .find(index.source(value, Set.of("Identity")))
        .filter(node -> node.getOp().equals("ReadVariableOp"))
        .flatMap(node -> index.find(node.getInput(0)))
        .filter(node -> node.getOp().equals("VarHandleOp"))
        .map(NodeDef::getName);
  }

  /** Gives variables that are read the values of their copies, both by node. */
  static void fill(Graph graph, Session session, Map<String, String> copies) {
    if (copies.isEmpty()) {
      return;
    }
    Ops tf = Ops.create(graph).withSubScope("copied_variables");
    Session.Runner runner = session.runner();
    copies.forEach(
        (variable, copy) -> {
          GraphOperation handle = (GraphOperation) graph.operationOrThrow(variable);
          var type = handle.attributes().getAttrType("dtype");
          var read = tf.scope().opBuilder("ReadVariableOp", "Read");
          read.addInput(graph.operationOrThrow(copy).output(0)).setAttr("dtype", type);
          var assignment = tf.scope().opBuilder("AssignVariableOp", "Assign");
          assignment.addInput(handle.output(0)).addInput(read.build().output(0));
          runner.addTarget(assignment.setAttr("dtype", type).build());
        });
    runner.run().close();
  }
}
