package dev.performer.training.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.recipe.TinyRecipe;
import dev.performer.training.optim.OptimizerOps.Minimized;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

class OptimizerTest {
  private static final List<Shape> SHAPES = List.of(Shape.of(6, 4), Shape.of(4, 2, 3), Shape.of(5));
  private static final List<String> NAMES = List.of("a/kernel", "b/kernel", "c/bias");
  // As matrices whose sides are nearest to each other.
  private static final int[] ROWS = {6, 4, 1};

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{name: adamw}",
        "{name: adamw, beta2: 0.999, epsilon: 1.0e-3, weightDecay: 0.3, decaysAll: true}",
        "{name: adafactor, smallestFactored: 2}",
        "{name: adafactor}",
        "{name: adafactor, smallestFactored: 2, beta1: 0.9, relative: false, weightDecay: 0.1}",
        "{name: adafactor, smallestFactored: 3, clipThreshold: 0.2, decayExponent: 0.5, epsilon2: 2}",
        "{name: sgd, momentum: 0, weightDecay: 0.1}",
        "{name: sgd}",
        "{name: sgd, momentum: 0.8, nesterov: true}",
        "{name: lion}",
        "{name: lion, beta1: 0.5, weightDecay: 0.5}",
      })
  void agreesWithTheFormulaInFloat64(String yaml) {
    Optimizer optimizer = Optimizer.of(TinyRecipe.tree(yaml));
    for (double clip : new double[] {0, 1.5}) {
      try (Bench bench = new Bench(optimizer, clip, 1, 0)) {
        for (int step = 0; step < 12; step++) {
          bench.step(0.05 / (1 + 0.1 * step));
        }
        bench.assertAgrees();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"adamw", "adafactor", "sgd", "lion"})
  void accumulatesGradientsByTheGuessesOfEachBatch(String name) {
    try (Bench bench = new Bench(Optimizer.named(name), 1.5, 3, 0)) {
      for (int step = 0; step < 5; step++) {
        bench.step(0.05);
      }
      bench.assertAgrees();
    }
  }

  @Test
  void averagesFollowTheWeights() {
    try (Bench bench = new Bench(Optimizer.named("sgd"), 0, 1, 0.8)) {
      for (int step = 0; step < 30; step++) {
        bench.step(0.05);
      }
      bench.assertAgrees();
    }
  }

  @Test
  void aGradientThatIsNotFiniteChangesNothing() {
    try (Bench bench = new Bench(Optimizer.named("adamw"), 1, 1, 0.9)) {
      bench.step(0.05);
      List<float[]> before = bench.all();
      bench.gradients.get(1)[3] = Double.NaN;
      assertThatThrownBy(() -> bench.run(0.05)).hasMessageContaining(OptimizerOps.NOT_FINITE);
      List<float[]> after = bench.all();
      for (int i = 0; i < before.size(); i++) {
        assertThat(after.get(i)).isEqualTo(before.get(i));
      }
    }
  }

  @Test
  void isWrittenAndReadWithEveryConstant() {
    for (Optimizer optimizer : Optimizer.DEFAULTS) {
      JsonNode json = StrictJson.tree(optimizer);
      assertThat(json.path("name").textValue()).isEqualTo(optimizer.label());
      assertThat(Optimizer.of(json)).isEqualTo(optimizer);
      assertThat(Optimizer.of(JsonNodeFactory.instance.textNode(optimizer.label())))
          .isEqualTo(optimizer);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{name: adam} | no optimizer 'adam'; did you mean adamw?",
        "{name: adamw, beta3: 1} | optimizer adamw: unknown key beta3; did you mean beta1?",
        "{name: sgd, beta1: 0.5} | optimizer sgd: unknown key beta1",
        "{name: lion, beta1: 1.5} | beta1 must be in [0, 1), not 1.5",
        "{name: sgd, momentum: 0, nesterov: true} | nesterov needs momentum above 0",
        "{beta1: 0.5} | expected a name such as adamw, or an object with the key name",
        "{name: adamw, beta1: high} | key beta1: expected a number",
      })
  void refusesWhatItDoesNotKnow(String wrong) {
    String[] parts = wrong.split(" \\| ");
    assertThatThrownBy(() -> Optimizer.of(TinyRecipe.tree(parts[0])))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(parts[1]);
  }

  /** Variables with random gradients, beside the same in float64. */
  private static final class Bench implements AutoCloseable {
    private final Random random = new Random(7);
    private final Graph graph = new Graph();
    private final Ops tf = Ops.create(graph);
    private final Variables variables = new Variables(tf);
    private final List<Operand<TFloat32>> feeds = new ArrayList<>();
    private final Operand<TFloat32> weight =
        tf.placeholder(TFloat32.class, Placeholder.shape(Shape.scalar()));
    private final Averages averages;
    private final OptimizerOps ops;
    private final Session session;
    private final NaiveOptimizer naive;
    private final double clip;
    private final int parts;
    private final double decay;
    private final List<double[]> expected = new ArrayList<>();
    private final List<double[]> expectedAverages = new ArrayList<>();
    private List<double[]> gradients = new ArrayList<>();
    private int steps;

    Bench(Optimizer optimizer, double clip, int parts, double decay) {
      this.clip = clip;
      this.parts = parts;
      this.decay = decay;
      naive = new NaiveOptimizer(optimizer);
      List<Operand<TFloat32>> products = new ArrayList<>();
      for (int i = 0; i < SHAPES.size(); i++) {
        float[] start = floats(randoms(SHAPES.get(i)));
        expected.add(doubles(start));
        expectedAverages.add(doubles(start));
        var initial = tf.reshape(tf.constant(start), tf.constant(SHAPES.get(i)));
        Variable x = variables.create(NAMES.get(i), SHAPES.get(i), true, initial);
        Operand<TFloat32> g = tf.placeholder(TFloat32.class, Placeholder.shape(SHAPES.get(i)));
        feeds.add(g);
        var flat = tf.reshape(tf.math.mul(x.<TFloat32>read(tf), g), tf.constant(new int[] {-1}));
        products.add(tf.reduceSum(flat, tf.constant(0)));
      }
      averages = decay == 0 ? null : Averages.create(variables, variables.trainable(), decay);
      Op begin = averages == null ? tf.noOp() : averages.initializer(tf);
      ops =
          OptimizerOps.build(
              graph,
              Minimized.mean(tf.math.addN(products).asOutput(), parts == 1 ? null : weight),
              variables.trainable(),
              ParameterGroups.ALL,
              averages,
              optimizer,
              clip);
      session = new Session(graph, false);
      variables.initialize(session);
      session.runner().addTarget(begin).run().close();
      ops.initializer().accept(session);
    }

    void step(double rate) {
      List<double[]> mean = new ArrayList<>();
      SHAPES.forEach(shape -> mean.add(new double[(int) shape.size()]));
      double total = 0;
      for (int part = 0; part < parts; part++) {
        gradients = SHAPES.stream().map(this::randoms).toList();
        double share = parts == 1 ? 1 : 1 + random.nextInt(9);
        total += share;
        for (int i = 0; i < mean.size(); i++) {
          for (int j = 0; j < mean.get(i).length; j++) {
            mean.get(i)[j] += share * (float) gradients.get(i)[j];
          }
        }
        if (parts > 1) {
          add(share);
        }
      }
      double norm = 0;
      for (double[] g : mean) {
        for (int j = 0; j < g.length; j++) {
          g[j] /= total;
          norm += g[j] * g[j];
        }
      }
      norm = Math.sqrt(norm);
      assertThat(run(rate)).isCloseTo(norm, within(1e-5 * norm));
      double scale = clip == 0 ? 1 : Math.min(1, clip / norm);
      naive.next();
      steps++;
      double d = Math.min(decay, (1.0 + steps) / (10 + steps));
      for (int i = 0; i < mean.size(); i++) {
        double[] clipped = Arrays.stream(mean.get(i)).map(g -> g * scale).toArray();
        double[] x = expected.get(i);
        naive.update(NAMES.get(i), x, clipped, ROWS[i], rate, SHAPES.get(i).numDimensions() > 1);
        for (int j = 0; j < x.length; j++) {
          expectedAverages.get(i)[j] = d * expectedAverages.get(i)[j] + (1 - d) * x[j];
        }
      }
    }

    private void add(double share) {
      Session.Runner runner = session.runner().addTarget(ops.accumulate());
      List<Tensor> tensors = feed(runner);
      try (TFloat32 fed = TFloat32.scalarOf((float) share)) {
        runner.feed(weight, fed).run().close();
      } finally {
        tensors.forEach(Tensor::close);
      }
    }

    double run(double rate) {
      Session.Runner runner = session.runner().addTarget(ops.update()).fetch(ops.gradientNorm());
      List<Tensor> tensors = parts == 1 ? feed(runner) : List.of();
      try (TFloat64 fed = TFloat64.scalarOf(rate);
          Result result = runner.feed(ops.learningRate(), fed).run()) {
        return Tensors.doubles(result.get(0))[0];
      } finally {
        tensors.forEach(Tensor::close);
      }
    }

    private List<Tensor> feed(Session.Runner runner) {
      List<Tensor> tensors = new ArrayList<>();
      for (int i = 0; i < feeds.size(); i++) {
        Tensor tensor = Tensors.of(floats(gradients.get(i)), SHAPES.get(i).asArray());
        tensors.add(tensor);
        runner.feed(feeds.get(i), tensor);
      }
      return tensors;
    }

    void assertAgrees() {
      for (int i = 0; i < NAMES.size(); i++) {
        Variable variable = variables.get(NAMES.get(i));
        assertClose(read(variable), expected.get(i));
        if (averages != null) {
          assertClose(read(averages.of(variable)), expectedAverages.get(i));
        }
      }
    }

    /** Weights, averages and slots. */
    List<float[]> all() {
      List<float[]> values = new ArrayList<>();
      for (Variable variable : variables.all()) {
        values.add(read(variable));
      }
      for (Variable slot : ops.slots()) {
        if (slot.type() == TFloat32.class) {
          values.add(read(slot));
        }
      }
      return values;
    }

    private float[] read(Variable variable) {
      try (Result result = session.runner().fetch(variable.<TFloat32>read(tf)).run()) {
        return Tensors.floats(result.get(0));
      }
    }

    private double[] randoms(Shape shape) {
      return random.doubles(shape.size()).map(u -> 2 * u - 1).toArray();
    }

    @Override
    public void close() {
      session.close();
      graph.close();
    }

    private static void assertClose(float[] actual, double[] expected) {
      for (int i = 0; i < actual.length; i++) {
        assertThat((double) actual[i]).isCloseTo(expected[i], within(2e-6));
      }
    }

    private static float[] floats(double[] values) {
      float[] floats = new float[values.length];
      for (int i = 0; i < values.length; i++) {
        floats[i] = (float) values[i];
      }
      return floats;
    }

    private static double[] doubles(float[] values) {
      double[] doubles = new double[values.length];
      for (int i = 0; i < values.length; i++) {
        doubles[i] = values[i];
      }
      return doubles;
    }
  }

  /** As docs/architecture.md has it: the record and its rule, and no third place in main. */
  @ParameterizedTest
  @ValueSource(strings = {"Lion", "Sgd"})
  void anOptimizerIsTwoFiles(String name) throws IOException {
    try (Stream<Path> files = Files.walk(Path.of("src/main/java"))) {
      List<String> naming = new ArrayList<>();
      for (Path file : files.filter(f -> f.toString().endsWith(".java")).toList()) {
        if (Files.readString(file).matches("(?s).*(Optimizer[.]|record )" + name + "\\b.*")) {
          naming.add(file.getFileName().toString());
        }
      }
      assertThat(naming).containsExactlyInAnyOrder("Optimizer.java", "UpdateRule.java");
    }
  }
}
