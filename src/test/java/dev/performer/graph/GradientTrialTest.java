package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TType;

class GradientTrialTest {
  private static GradientTrial.Outcome trial(
      Class<? extends TType> type, BiFunction<RawOps, Output<?>, Output<?>> body) {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Output<?> handle = Variable.handle(tf, "w", "w", type, Shape.of(3, 3));
      Variable w = new Variable("w", handle, type, Shape.of(3, 3), true, "w");
      Output<?> y = body.apply(new RawOps(tf), w.read(tf).asOutput());
      var outcome = GradientTrial.of(graph, List.of(y), List.of(w));
      return new GradientTrial.Outcome(List.copyOf(outcome.gradients()), outcome.failure());
    }
  }

  @Test
  void findsGradientsAndThoseThatAreNone() {
    var found = trial(TFloat32.class, (ops, w) -> ops.op("Cholesky", ops.op("MatMul", w, w)));
    assertThat(found.failure()).isEmpty();
    assertThat(found.gradients()).singleElement().satisfies(dw -> assertThat(dw).isPresent());
    var stopped = trial(TFloat32.class, (ops, w) -> ops.op("Round", ops.op("Exp", w)));
    assertThat(stopped.failure()).isEmpty();
    assertThat(stopped.gradients()).singleElement().satisfies(dw -> assertThat(dw).isEmpty());
  }

  @Test
  void namesTheNodeWithoutAGradient() {
    var found =
        trial(
            TFloat32.class,
            (ops, w) -> ops.op("Exp", ops.op("MatrixSquareRoot", ops.op("Sin", w))));
    assertThat(found.failure())
        .hasValueSatisfying(
            obstacle -> {
              assertThat(obstacle.op()).isEqualTo("MatrixSquareRoot");
              assertThat(obstacle.node()).isEqualTo("MatrixSquareRoot");
              assertThat(obstacle.reason()).isEqualTo("the op has no gradient here");
            });
  }

  /** TensorFlow's own gradient of this op takes one of its integers for a number. */
  @Test
  void namesTheNodeOfWhichTheGradientCannotBeBuilt() {
    var found =
        trial(
            TFloat32.class,
            (ops, w) -> {
              Output<?> range = ops.cast(ops.number(1), w);
              Output<?> inner = ops.op("Sin", w);
              return ops.op("Exp", ops.op("QuantizeAndDequantizeV4", inner, range, range));
            });
    assertThat(found.failure())
        .hasValueSatisfying(
            obstacle -> {
              assertThat(obstacle.op()).isEqualTo("QuantizeAndDequantizeV4");
              assertThat(obstacle.reason()).isEqualTo("its gradient cannot be built");
            });
  }

  @Test
  void namesTheNodeOfWhichTheGradientHasNoKernel() {
    var found =
        trial(
            TFloat16.class,
            (ops, w) -> ops.op("Exp", ops.op("BatchMatMulV2", ops.op("Sin", w), w)));
    assertThat(found.failure())
        .hasValueSatisfying(
            obstacle -> {
              assertThat(obstacle.op()).isEqualTo("BatchMatMulV2");
              assertThat(obstacle.reason())
                  .startsWith("the op BatchMatMulV3 has no kernel here")
                  .endsWith("which its gradient needs");
            });
  }
}
