package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

class AdamWTest {
  /** One matrix W [3, 2] and one bias [2]; loss Σ (W·a + b − c)² with fixed a, c. */
  private static final float[] START = {0.5f, -1f, 0.25f, 2f, -0.75f, 1.5f};

  private static final double[] A = {1, -2, 0.5};
  private static final double[] C = {3, -4};

  @ParameterizedTest
  @CsvSource({
    "0.9, 0.999, 1e-8, 0, 0",
    "0.9, 0.98, 1e-9, 0.1, 0",
    "0.9, 0.98, 1e-3, 0.01, 1",
    "0.5, 0.9, 1e-3, 0.5, 1e6",
    "0.9, 0.98, 0.1, 0, 0.05"
  })
  void agreesWithTheFormulaInFloat64(
      double beta1, double beta2, double epsilon, double decay, double clip) {
    AdamW.Config config = new AdamW.Config(beta1, beta2, epsilon, decay, clip);
    NaiveAdamW naive = new NaiveAdamW(config);
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      var initial = tf.reshape(tf.constant(START), tf.constant(new int[] {3, 2}));
      Variable w = variables.create("layer/kernel", Shape.of(3, 2), true, initial);
      Variable b = variables.create("layer/bias", Shape.of(2), true, tf.constant(new float[2]));
      Operand<TFloat32> a = tf.constant(new float[][] {{1f, -2f, 0.5f}});
      var y = tf.math.add(tf.linalg.matMul(a, w.<TFloat32>read(tf)), b.<TFloat32>read(tf));
      var loss =
          tf.reduceSum(
              tf.math.squaredDifference(y, tf.constant(new float[] {3f, -4f})),
              tf.constant(new int[] {0, 1}));
      AdamW adam = AdamW.build(graph, loss.asOutput(), variables.all(), config);
      try (Session session = new Session(graph, false)) {
        variables.initialize(session);
        adam.initializer().accept(session);
        for (int step = 0; step < 40; step++) {
          double rate = 0.05 / (1 + step);
          double norm = step(session, adam, rate);
          double expected = naive.step(rate);
          assertThat(norm).isCloseTo(expected, within(2e-5 * Math.max(1, expected)));
        }
        assertClose(read(session, w), naive.w);
        assertClose(read(session, b), naive.b);
        assertThat(adam.slots()).hasSize(5);
      }
    }
  }

  @Test
  void theFirstStepIsTheLearningRateInTheGradientsDirection() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Variable x = variables.create("x", Shape.of(2), true, tf.constant(new float[] {3f, -1f}));
      var loss = tf.reduceSum(tf.math.square(x.<TFloat32>read(tf)), tf.constant(0));
      AdamW adam =
          AdamW.build(
              graph, loss.asOutput(), variables.all(), new AdamW.Config(.9, .999, 1e-12, 0, 0));
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
      AdamW adam = AdamW.build(graph, loss.asOutput(), variables.all(), AdamW.Config.DEFAULT);
      assertThat(adam.trained()).containsExactly(used);
      assertThat(adam.unused()).containsExactlyInAnyOrder(apart, stopped);
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
      assertThatThrownBy(
              () ->
                  AdamW.build(
                      graph, tf.constant(1f).asOutput(), variables.all(), AdamW.Config.DEFAULT))
          .hasMessageContaining("depends on no trainable variable");
    }
  }

  @Test
  void sparesBiasesAndNormalisationsFromDecay() {
    assertThat(List.of("dense/kernel", "embedding/embeddings", "abc/normal_mapping/w"))
        .allMatch(name -> AdamW.decays(variable(name, 4, 4)));
    assertThat(
            List.of(
                "query/bias",
                "layer_norm/x",
                "ln/gamma",
                "ln/beta:0",
                "LayerNorm_1/scale",
                "batch_normalization_2/x"))
        .noneMatch(name -> AdamW.decays(variable(name, 4, 4)));
    assertThat(AdamW.decays(variable("dense/kernel", 4))).isFalse();
  }

  private static Variable variable(String name, long... shape) {
    return new Variable(name, null, TFloat32.class, Shape.of(shape), true, name);
  }

  private static double step(Session session, AdamW adam, double rate) {
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

  private static void assertClose(float[] actual, double[] expected) {
    for (int i = 0; i < actual.length; i++) {
      assertThat((double) actual[i]).isCloseTo(expected[i], within(3e-5));
    }
  }

  /** The formula as written, in float64. */
  private static final class NaiveAdamW {
    private final AdamW.Config config;
    private final double[] w = new double[6];
    private final double[] b = new double[2];
    private final double[][] m = {new double[6], new double[2]};
    private final double[][] v = {new double[6], new double[2]};
    private int t;

    NaiveAdamW(AdamW.Config config) {
      this.config = config;
      for (int i = 0; i < 6; i++) {
        w[i] = START[i];
      }
    }

    /** Returns the gradient's norm before clipping. */
    double step(double rate) {
      t++;
      double[] gw = new double[6];
      double[] gb = new double[2];
      for (int j = 0; j < 2; j++) {
        double y = b[j];
        for (int i = 0; i < 3; i++) {
          y += A[i] * w[i * 2 + j];
        }
        gb[j] = 2 * (y - C[j]);
        for (int i = 0; i < 3; i++) {
          gw[i * 2 + j] = A[i] * gb[j];
        }
      }
      double norm = 0;
      for (double g : gw) {
        norm += g * g;
      }
      for (double g : gb) {
        norm += g * g;
      }
      norm = Math.sqrt(norm);
      double scale = config.clipNorm() > 0 ? Math.min(1, config.clipNorm() / norm) : 1;
      update(w, gw, m[0], v[0], scale, rate, config.weightDecay());
      update(b, gb, m[1], v[1], scale, rate, 0);
      return norm;
    }

    private void update(
        double[] x, double[] g, double[] m, double[] v, double scale, double rate, double decay) {
      for (int i = 0; i < x.length; i++) {
        double clipped = g[i] * scale;
        m[i] = config.beta1() * m[i] + (1 - config.beta1()) * clipped;
        v[i] = config.beta2() * v[i] + (1 - config.beta2()) * clipped * clipped;
        double mHat = m[i] / (1 - Math.pow(config.beta1(), t));
        double vHat = v[i] / (1 - Math.pow(config.beta2(), t));
        x[i] -= rate * (mHat / (Math.sqrt(vHat) + config.epsilon()) + decay * x[i]);
      }
    }
  }
}
