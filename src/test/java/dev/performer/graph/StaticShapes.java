package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;

import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;

/** Every tensor's shape is known when the graph is built, as a TPU demands. */
public final class StaticShapes {
  // Its results are axes, which XLA computes when it compiles.
  private static final String AXES_OP = "BroadcastGradientArgs";

  private StaticShapes() {}

  /** Fails with the first op that makes a tensor of another kind. */
  public static void require(Graph graph) {
    for (var operations = graph.operations(); operations.hasNext(); ) {
      GraphOperation operation = operations.next();
      for (int i = 0; i < operation.numOutputs() && !operation.type().equals(AXES_OP); i++) {
        assertThat(operation.output(i).shape().hasUnknownDimension())
            .as("%s (node %s) has no static shape", operation.type(), operation.name())
            .isFalse();
      }
    }
  }
}
