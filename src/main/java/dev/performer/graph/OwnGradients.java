package dev.performer.graph;

import dev.performer.graph.FlatGraph.Call;
import java.util.List;
import java.util.Optional;
import org.tensorflow.Graph;
import org.tensorflow.proto.NodeDef;

/** Gradients that a model brings along for nodes of its own. */
public interface OwnGradients {
  /** What pruning must keep for a node's gradient. */
  List<String> alsoNeeded(NodeDef node, Optional<Call> call);

  /** Inputs of a node that get no gradient, though TensorFlow would follow them. */
  List<Integer> stopped(NodeDef node);

  /** Gives the nodes of an imported graph their gradients; before any gradient is added. */
  void attach(Graph graph, FlatGraph flat);
}
