package dev.performer.training.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.training.optim.OptimizerOps.Minimized;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

class OptimizerOpsTest {
  @Test
  void theFirstStepIsTheLearningRateInTheGradientsDirection() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Variable x = variables.create("x", Shape.of(2), true, tf.constant(new float[] {3f, -1f}));
      var loss = tf.reduceSum(tf.math.square(x.<TFloat32>read(tf)), tf.constant(0));
      OptimizerOps adam =
          build(graph, loss.asOutput(), variables, new Optimizer.AdamW(.9, .999, 1e-12, 0, false));
      try (Session session = new Session(graph, false)) {
        variables.initialize(session);
        adam.initializer().accept(session);
        assertThat(step(session, adam, 0.5)).isCloseTo(Math.sqrt(40), within(1e-5));
        assertThat(read(session, x)).containsExactly(new float[] {2.5f, -0.5f}, within(1e-6f));
      }
    }
  }

  @Test
  void leavesAloneAndReportsWhatTheLossDoesNotDependOn() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Variable used = variables.create("used", Shape.scalar(), true, tf.constant(1f));
      Variable apart = variables.create("apart", Shape.scalar(), true, tf.constant(2f));
      Variable stopped = variables.create("stopped", Shape.scalar(), true, tf.constant(3f));
      Variable fixed = variables.create("fixed", Shape.scalar(), false, tf.constant(4f));
      var loss =
          tf.math.mul(
              tf.math.square(used.<TFloat32>read(tf)),
              tf.math.mul(tf.stopGradient(stopped.<TFloat32>read(tf)), fixed.<TFloat32>read(tf)));
      OptimizerOps adam = build(graph, loss.asOutput(), variables, Optimizer.ADAMW);
      assertThat(adam.gradients().variables()).containsExactly(used);
      assertThat(adam.gradients().unused()).containsExactlyInAnyOrder(apart, stopped);
      try (Session session = new Session(graph, false)) {
        variables.initialize(session);
        adam.initializer().accept(session);
        step(session, adam, 0.1);
        assertThat(read(session, used)).containsExactly(new float[] {0.9f}, within(1e-6f));
        assertThat(read(session, apart)).containsExactly(2f);
        assertThat(read(session, stopped)).containsExactly(3f);
        assertThat(read(session, fixed)).containsExactly(4f);
      }
    }
  }

  @Test
  void refusesALossWithoutVariables() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      variables.create("apart", Shape.scalar(), true, tf.constant(2f));
      assertThatThrownBy(() -> build(graph, tf.constant(1f).asOutput(), variables, Optimizer.ADAMW))
          .hasMessageContaining("depends on no trainable variable");
    }
  }

  @Test
  void sparesBiasesAndNormalisationsFromDecay() {
    assertThat(List.of("dense/kernel", "embedding/embeddings", "abc/normal_mapping/w"))
        .allMatch(name -> UpdateRule.decays(variable(name, 4, 4)));
    assertThat(
            List.of(
                "query/bias",
                "layer_norm/x",
                "ln/gamma",
                "ln/beta:0",
                "LayerNorm_1/scale",
                "batch_normalization_2/x"))
        .noneMatch(name -> UpdateRule.decays(variable(name, 4, 4)));
    assertThat(UpdateRule.decays(variable("dense/kernel", 4))).isFalse();
  }

  /** Weights of any floating type have moments of that type, in double precision too. */
  @Test
  void adamTrainsDoubles() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      var start = tf.constant(new double[] {3, -1});
      Variable x = variables.create("x", Shape.of(2), true, start);
      var squares = tf.math.square(x.<TFloat64>read(tf));
      var loss = tf.dtypes.cast(tf.reduceSum(squares, tf.constant(0)), TFloat32.class);
      OptimizerOps adam =
          build(graph, loss.asOutput(), variables, new Optimizer.AdamW(.9, .999, 1e-12, .1, true));
      assertThat(adam.slots()).filteredOn(slot -> slot.type() == TFloat64.class).hasSize(2);
      assertThatThrownBy(() -> build(graph, loss.asOutput(), variables, Optimizer.named("lion")))
          .hasMessage("x is not float32, which only adamw trains, not lion");
      try (Session session = new Session(graph, false)) {
        variables.initialize(session);
        adam.initializer().accept(session);
        step(session, adam, 0.5);
        try (Result result = session.runner().fetch(x.<TFloat64>read(tf)).run()) {
          double[] expected = {3 - 0.5 * (1 + 0.1 * 3), -1 + 0.5 * (1 + 0.1)};
          assertThat(Tensors.doubles(result.get(0))).containsExactly(expected, within(1e-6));
        }
      }
    }
  }

  private static OptimizerOps build(
      Graph graph, Output<TFloat32> loss, Variables variables, Optimizer optimizer) {
    return OptimizerOps.build(
        graph,
        Minimized.mean(loss, null),
        variables.all(),
        ParameterGroups.ALL,
        null,
        optimizer,
        0);
  }

  private static Variable variable(String name, long... shape) {
    return new Variable(name, null, TFloat32.class, Shape.of(shape), true, name);
  }

  private static double step(Session session, OptimizerOps adam, double rate) {
    try (TFloat64 fed = TFloat64.scalarOf(rate);
        Result result =
            session
                .runner()
                .feed(adam.learningRate(), fed)
                .addTarget(adam.update())
                .fetch(adam.gradientNorm())
                .run()) {
      return Tensors.doubles(result.get(0))[0];
    }
  }

  private static float[] read(Session session, Variable variable) {
    // The read op that the model already has; any will do.
    var consumers = ((GraphOperation) variable.handle().op()).consumers();
    String read =
        consumers.stream()
            .filter(op -> op.type().equals("ReadVariableOp"))
            .map(GraphOperation::name)
            .findFirst()
            .orElseGet(() -> variable.read(Ops.create(session.graph())).op().name());
    try (Result result = session.runner().fetch(read).run()) {
      return Tensors.floats(result.get(0));
    }
  }
}
