package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.Tensors;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;

/**
 * One attention on arrays, forward and backward.
 *
 * <pre>{@code
 * Map<String, NpyArray> results =
 *     AttentionRun.favor(FavorConfig.of(kernel)).run(Map.of("q", q, "k", k, "v", v));
 * NpyArray out = results.get("out"); // [B, L, H, V]
 * }</pre>
 *
 * <p>Immutable and safe for use by several threads.
 */
public final class AttentionRun {
  /** What failures name that come from drawing a projection. */
  public static final String PROJECTION = "projection";

  private static final Set<String> KNOWN = Set.of("q", "k", "v", "P", "mask", "g");

  private final FavorConfig favor;
  private final boolean causal;

  private AttentionRun(FavorConfig favor, boolean causal) {
    this.favor = favor;
    this.causal = causal;
  }

  /** FAVOR+. A projection that is not among the arrays is drawn from the configured seed. */
  public static AttentionRun favor(FavorConfig config) {
    return new AttentionRun(config, config.causal());
  }

  /** Softmax attention. */
  public static AttentionRun exact(boolean causal) {
    return new AttentionRun(null, causal);
  }

  /**
   * Attends.
   *
   * @param arrays q {@code [B, L, H, D]}, k {@code [B, S, H, D]}, v {@code [B, S, H, V]}; optional
   *     P {@code [M, D]} (one direction a row), mask {@code [B, S]} (1 = keep), g {@code [B, L, H,
   *     V]} (upstream gradient)
   * @return out {@code [B, L, H, V]}; with g also dq, dk, dv and, where P was given, dP; P if one
   *     was used. In float64, and computed in it, if an input is
   * @throws PerformerException if a name, type or shape does not fit, or the convention cannot draw
   *     the projection
   */
  public Map<String, NpyArray> run(Map<String, NpyArray> arrays) {
    check(arrays);
    NpyArray projection = favor == null ? null : projection(arrays);
    Map<String, NpyArray> feeds = new LinkedHashMap<>(arrays);
    if (projection != null) {
      feeds.put("P", projection);
    }
    boolean isWide = arrays.values().stream().anyMatch(a -> a.type() == NpyType.FLOAT64);
    boolean isGiven = arrays.containsKey("P");
    Map<String, NpyArray> results =
        isWide ? attend(TFloat64.class, feeds, isGiven) : attend(TFloat32.class, feeds, isGiven);
    if (projection != null) {
      results.put("P", projection);
    }
    return results;
  }

  /** Names, ranks and sizes, so that what TensorFlow gets fits together. */
  private void check(Map<String, NpyArray> arrays) {
    for (String name : arrays.keySet()) {
      if (!KNOWN.contains(name)) {
        throw new PerformerException(
            "unknown array '%s'; known are q, k, v, P, mask, g".formatted(name));
      }
    }
    long[] q = shape(arrays, "q", -1, -1, -1, -1);
    long[] k = shape(arrays, "k", q[0], -1, q[2], q[3]);
    long[] v = shape(arrays, "v", q[0], k[1], q[2], -1);
    if (arrays.containsKey("P")) {
      shape(arrays, "P", -1, q[3]);
    }
    if (arrays.containsKey("mask")) {
      shape(arrays, "mask", q[0], k[1]);
    }
    if (arrays.containsKey("g")) {
      shape(arrays, "g", q[0], q[1], q[2], v[3]);
    }
    if (Arrays.stream(q).anyMatch(d -> d == 0) || Arrays.stream(v).anyMatch(d -> d == 0)) {
      throw new PerformerException(
          "q %s and v %s must not be empty".formatted(Arrays.toString(q), Arrays.toString(v)));
    }
    if (favor == null && arrays.containsKey("P")) {
      throw new PerformerException("exact attention takes no projection P; leave one of them out")
          .settledBy("exact");
    }
  }

