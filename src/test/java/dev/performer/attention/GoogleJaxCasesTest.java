package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.NpyArray;
import dev.performer.testing.GraphRun;
import dev.performer.testing.ReferenceCase;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/** Every attention case that Google's JAX code wrote: outputs and gradients, both PRNGs' P. */
class GoogleJaxCasesTest {
  private static final double TOLERANCE = 2e-5;

  static Stream<ReferenceCase> cases() {
    return ReferenceCase.all("/reference/gr_jax").stream();
  }

  @Test
  void noCaseIsForgotten() {
    assertThat(cases()).hasSize(115);
    assertThat(cases().filter(c -> c.index().has("kind"))).hasSize(6);
    assertThat(cases().filter(c -> c.has("P_legacy"))).hasSize(17);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void matches(ReferenceCase c) {
    if (c.index().has("kind")) {
      module(c);
      return;
    }
    attention(c, "");
    if (c.has("P_legacy")) {
      attention(c, "_legacy");
    }
  }

  private static void attention(ReferenceCase c, String suffix) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    List<String> names = Stream.of("q", "k", "v", "P").filter(n -> c.has(n)).toList();
    names.forEach(n -> arrays.put(n, n.equals("P") ? c.get("P" + suffix) : c.get(n)));
    Map<String, Shape> shapes = new LinkedHashMap<>();
    arrays.forEach((n, a) -> shapes.put(n, GraphRun.dynamic(a.shape())));
    List<String> inputs = List.of("q", "k", "v");
    compare(
        c,
        name -> c.get(name + suffix).doubles(),
        run(TFloat32.class, shapes, inputs, arrays, c),
        () -> run(TFloat64.class, shapes, inputs, arrays, c));
  }

  private static <T extends TFloating> Map<String, double[]> run(
      Class<T> type,
      Map<String, Shape> shapes,
      List<String> differentiated,
      Map<String, NpyArray> arrays,
      ReferenceCase c) {
    boolean module = c.index().has("kind");
    try (var run =
        new GraphRun<>(
            type,
            shapes,
            differentiated,
            (tf, in) ->
                module
                    ? module(tf, c, in)
                    : attend(tf, c, in.get("q"), in.get("k"), in.get("v"), in.get("P")))) {
      return run.run(arrays, c.get("g"));
    }
  }

  /** Attended axes become one length, other middle axes part of the batch. */
  private static <T extends TFloating> Operand<T> attend(
      Ops tf, ReferenceCase c, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> p) {
    FavorConfig config = config(c.index());
    FavorAttention attention = p == null ? FavorAttention.of(config) : FavorAttention.of(config, p);
    int rank = q.shape().numDimensions();
    if (rank == 4) {
      return attention.attendPositionsFirst(tf, q, k, v, null);
    }
    int axis = c.index().path("call_args").path("axis").asInt(-1);
    if (axis < 0) { // [B, X, Y, H, D], X·Y positions
      Operand<T> out =
          attention.attendPositionsFirst(tf, flat(tf, q), flat(tf, k), flat(tf, v), null);
      return reshapeLike(tf, out, tf.shape(q), v);
    }
    int[] order = axis == 1 ? new int[] {0, 2, 1, 3, 4} : new int[] {0, 1, 2, 3, 4};
    Operand<T> turned = turn(tf, q, order); // [B, other, L, H, D]
    Operand<T> out =
        attention.attendPositionsFirst(
            tf,
            batched(tf, turned),
            batched(tf, turn(tf, k, order)),
            batched(tf, turn(tf, v, order)),
            null);
    return turn(tf, reshapeLike(tf, out, tf.shape(turned), v), order);
  }

  private static <T extends TFloating> Operand<T> turn(Ops tf, Operand<T> x, int[] order) {
    return tf.linalg.transpose(x, tf.constant(order));
  }

  private static <T extends TFloating> Operand<T> flat(Ops tf, Operand<T> x) {
    Operand<TInt32> shape = tf.shape(x);
    return tf.reshape(
        x,
        tf.concat(List.of(part(tf, shape, 0, 1), minusOne(tf), part(tf, shape, 3, 2)), zero(tf)));
  }

  private static <T extends TFloating> Operand<T> batched(Ops tf, Operand<T> x) {
    return tf.reshape(x, tf.concat(List.of(minusOne(tf), part(tf, tf.shape(x), 2, 3)), zero(tf)));
  }

  private static <T extends TFloating> Operand<T> reshapeLike(
      Ops tf, Operand<T> out, Operand<TInt32> shape, Operand<T> values) {
    return tf.reshape(
        out, tf.concat(List.of(part(tf, shape, 0, 4), part(tf, tf.shape(values), 4, 1)), zero(tf)));
  }

  private static Operand<TInt32> part(Ops tf, Operand<TInt32> shape, int from, int size) {
    // Shape inference sees through strided slices, so the last axis stays known.
    return tf.stridedSlice(
        shape,
        tf.constant(new int[] {from}),
        tf.constant(new int[] {from + size}),
        tf.constant(new int[] {1}));
  }

  private static Operand<TInt32> minusOne(Ops tf) {
    return tf.constant(new int[] {-1});
  }

  private static Operand<TInt32> zero(Ops tf) {
    return tf.constant(0);
  }

