package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.NpyArray;
import dev.performer.graph.Algebra;
import dev.performer.testing.GraphRun;
import dev.performer.testing.ReferenceCase;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;

/** Every attention case that Google's TF code wrote: outputs and gradients. */
class GoogleTfCasesTest {

  static Stream<ReferenceCase> cases() {
    return ReferenceCase.all("/reference/gr_tf").stream()
        .filter(c -> !kind(c).equals("create_projection_matrix"));
  }

  private static String kind(ReferenceCase c) {
    return c.index().get("params").get("kind").asText();
  }

  @Test
  void noCaseIsForgotten() {
    assertThat(cases().map(GoogleTfCasesTest::kind))
        .hasSize(44)
        .containsOnly("favor_attention", "SelfAttention", "Attention", "SelfAttention_redraw");
  }

  @ParameterizedTest
  @MethodSource("cases")
  void matches(ReferenceCase c) {
    if (kind(c).equals("favor_attention")) {
      attention(c);
    } else {
      layer(c);
    }
  }

  private static void attention(ReferenceCase c) {
    List<String> names = new ArrayList<>(List.of("q", "k", "v"));
    if (c.has("P")) {
      names.add("P");
    }
    Map<String, Shape> shapes = new LinkedHashMap<>();
    names.forEach(n -> shapes.put(n, GraphRun.dynamic(c.get(n).shape())));
    boolean differentiate = c.has("g");
    try (var run =
        new GraphRun<>(
            TFloat32.class,
            shapes,
            differentiate ? names : List.of(),
            (tf, in) -> favor(tf, c, in.get("q"), in.get("k"), in.get("v"), in.get("P")))) {
      var results = run.run(c.arrays(), differentiate ? c.get("g") : null);
      double tolerance =
          c.has("P") || c.index().get("params").get("causal").asBoolean() ? 2e-5 : 2e-6;
      results.forEach((name, value) -> compare(c, name, value, tolerance));
    }
  }

  private static <T extends TFloating> Operand<T> favor(
      Ops tf, ReferenceCase c, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> p) {
    var params = c.index().get("params");
    FavorConfig config =
        FavorConfig.of(Kernel.of(params.get("transform").asText()))
            .withConvention(Convention.GOOGLE_TF)
            .toBuilder()
            .chunk(16)
            .build()
            .withCausal(params.get("causal").asBoolean());
    FavorAttention attention = p == null ? FavorAttention.of(config) : FavorAttention.of(config, p);
    return attention.attendPositionsFirst(tf, q, k, v, null);
  }

  /** The Keras layers: their dense layers are einsums here, the cache is what they attend to. */
  private static void layer(ReferenceCase c) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>(c.arrays());
    if (c.has("out_first")) {
      arrays.put("out", c.get("out_first"));
      arrays.put("P", c.get("P_first"));
    }
    List<String> names =
        Stream.of("x", "src", "Wq", "Wk", "Wv", "Wo", "P", "cache_k", "cache_v")
            .filter(arrays::containsKey)
            .toList();
    Map<String, Shape> shapes = new LinkedHashMap<>();
    names.forEach(n -> shapes.put(n, Shape.of(arrays.get(n).shape())));
    List<String> differentiated = c.has("g") ? List.of("x", "Wq", "Wk", "Wv", "Wo") : List.of();
    ReferenceCase whole = new ReferenceCase(c.name(), c.index(), arrays);
    Map<String, double[]> exact =
        runLayer(TFloat64.class, whole, shapes, differentiated); // Google's causal dx is noisy
    runLayer(TFloat32.class, whole, shapes, differentiated)
        .forEach(
            (name, value) -> {
              boolean noisy =
                  name.startsWith("d") && c.index().get("params").path("causal").asBoolean();
              compare(whole, name, value, noisy ? 3e-4 : 2e-5);
              assertThat(GraphRun.maxDifference(value, exact.get(name)))
                  .as(c.name() + " " + name + " in float64")
                  .isLessThanOrEqualTo(2e-5 * GraphRun.maxAbs(exact.get(name)));
            });
  }

  private static <T extends TFloating> Map<String, double[]> runLayer(
      Class<T> type, ReferenceCase c, Map<String, Shape> shapes, List<String> differentiated) {
    try (var run =
        new GraphRun<>(type, shapes, differentiated, (tf, in) -> layerOutput(tf, c, in))) {
      return run.run(c.arrays(), c.arrays().get("g"));
    }
  }

  private static <T extends TFloating> Operand<T> layerOutput(
      Ops tf, ReferenceCase c, Map<String, Operand<T>> in) {
    Operand<T> source = in.getOrDefault("src", in.get("x"));
    Operand<T> q = einsum(tf, "ble,ehd->blhd", in.get("x"), in.get("Wq"));
    Operand<T> k = einsum(tf, "ble,ehd->blhd", source, in.get("Wk"));
    Operand<T> v = einsum(tf, "ble,ehd->blhd", source, in.get("Wv"));
    String cache = c.index().get("params").path("cache").asText();
    if (cache.equals("concat")) {
      k = tf.concat(List.of(in.get("cache_k"), k), tf.constant(1));
      v = tf.concat(List.of(in.get("cache_v"), v), tf.constant(1));
    } else if (cache.equals("padded")) {
      int step = c.index().get("params").get("decode_loop_step").asInt();
      int length = (int) c.get("cache_k").shape()[1];
      Operand<T> slot =
          tf.reshape(
              Algebra.of(tf, k)
                  .cast(
                      tf.oneHot(
                          tf.constant(step),
                          tf.constant(length),
                          tf.constant(1f),
                          tf.constant(0f))),
              tf.constant(new int[] {1, length, 1, 1}));
      k = tf.math.add(in.get("cache_k"), tf.math.mul(slot, k));
      v = tf.math.add(in.get("cache_v"), tf.math.mul(slot, v));
    }
    return einsum(tf, "blhd,hde->ble", favor(tf, c, q, k, v, in.get("P")), in.get("Wo"));
  }

  private static <T extends TFloating> Operand<T> einsum(
      Ops tf, String equation, Operand<T> x, Operand<T> y) {
    return tf.linalg.einsum(List.of(x, y), equation);
  }

  /** Against float64 gradients where the case has them: Google's own causal ones are noisy. */
  private static void compare(ReferenceCase c, String name, double[] value, double tolerance) {
    double[] expected = c.get(c.has(name + "_ref64") ? name + "_ref64" : name).doubles();
    double scale = scale(c, name, expected);
    assertThat(GraphRun.maxDifference(value, expected) / scale)
        .as(c.name() + " " + name)
        .isLessThanOrEqualTo(tolerance);
  }

  /** Gradients that vanish in exact arithmetic (L = 1) are compared with dv's scale. */
  private static double scale(ReferenceCase c, String name, double[] expected) {
    JsonNode exact =
        c.index().get("params").path("grad_max_abs_dev_from_float64_and_max_abs").path(name);
    boolean vanishes = exact.isArray() && exact.get(1).asDouble() < 1e-9;
    return GraphRun.maxAbs(vanishes ? c.get("dv").doubles() : expected);
  }
}
