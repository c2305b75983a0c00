package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.projection.Projection;
import dev.performer.graph.StaticShapes;
import dev.performer.graph.Tensors;
import dev.performer.graph.XlaFunction;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
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

/** XLA compiles FAVOR+ forwards and backwards, with static shapes throughout, as a TPU needs. */
class FavorXlaTest {
  private static final int B = 2;
  private static final int H = 2;
  private static final int L = 37;
  private static final int D = 8;

  @ParameterizedTest
  @CsvSource({
    "softmax, 16, false, 0, none",
    "softmax, 16, true, 0, none",
    "hyperbolic, 16, true, 0, none",
    "favor++, 16, false, 0, none",
    "hyperbolic, 16, false, 0, none",
    "relu, 0, false, 0, none",
    "relu, 0, true, 0, none",
    "elu, 0, true, 0, none",
    "hyperbolic, 16, false, 6, none",
    "softmax, 16, true, 6, none",
    "hyperbolic, 16, true, 0, token"
  })
  void attentionAndItsGradientsCompile(
      String kernel, int features, boolean causal, int window, String gate) {
    FavorConfig config =
        FavorConfig.of(Kernel.of(kernel)).withFeatures(features).withCausal(causal).toBuilder()
            .chunk(16)
            .window(window)
            .sinks(window == 0 ? List.of() : List.of(0))
            .gate(Gate.valueOf(gate.toUpperCase(Locale.ROOT)))
            .build();
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Random random = new Random(1);
      List<Operand<TFloat32>> in = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        in.add(normal(tf, random, B, H, L, D)); // queries, keys, values: [B, H, L, D]
      }
      in.add(normal(tf, random, B, H, L, D)); // upstream gradient
      in.add(mask(tf)); // [B, L]
      List<Output<?>> values = in.stream().<Output<?>>map(Operand::asOutput).toList();
      List<Output<?>> plain = attentionAndGradients(tf, config, values);
      List<Output<?>> inside =
          in.stream()
              .<Output<?>>map(
                  x -> tf.placeholder(TFloat32.class, Placeholder.shape(x.shape())).asOutput())
              .toList();
      List<Output<?>> cut = attentionAndGradients(tf, config, inside);
      StaticShapes.require(graph);
      List<Output<?>> compiled = XlaFunction.cut(tf, inside, values, cut, List.of());
      for (int i = 0; i < plain.size(); i++) {
        assertClose(session, compiled.get(i), plain.get(i), i);
      }
    }
  }

  private static List<Output<?>> attentionAndGradients(
      Ops tf, FavorConfig config, List<Output<?>> in) {
    List<Operand<TFloat32>> x = new ArrayList<>();
    in.forEach(input -> x.add(input.expect(TFloat32.class)));
    FavorAttention attention =
        config.hasProjection()
            ? FavorAttention.of(config, projection(tf, config))
            : FavorAttention.of(config);
    Operand<TFloat32> gates =
        config.hasGate() ? gates(tf, x.get(0)) : null; // of queries, so they have gradients
    Operand<TFloat32> out = attention.attend(tf, x.get(0), x.get(1), x.get(2), x.get(4), gates);
    Output<?>[] gradients =
        ((Graph) tf.scope().env())
            .addGradients(
                tf.scope().makeOpName("gradients"),
                new Output<?>[] {out.asOutput()},
                new Output<?>[] {in.get(0), in.get(1), in.get(2)},
                new Output<?>[] {in.get(3)});
    List<Output<?>> all = new ArrayList<>(List.of(out.asOutput()));
    all.addAll(List.of(gradients));
    return all;
  }

  private static Operand<TFloat32> gates(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> first = tf.slice(x, tf.array(0, 0, 0, 0), tf.array(-1, -1, -1, 1));
    return tf.math.neg(tf.math.softplus(first)); // [B, H, L, 1]
  }

  private static Operand<TFloat32> projection(Ops tf, FavorConfig config) {
    Projection projection = config.projection(D);
    try (TFloat32 matrix =
        Tensors.of(projection.draw(3), projection.rows(), projection.columns())) {
      return tf.constantOf(matrix);
    }
  }

  private static Operand<TFloat32> normal(Ops tf, Random random, long... shape) {
    float[] values = new float[Math.toIntExact(Shape.of(shape).size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    try (TFloat32 tensor = Tensors.of(values, shape)) {
      return tf.constantOf(tensor);
    }
  }

  private static Operand<TFloat32> mask(Ops tf) {
    float[] keep = new float[B * L];
    for (int i = 0; i < keep.length; i++) {
      keep[i] = i % L < L - 5 ? 1 : 0;
    }
    try (TFloat32 tensor = Tensors.of(keep, B, L)) {
      return tf.constantOf(tensor);
    }
  }

  private static void assertClose(
      Session session, Output<?> actual, Output<?> expected, int which) {
    try (Result result = session.runner().fetch(actual).fetch(expected).run()) {
      float[] a = Tensors.floats(result.get(0));
      float[] b = Tensors.floats(result.get(1));
      float scale = 0;
      float worst = 0;
      for (int i = 0; i < a.length; i++) {
        scale = Math.max(scale, Math.abs(b[i]));
        worst = Math.max(worst, Math.abs(a[i] - b[i]));
      }
      assertThat(scale).as("output %d", which).isPositive();
      assertThat(worst).as("output %d", which).isLessThanOrEqualTo(2e-5f * scale);
    }
  }
}
