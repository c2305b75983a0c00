package dev.performer.nn;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.Attention;
import dev.performer.graph.RegisteredKernels;
import dev.performer.graph.StaticShapes;
import dev.performer.graph.Tensors;
import dev.performer.graph.XlaFunction;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;

/**
 * Every op of the baselines, forward and backward, has a kernel for the CPU, and for GPUs where the
 * GPU library is on the class path; XLA compiles them with static shapes, and computes the same.
 */
class BaselineDevicesTest {
  private static final long[] SHAPE = {2, 2, 21, 8};

  @ParameterizedTest
  @CsvSource({"reformer, false", "reformer, true", "linformer, false"})
  void everyOpHasAKernel(String kind, boolean causal) {
    RegisteredKernels kernels = RegisteredKernels.load();
    boolean hasGpus = kernels.devices("MatMul").contains(RegisteredKernels.GPU);
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      List<Output<?>> in = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        in.add(placeholder(tf, Shape.of(-1, 2, -1, 8)));
      }
      in.add(placeholder(tf, Shape.of(-1, 2, -1, 8)));
      in.add(placeholder(tf, Shape.of(-1, -1)));
      outputs(tf, kind, causal, in);
      Set<String> missing = new TreeSet<>();
      graph
          .operations()
          .forEachRemaining(
              op -> {
                if (!kernels.supports(RegisteredKernels.CPU, op)
                    || hasGpus && !kernels.supports(RegisteredKernels.GPU, op)) {
                  missing.add(op.type());
                }
              });
      assertThat(missing).isEmpty();
    }
  }

  @ParameterizedTest
  @CsvSource({"reformer, false", "reformer, true", "linformer, false"})
  void xlaCompilesThem(String kind, boolean causal) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      List<Output<?>> values = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        values.add(normal(tf, i, SHAPE).asOutput()); // queries, keys, values, gradient
      }
      float[] mask = new float[2 * 21];
      for (int i = 0; i < mask.length; i++) {
        mask[i] = i % 21 < 17 ? 1 : 0;
      }
      try (TFloat32 tensor = Tensors.of(mask, 2, 21)) {
        values.add(tf.constantOf(tensor).asOutput());
      }
      List<Output<?>> plain = outputs(tf, kind, causal, values);
      List<Output<?>> inside = new ArrayList<>();
      values.forEach(x -> inside.add(placeholder(tf, x.shape())));
      List<Output<?>> cut = outputs(tf, kind, causal, inside);
      StaticShapes.require(graph);
      List<Output<?>> compiled = XlaFunction.cut(tf, inside, values, cut, List.of());
      for (int i = 0; i < plain.size(); i++) {
        try (Result both = session.runner().fetch(compiled.get(i)).fetch(plain.get(i)).run()) {
          float[] a = Tensors.floats(both.get(0));
          float[] b = Tensors.floats(both.get(1));
          for (int n = 0; n < a.length; n++) {
            assertThat(Math.abs(a[n] - b[n])).isLessThan(2e-5f * (1 + Math.abs(b[n])));
          }
        }
      }
    }
  }

  private static Output<?> placeholder(Ops tf, Shape shape) {
    return tf.placeholder(TFloat32.class, Placeholder.shape(shape)).asOutput();
  }

  private static Operand<TFloat32> normal(Ops tf, int seed, long... shape) {
    return tf.random.statelessRandomNormal(
        tf.constant(Shape.of(shape)), tf.constant(new int[] {seed, 1}));
  }

  /** The output, and its gradients by queries, values, and keys where there are any. */
  private static List<Output<?>> outputs(Ops tf, String kind, boolean causal, List<Output<?>> in) {
    ReformerConfig config = new ReformerConfig(4, 4, 2, 5);
    boolean isReformer = kind.equals("reformer");
    Attention attention =
        isReformer
            ? new ReformerAttention(config, causal, config.draw(8).orElseThrow().constant(tf))
            : new LinformerAttention(constant(tf, 3, 32), constant(tf, 3, 32));
    List<Operand<TFloat32>> x = new ArrayList<>();
    in.forEach(input -> x.add(input.expect(TFloat32.class)));
    Output<?> out = attention.attend(tf, x.get(0), x.get(1), x.get(2), x.get(4)).asOutput();
    List<Output<?>> by = new ArrayList<>(List.of(in.get(0), in.get(2)));
    if (!isReformer) {
      by.add(in.get(1));
    }
    Output<?>[] gradients =
        ((Graph) tf.scope().env())
            .addGradients(
                tf.scope().makeOpName("gradients"),
                new Output<?>[] {out},
                by.toArray(Output<?>[]::new),
                new Output<?>[] {in.get(3)});
    List<Output<?>> all = new ArrayList<>(List.of(out));
    all.addAll(List.of(gradients));
    return all;
  }

  private static Operand<TFloat32> constant(Ops tf, int rows, int columns) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) Math.sin(i);
    }
    try (TFloat32 tensor = Tensors.of(values, rows, columns)) {
      return tf.constantOf(tensor);
    }
  }
}
