package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.graph.DeviceCheck;
import dev.performer.graph.OpKernels;
import dev.performer.graph.RegisteredKernels.Support;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;

/**
 * Every op of FAVOR+, forward and backward, has a kernel for the CPU, for NVIDIA GPUs as
 * TensorFlow's library for them lists it, and for XLA.
 */
class KernelCoverageTest {
  @ParameterizedTest
  @CsvSource({
    "softmax,false",
    "softmax,true",
    "hyperbolic,false",
    "hyperbolic,true",
    "favor++,false",
    "trigonometric,false",
    "relu,false",
    "relu,true",
    "elu,true",
    "exact,false",
    "exact,true"
  })
  void everyOpHasAKernel(String kernel, boolean causal) {
    try (Graph graph = new Graph()) {
      build(graph, kernel, causal);
      DeviceCheck found = DeviceCheck.listed(kernel, OpKernels.of(graph.toGraphDef()));
      assertThat(found.withoutGpu()).isEmpty();
      assertThat(found.withoutXla()).isEmpty();
      assertThat(found.ops()).noneMatch(op -> op.cpu() == Support.NONE);
    }
  }

  private static void build(Graph graph, String kernel, boolean causal) {
    Ops tf = Ops.create(graph);
    var shape = Placeholder.shape(Shape.of(-1, 4, -1, 16));
    var q = tf.placeholder(TFloat32.class, shape);
    var k = tf.placeholder(TFloat32.class, shape);
    var v = tf.placeholder(TFloat32.class, shape);
    var mask = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, -1)));
    Attention attention;
    if (kernel.equals("exact")) {
      attention = new ExactAttention(causal);
    } else {
      FavorConfig config = FavorConfig.of(Kernel.of(kernel)).withCausal(causal);
      attention =
          config.hasProjection()
              ? FavorAttention.of(
                  config,
                  tf.placeholder(
                      TFloat32.class, Placeholder.shape(Shape.of(config.features(), 16))))
              : FavorAttention.of(config);
    }
    Output<?> out = attention.attend(tf, q, k, v, mask).asOutput();
    graph.addGradients(out, new Output<?>[] {q.asOutput(), k.asOutput(), v.asOutput()});
  }
}
