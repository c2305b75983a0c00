package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Parts with dropout that is another at each run. A network of matrices and ReLUs is homogeneous in
 * each matrix: {@code ⟨∂y/∂W, W⟩ = y}, which holds if gradients are of the very masks that made
 * {@code y}, and of no others.
 */
class GraphPartsTest {
  private static final int LAYERS = 6;
  private static final int SIZE = 24;

  private final Graph graph = new Graph();
  private final Ops tf = Ops.create(graph);
  private final Variables variables = new Variables(tf);
  private final Operand<TFloat32> x =
      tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, SIZE)));
  private final Output<?> calls =
      Variable.handle(tf, "calls", "calls", TInt32.class, Shape.scalar());

  private Operand<TFloat32> network(boolean isStateless) {
    Operand<TFloat32> h = x;
    for (int i = 0; i < LAYERS; i++) {
      var seeds =
          tf.random.statelessRandomNormal(tf.array(SIZE, SIZE), tf.constant(new int[] {i, 7}));
      var start = tf.math.mul(tf.dtypes.cast(seeds, TFloat32.class), tf.constant(0.4f));
      Variable weight = variables.create("w" + i, Shape.of(SIZE, SIZE), true, start);
      for (int k = 0; k < 3; k++) {
        h = tf.nn.relu(tf.linalg.matMul(h, weight.<TFloat32>read(tf)));
        h = tf.math.add(h, tf.math.abs(tf.math.mul(h, tf.constant(0.5f))));
      }
      // As Keras does: the shape of what is computed, and not of what is fed.
      var shape = tf.shape(h);
      Operand<TFloat32> random =
          isStateless
              ? tf.random.statelessRandomUniform(
                  shape, tf.constant(new int[] {i, 3}), TFloat32.class)
              : tf.random.randomUniform(shape, TFloat32.class);
      var kept = tf.math.greaterEqual(random, tf.constant(0.4f));
      var counted =
          tf.scope()
              .opBuilder("AssignAddVariableOp", "count")
              .addInput(calls)
              .addInput(tf.constant(1).asOutput())
              .build();
      Ops behind = tf.withControlDependencies(() -> counted);
      h = behind.math.mul(h, behind.dtypes.cast(kept, TFloat32.class));
    }
    return h;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void masksAreThoseOfTheForwardPassAndNothingIsDoneTwice(boolean isStateless) {
    try (graph) {
      Operand<TFloat32> y = network(isStateless);
      Recomputation parts = new Recomputation();
      String name = y.asOutput().op().name();
      Output<?> copy =
          GraphParts.of(graph, graph.toGraphDef(), List.of(name), variables.all(), parts).get(0);
      var loss = tf.reduceSum(copy.expect(TFloat32.class), tf.array(0, 1)).asOutput();
      List<Output<?>> handles = new ArrayList<>();
      variables.all().forEach(variable -> handles.add(variable.handle()));
      var gradients = LossGradients.find(graph, loss, handles, parts);
      List<Output<?>> fetched = new ArrayList<>(List.of(loss));
      for (int i = 0; i < LAYERS; i++) {
        var gradient = gradients.get(i).orElseThrow().expect(TFloat32.class);
        var inner = tf.math.mul(gradient, variables.all().get(i).<TFloat32>read(tf));
        fetched.add(tf.reduceSum(inner, tf.array(0, 1)).asOutput());
      }
      var zero =
          tf.scope()
              .opBuilder("AssignVariableOp", "zero")
              .addInput(calls)
              .addInput(tf.constant(0).asOutput())
              .build();
      Output<?> count = tf.readVariableOp((Output) calls, TInt32.class).asOutput();
      try (Session session = new Session(graph, false);
          var fed = Tensors.of(ones(), 5, SIZE)) {
        variables.initialize(session);
        session.runner().addTarget(zero).run().close();
        double[] losses = new double[2];
        for (int run = 0; run < 2; run++) {
          var runner = session.runner().feed(x, fed);
          fetched.forEach(runner::fetch);
          try (var result = runner.run()) {
            losses[run] = Tensors.floats(result.get(0))[0];
            assertThat(losses[run]).isGreaterThan(1e-3);
            for (int i = 0; i < LAYERS; i++) {
              // Each matrix is used three times.
              double of = Tensors.floats(result.get(1 + i))[0] / 3;
              assertThat(of).as("w%d", i).isCloseTo(losses[run], within(1e-4 * losses[run]));
            }
          }
        }
        assertThat(losses[0] == losses[1]).isEqualTo(isStateless);
        try (var result = session.runner().fetch(count).run()) {
          assertThat(((TInt32) result.get(0)).getInt()).isEqualTo(2 * LAYERS);
        }
      }
      assertThat(parts.isEmpty()).isFalse();
    }
  }

  private static float[] ones() {
    float[] ones = new float[5 * SIZE];
    for (int i = 0; i < ones.length; i++) {
      ones[i] = 1 + 0.1f * (i % 7);
    }
    return ones;
  }

  @Test
  void aGradientThroughWhatCannotBeRepeatedIsRefused() {
    try (graph) {
      Operand<TFloat32> h = network(true);
      var drawn = tf.scope().opBuilder("RandomGamma", "drawn").addInput(tf.array(3).asOutput());
      var gamma = drawn.addInput(tf.math.abs(h).asOutput()).build().output(0);
      String name = gamma.op().name();
      var known = variables.all();
      var nodes = graph.toGraphDef();
      assertThatThrownBy(
              () -> GraphParts.of(graph, nodes, List.of(name), known, new Recomputation()))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("cannot repeat RandomGamma (node drawn)");
    }
  }
}
