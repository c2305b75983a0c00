package dev.performer.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.performer.graph.LossGradients;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.nn.LayerNorm.Formula;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Gradients by hand are those that follow from the ops. */
class GivenGradientTest {
  private static final Shape SHAPE = Shape.of(3, 5, 8);

  @ParameterizedTest
  @EnumSource(Activation.class)
  void ofActivations(Activation activation) {
    requireAlike((variables, ops) -> activation.apply(ops, x(variables, ops)));
  }

  @ParameterizedTest
  @EnumSource(Formula.class)
  void ofLayerNorm(Formula formula) {
    requireAlike((variables, ops) -> norm(variables, ops, x(variables, ops), formula));
  }

  /** To wider rows and back, whose gradients are products in different versions. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void ofDenseLayers(boolean hasBias) {
    requireAlike(
        (variables, ops) -> {
          Parameters all = Parameters.create(ops, variables, 7);
          long[] narrow = {2, 4};
          long[] wide = {12};
          Dense in = Dense.create(all.in("in"), narrow, wide, hasBias);
          Dense out = Dense.create(all.in("out"), wide, narrow, hasBias);
          var inner = ops.math.square(in.apply(ops, x(variables, ops)));
          return ops.math.square(out.apply(ops, inner));
        });
  }

  @Test
  void ofOneInsideAnother() {
    requireAlike(
        (variables, ops) -> {
          var normed = norm(variables, ops, x(variables, ops), Formula.TWO_PASS);
          var squared = ops.math.mul(normed, Activation.GELU_TANH.apply(ops, normed));
          return ops.math.add(squared, Activation.GELU_ERF.apply(ops, squared));
        });
  }

  private static Operand<TFloat32> x(Variables variables, Ops tf) {
    return variables.create("x", SHAPE, true, random(tf, SHAPE, 1, 3)).read(tf);
  }

  private static Operand<TFloat32> norm(
      Variables variables, Ops tf, Operand<TFloat32> x, Formula formula) {
    Shape last = Shape.of(SHAPE.get(2));
    Variable scale = variables.create("scale", last, true, random(tf, last, 2, 1));
    Variable bias = variables.create("bias", last, true, random(tf, last, 3, 1));
    return new LayerNorm(scale, bias, 1e-6, formula).apply(tf, x);
  }

  private static Operand<TFloat32> random(Ops tf, Shape shape, long seed, double size) {
    var random = new SplittableRandom(seed);
    float[] values = new float[(int) shape.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (size * (2 * random.nextDouble() - 1));
    }
    return tf.constant(shape, DataBuffers.of(values));
  }

  private static void requireAlike(BiFunction<Variables, Ops, Operand<TFloat32>> built) {
    List<float[]> byHand = gradients(built, true);
    List<float[]> byOps = gradients(built, false);
    for (int i = 0; i < byOps.size(); i++) {
      double size = 0;
      for (float value : byOps.get(i)) {
        size = Math.max(size, Math.abs(value));
      }
      assertTrue(size > 1e-3, "nothing to compare");
      assertArrayEquals(byOps.get(i), byHand.get(i), (float) (2e-6 * size));
    }
  }

  /** Where nothing is attached to a graph, an {@code IdentityN} passes gradients on. */
  private static List<float[]> gradients(
      BiFunction<Variables, Ops, Operand<TFloat32>> built, boolean byHand) {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Operand<TFloat32> y = built.apply(variables, tf);
      if (!byHand) {
        LossGradients.detach(graph);
      }
      Output<TFloat32> loss =
          tf.reduceSum(tf.math.mul(y, random(tf, SHAPE, 4, 1)), tf.array(0, 1, 2)).asOutput();
      var found = LossGradients.find(graph, loss, variables.all());
      try (Session session = new Session(graph)) {
        variables.initialize(session);
        List<float[]> values = new ArrayList<>();
        for (var gradient : found) {
          try (Result result = session.runner().fetch(gradient.orElseThrow()).run()) {
            values.add(Tensors.floats(result.get(0)));
          }
        }
        return values;
      }
    }
  }
}
