package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.LossGradients;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/** The models of make_loops.py: loops, tensor lists, branches and recurrent layers. */
class LoopModelsTest {
  static Stream<String> signatures() {
    return Stream.of("loops", "recurrent")
        .flatMap(
            name ->
                SavedModelDirectory.open(path(name)).signatures().keySet().stream()
                    .filter(signature -> !signature.matches(".*_(random|refused)"))
                    .map(signature -> name + " " + signature));
  }

  private static Path path(String name) {
    return ReferenceModels.directory("made/" + name).resolve("saved_model");
  }

  @ParameterizedTest
  @MethodSource("signatures")
  void differentiatesLikePython(String test) {
    String name = test.split(" ")[0];
    String signature = test.split(" ")[1];
    var expected =
        ReferenceModels.under(ReferenceModels.arrays("made/" + name, "expected.npz"), signature);
    try (ImportedModel model = ImportedModel.load(path(name), signature)) {
      var inputs = ReferenceModels.under(expected, "in0");
      var outputs = ModelComparison.predict(model, signature, inputs);
      double error = ModelComparison.difference(outputs.get("y"), expected.get("out/y"));
      assertThat(error).isLessThan(1e-5);
      assertThat(model.trainability().isTrainable()).as(model.trainability().summary()).isTrue();
      Map<String, double[]> gradients = ModelComparison.gradients(model, signature, inputs);
      Map<String, NpyArray> python = ReferenceModels.under(expected, "grad");
      List<Variable> variables = model.trainability().trainable();
      assertThat(variables).extracting(Variable::name).containsAll(python.keySet());
      for (Variable variable : variables) {
        double[] gradient = gradients.get(variable.handle().op().name());
        NpyArray wanted = python.get(variable.name());
        if (wanted == null) { // Python finds that nothing depends on it
          assertThat(gradient).as(variable.name()).containsOnly(0);
        } else {
          assertThat(ModelComparison.difference(gradient, wanted))
              .as(variable.name())
              .isLessThan(1e-5);
        }
      }
    }
  }

  /** The output is linear in b: what the gradient has drawn must be what the output was made of. */
  @ParameterizedTest
  @ValueSource(strings = {"while_noise_random", "nested_noise_random", "cond_noise_random"})
  void differentiatesWhatWasDrawn(String signature) {
    try (ImportedModel model = ImportedModel.load(path("loops"), signature);
        Session session = new Session(model.graph());
        Tensor x = ramp(5)) {
      Ops tf = Ops.create(model.graph());
      Variable b = model.trainability().trainable().get(0);
      assertThat(b.name()).isEqualTo("b");
      Output<?> y = model.output(signature, "y"); // [E]
      Output<?> gradient = LossGradients.find(model.graph(), y, List.of(b)).get(0).orElseThrow();
      model.restore(session);
      var runner = session.runner().feed(model.input(signature, "x"), x);
      for (Output<?> output : List.of(y, b.read(tf).asOutput(), gradient)) {
        runner.fetch(ModelComparison.wide(tf, output));
      }
      try (var result = runner.run()) {
        double[] outputs = Tensors.doubles(result.get(0));
        double[] values = Tensors.doubles(result.get(1));
        double[] gradients = Tensors.doubles(result.get(2));
        for (int i = 0; i < outputs.length; i++) {
          assertThat(gradients[i] * values[i]).isCloseTo(outputs[i], within(1e-5));
        }
        assertThat(gradients).doesNotContain(0);
      }
    }
  }

  /** Central differences in float64, by the number of iterations. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 7})
  void agreesWithDifferences(int length) {
    String signature = "while_wide";
    try (ImportedModel model = ImportedModel.load(path("loops"), signature);
        Session session = new Session(model.graph());
        Tensor x = ramp(length)) {
      Ops tf = Ops.create(model.graph());
      Variable wide = model.trainability().trainable().get(0);
      Output<?> loss =
          tf.math.sin(ModelComparison.wide(tf, model.output(signature, "y"))).asOutput();
      Output<?> gradient =
          LossGradients.find(model.graph(), loss, List.of(wide)).get(0).orElseThrow();
      model.restore(session);
      var value = wide.<TFloat64>read(tf);
      double[] gradients;
      try (var result =
          session.runner().feed(model.input(signature, "x"), x).fetch(gradient).run()) {
        gradients = Tensors.doubles(result.get(0));
      }
      var delta = tf.placeholder(TFloat64.class);
      var changed = tf.assignVariableOp(wide.handle(), tf.math.add(value, delta));
      for (int i = 0; i < gradients.length; i++) {
        double[] losses = new double[2];
        for (int side = 0; side < 2; side++) {
          double step = side == 0 ? 1e-5 : -2e-5;
          move(session, delta, changed, i, step);
          try (var result =
              session.runner().feed(model.input(signature, "x"), x).fetch(loss).run()) {
            losses[side] = Arrays.stream(Tensors.doubles(result.get(0))).sum();
          }
        }
        move(session, delta, changed, i, 1e-5);
        assertThat(gradients[i]).isCloseTo((losses[0] - losses[1]) / 2e-5, within(1e-8));
      }
    }
  }

  private static void move(Session session, Operand<?> delta, Op changed, int at, double step) {
    double[] values = new double[16];
    values[at] = step;
    try (var d = TFloat64.tensorOf(Shape.of(4, 4), DataBuffers.of(values))) {
      session.runner().feed(delta.asOutput(), d).addTarget(changed).run().close();
    }
  }

  private static Tensor ramp(int length) {
    return TFloat32.tensorOf(
        Shape.of(2, length, 4),
        data -> data.scalars().forEachIndexed((i, s) -> s.setFloat(0.1f * i[1] - 0.05f * i[2])));
  }

  /** What a step keeps of a long loop is gone after it. */
  @Test
  void freesWhatItKept() {
    String signature = "while_dynamic";
    try (ImportedModel model = ImportedModel.load(path("loops"), signature);
        Session session = new Session(model.graph());
        Tensor x = ramp(1000)) {
      Variable w = model.trainability().trainable().get(0);
      Output<?> gradient =
          LossGradients.find(model.graph(), model.output(signature, "y"), List.of(w))
              .get(0)
              .orElseThrow();
      model.restore(session);
      long before = 0;
      for (int step = 0; step < 60; step++) {
        if (step == 20) {
          before = Pointer.physicalBytes();
        }
        session.runner().feed(model.input(signature, "x"), x).fetch(gradient).run().close();
      }
      assertThat(Pointer.physicalBytes() - before).isLessThan(20L << 20);
    }
  }

  @Test
  void namesTheOpInTheBodyThatHasNoGradient() {
    try (ImportedModel model = ImportedModel.load(path("loops"), "while_eig_refused")) {
      var obstacles = model.trainability().obstacles();
      assertThat(obstacles)
          .singleElement()
          .satisfies(
              obstacle -> {
                assertThat(obstacle.op()).isEqualTo("Eig");
                assertThat(obstacle.function()).startsWith("while_body_");
              });
      assertThat(model.trainability().blocked()).extracting(Variable::name).contains("w");
      var variables = model.trainability().blocked();
      Output<?> y = model.output("while_eig_refused", "y");
      assertThatThrownBy(() -> LossGradients.find(model.graph(), y, variables))
          .isInstanceOf(PerformerException.class)
          .hasMessage(obstacles.get(0).toString());
    }
  }
}