  /** The factories' arguments as a configuration. */
  static FavorConfig config(JsonNode index) {
    JsonNode args = index.get("factory_args");
    FavorKeys config =
        FavorConfig.builder()
            .convention(Convention.GOOGLE_JAX)
            .chunk(4)
            .causal(args.path("unidirectional").asBoolean(false))
            .renormalize(args.path("renormalize_attention").asBoolean(true));
    if (index.get("factory").asText().equals("make_fast_softmax_attention")) {
      config.kernel(
          args.path("nonnegative_features").asBoolean(true)
              ? Kernel.SOFTMAX
              : Kernel.TRIGONOMETRIC);
      if (args.has("numerical_stabilizer")) {
        config.numericalStabilizer(args.get("numerical_stabilizer").asDouble());
      }
    } else {
      String function = args.path("kernel_fn").asText("relu");
      config
          .kernel(Kernel.named(Kernel.Code.JAX, function).orElseThrow())
          .epsilon(args.path("kernel_epsilon").asDouble(1e-3))
          .numericalStabilizer(args.path("numerical_stabilizer").asDouble(0));
    }
    return config.build();
  }

  /** MultiHeadDotProductFastAttention: its dense layers are einsums here; the mask is on values. */
  private static void module(ReferenceCase c) {
    List<String> parameters =
        c.arrays().keySet().stream().filter(n -> n.startsWith("params/")).toList();
    Map<String, Shape> shapes = new LinkedHashMap<>();
    Stream.concat(Stream.of("inputs_q", "inputs_kv", "mask_k", "P"), parameters.stream())
        .filter(c::has)
        .forEach(n -> shapes.put(n, Shape.of(c.get(n).shape())));
    compare(
        c,
        name -> c.get(name.equals("out") ? name : "grad/" + name.substring(1)).doubles(),
        run(TFloat32.class, shapes, parameters, c.arrays(), c),
        () -> run(TFloat64.class, shapes, parameters, c.arrays(), c));
  }

  private static <T extends TFloating> Operand<T> module(
      Ops tf, ReferenceCase c, Map<String, Operand<T>> in) {
    String middle = in.get("inputs_q").shape().numDimensions() == 4 ? "xy" : "x";
    Operand<T> q = dense(tf, in, "query", in.get("inputs_q"), middle);
    Operand<T> k = dense(tf, in, "key", in.get("inputs_kv"), middle);
    Operand<T> v = dense(tf, in, "value", in.get("inputs_kv"), middle);
    if (in.containsKey("mask_k")) {
      v =
          tf.math.mul(
              v, tf.expandDims(tf.expandDims(in.get("mask_k"), tf.constant(-1)), tf.constant(-1)));
    }
    Operand<T> heads = attend(tf, c, q, k, v, in.get("P"));
    Operand<T> out =
        tf.linalg.einsum(
            List.of(heads, in.get("params/out/kernel")), "b" + middle + "hd,hde->b" + middle + "e");
    Operand<T> bias = in.get("params/out/bias");
    return bias == null ? out : tf.math.add(out, bias);
  }

  private static <T extends TFloating> Operand<T> dense(
      Ops tf, Map<String, Operand<T>> in, String name, Operand<T> x, String middle) {
    Operand<T> y =
        tf.linalg.einsum(
            List.of(x, in.get("params/" + name + "/kernel")),
            "b" + middle + "e,ehd->b" + middle + "hd");
    Operand<T> bias = in.get("params/" + name + "/bias");
    return bias == null ? y : tf.math.add(y, bias);
  }

  /**
   * The official float32 gradients of causal attention recover prefix sums by subtraction, and
   * denominators of trigonometric features come near 0: there the official numbers are compared at
   * their noise, and causal ones of ours also with the same formula in float64.
   */
  private static void compare(
      ReferenceCase c,
      UnaryFunction official,
      Map<String, double[]> value,
      Supplier<Map<String, double[]>> float64) {
    FavorConfig config = config(c.index());
    boolean nearZero = config.kernel() == Kernel.TRIGONOMETRIC;
    value.forEach(
        (name, ours) -> {
          double[] expected = official.apply(name);
          double noise = nearZero ? 1e-3 : config.causal() && !name.equals("out") ? 3e-4 : 0;
          assertThat(GraphRun.maxDifference(ours, expected) / scale(c, name, expected))
              .as(c.name() + " " + name)
              .isLessThanOrEqualTo(Math.max(TOLERANCE, noise));
        });
    if (!config.causal()) {
      return;
    }
    float64
        .get()
        .forEach(
            (name, exact) ->
                assertThat(GraphRun.maxDifference(value.get(name), exact) / scale(c, name, exact))
                    .as(c.name() + " " + name + " in float64")
                    .isLessThanOrEqualTo(
                        nearZero ? 1e-3 : smallDenominators(config) ? 1e-4 : TOLERANCE));
  }

  /** Signed features, whose denominators the index calls negative or small. */
  private static boolean smallDenominators(FavorConfig config) {
    return Set.of(Kernel.GELU, Kernel.IDENTITY, Kernel.TANH, Kernel.COS, Kernel.SIN)
        .contains(config.kernel());
  }

  /** Names an official array's values. */
  private interface UnaryFunction {
    double[] apply(String name);
  }

  /**
   * Gradients that vanish in exact arithmetic are compared with the scale of those that do not: all
   * of q and k at L = 1, and the bias of softmax keys.
   */
  private static double scale(ReferenceCase c, String name, double[] expected) {
    boolean one = c.has("q") && c.get("q").shape()[1] == 1 && c.get("q").shape().length == 4;
    boolean vanishes = one && (name.equals("dq") || name.equals("dk")) || name.endsWith("key/bias");
    return vanishes ? GraphRun.maxAbs(c.get("g").doubles()) : GraphRun.maxAbs(expected);
  }
}
