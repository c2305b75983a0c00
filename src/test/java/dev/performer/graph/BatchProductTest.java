package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Iterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat64;

/** The gradients of products are those of TensorFlow, computed by the other op. */
class BatchProductTest {
  @ParameterizedTest
  @CsvSource({
    "false, false, 3, 3",
    "true, false, 3, 3",
    "false, true, 3, 3",
    "true, true, 3, 3",
    "false, true, 1, 3",
    "true, false, 3, 1"
  })
  void gradientsAreThoseOfTensorFlow(boolean turnX, boolean turnY, int batchX, int batchY) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Operand<TFloat64> x = numbers(tf, batchX, turnX ? 5 : 4, turnX ? 4 : 5);
      Operand<TFloat64> y = numbers(tf, batchY, turnY ? 6 : 5, turnY ? 5 : 6);
      Output<?> ours = BatchProduct.add(tf, x.asOutput(), y.asOutput(), turnX, turnY);
      Operand<TFloat64> theirs =
          tf.train.batchMatMul(
              x, y, TFloat64.class, BatchMatMul.adjX(turnX), BatchMatMul.adjY(turnY));
      Output<?>[] factors = {x.asOutput(), y.asOutput()};
      Output<?>[] found = graph.addGradients(squares(tf, ours.expect(TFloat64.class)), factors);
      Output<?>[] expected = graph.addGradients(squares(tf, theirs), factors);
      for (int i = 0; i < factors.length; i++) {
        var difference = tf.math.sub(of(found[i]), of(expected[i])); // of the same shape, too
        assertThat(value(session, squares(tf, difference))).isCloseTo(0, within(1e-20));
        assertThat(value(session, squares(tf, of(found[i])))).isGreaterThan(1);
        try (var results = session.runner().fetch(found[i]).fetch(factors[i]).run()) {
          assertThat(results.get(0).shape()).isEqualTo(results.get(1).shape());
        }
      }
    }
  }

  @Test
  void productsAndTheirGradientsAreOfTheVersionThatOneDnnComputes() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      var x = tf.placeholder(TFloat64.class, Placeholder.shape(Shape.of(-1, -1, 5)));
      Algebra<TFloat64> a = Algebra.of(tf, x);
      graph.addGradients(
          squares(tf, a.transposedMatMul(x, a.matMulTransposed(x, x))),
          new Output<?>[] {x.asOutput()});
      int products = 0;
      for (Iterator<GraphOperation> ops = graph.operations(); ops.hasNext(); ) {
        String type = ops.next().type();
        assertThat(type).isNotEqualTo("BatchMatMulV3");
        products += type.equals("BatchMatMulV2") ? 1 : 0;
      }
      assertThat(products).isEqualTo(6);
    }
  }

  private static Operand<TFloat64> numbers(Ops tf, long... sizes) {
    long[] shape = {2, sizes[0], sizes[1], sizes[2]};
    var seed = tf.constant(new long[] {sizes[1], sizes[2]});
    return tf.random.statelessRandomNormal(tf.constant(shape), seed, TFloat64.class);
  }

  private static Output<TFloat64> squares(Ops tf, Operand<TFloat64> x) {
    int[] axes = new int[x.shape().numDimensions()];
    for (int i = 0; i < axes.length; i++) {
      axes[i] = i;
    }
    return tf.reduceSum(tf.math.square(x), tf.constant(axes)).asOutput();
  }

  private static Output<TFloat64> of(Output<?> x) {
    return x.expect(TFloat64.class);
  }

  private static double value(Session session, Output<TFloat64> x) {
    try (var result = session.runner().fetch(x).run()) {
      return ((TFloat64) result.get(0)).getDouble();
    }
  }
}
