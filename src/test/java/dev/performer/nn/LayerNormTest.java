package dev.performer.nn;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.graph.Tensors;
import dev.performer.graph.Variables;
import dev.performer.nn.LayerNorm.Formula;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.tensorflow.Graph;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

class LayerNormTest {

  /** In float32 the mean of squares can be below the square of the mean. */
  @ParameterizedTest
  @EnumSource
  void rowsThatAreNearlyConstantGiveNoNaN(Formula formula) {
    int rows = 64;
    int size = 96;
    float[][] x = new float[rows][size];
    for (int i = 0; i < rows; i++) {
      java.util.Arrays.fill(x[i], 1000.1f + 77.7f * i);
    }
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      LayerNorm norm = LayerNorm.create(Parameters.create(tf, variables, 1), size, 1e-6, formula);
      var out = norm.apply(tf, tf.constant(x));
      variables.initialize(session);
      try (Result result = session.runner().fetch(out).run()) {
        for (float value : Tensors.floats(result.get(0))) {
          assertThat(value).isFinite();
        }
      }
    }
  }
}
