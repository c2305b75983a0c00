package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.graph.*;
import org.junit.jupiter.api.Test;
import org.tensorflow.*;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;

class SmokeTest {
  @Test
  void variablesKeepTheirValues() {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Variable v = variables.create("a/b", Shape.of(2), true, tf.constant(new float[] {1, 2}));
      variables.initialize(session);
      Operand<?> read = v.read(tf);
      try (Result r = session.runner().fetch(read).run()) {
        assertThat(Tensors.floats(r.get(0))).containsExactly(1f, 2f);
      }
    }
  }
}