  /** The shape of a float array; {@code expected} has -1 where any size will do. */
  private static long[] shape(Map<String, NpyArray> arrays, String name, long... expected) {
    NpyArray array = arrays.get(name);
    if (array == null) {
      throw new PerformerException(
          "no array '%s'; q, k and v are needed, found %s".formatted(name, arrays.keySet()));
    }
    boolean isFloat = array.type() == NpyType.FLOAT32 || array.type() == NpyType.FLOAT64;
    if (!isFloat && !name.equals("mask")) {
      throw new PerformerException(
          "array '%s' is %s; expected float32".formatted(name, array.type().label()));
    }
    long[] shape = array.shape();
    boolean fits = shape.length == expected.length;
    for (int i = 0; fits && i < expected.length; i++) {
      fits = expected[i] < 0 || expected[i] == shape[i];
    }
    if (!fits) {
      throw new PerformerException(
          "array '%s' has shape %s; expected %s"
              .formatted(
                  name,
                  Arrays.toString(shape),
                  name.equals("q")
                      ? "[B, L, H, D]"
                      : Arrays.toString(expected).replace("-1", "any")));
    }
    return shape;
  }

  private NpyArray projection(Map<String, NpyArray> arrays) {
    if (arrays.containsKey("P")) {
      return arrays.get("P");
    }
    int headSize = Math.toIntExact(arrays.get("q").shape()[3]);
    try {
      return favor.draw(headSize).map(p -> NpyArray.of(p.values(), p.shape())).orElse(null);
    } catch (PerformerException e) {
      throw new PerformerException(e.getMessage() + "; or give P", e).settledBy(PROJECTION);
    }
  }

  private <T extends TFloating> Map<String, NpyArray> attend(
      Class<T> type, Map<String, NpyArray> feeds, boolean isProjectionGiven) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Map<String, Operand<T>> in = new LinkedHashMap<>();
      feeds.forEach(
          (name, array) ->
              in.put(name, tf.placeholder(type, Placeholder.shape(Shape.of(array.shape())))));
      Operand<T> out =
          attention(in.get("P"))
              .attendPositionsFirst(tf, in.get("q"), in.get("k"), in.get("v"), in.get("mask"));
      Map<String, Output<?>> fetches = new LinkedHashMap<>();
      fetches.put("out", out.asOutput());
      if (in.containsKey("g")) {
        List<String> names =
            isProjectionGiven ? List.of("q", "k", "v", "P") : List.of("q", "k", "v");
        Output<?>[] y = {out.asOutput()};
        Output<?>[] x = names.stream().map(n -> in.get(n).asOutput()).toArray(Output<?>[]::new);
        Output<?>[] dy = {in.get("g").asOutput()};
        Output<?>[] dx = graph.addGradients("gradients", y, x, dy);
        for (int i = 0; i < dx.length; i++) {
          fetches.put("d" + names.get(i), dx[i]);
        }
      }
      return run(session, type == TFloat64.class, in, feeds, fetches);
    }
  }

  private Attention attention(Operand<? extends TFloating> projection) {
    if (favor == null) {
      return new ExactAttention(causal);
    }
    return projection == null
        ? FavorAttention.of(favor)
        : FavorAttention.of(
            favor.withFeatures(Math.toIntExact(projection.shape().get(0))), projection);
  }

  private static <T extends TFloating> Map<String, NpyArray> run(
      Session session,
      boolean isWide,
      Map<String, Operand<T>> in,
      Map<String, NpyArray> feeds,
      Map<String, Output<?>> fetches) {
    Session.Runner runner = session.runner();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    Map<String, NpyArray> results = new LinkedHashMap<>();
    try {
      feeds.forEach(
          (name, array) ->
              tensors.put(
                  name,
                  isWide
                      ? Tensors.of(array.doubles(), array.shape())
                      : Tensors.of(array.floats(), array.shape())));
      tensors.forEach((name, tensor) -> runner.feed(in.get(name), tensor));
      fetches.values().forEach(runner::fetch);
      try (Result result = runner.run()) {
        int i = 0;
        for (String name : fetches.keySet()) {
          Tensor tensor = result.get(i++);
          long[] shape = tensor.shape().asArray();
          results.put(
              name,
              isWide
                  ? NpyArray.of(Tensors.doubles(tensor), shape)
                  : NpyArray.of(Tensors.floats(tensor), shape));
        }
      }
    } finally {
      tensors.values().forEach(Tensor::close);
    }
    return results;
  }
}
