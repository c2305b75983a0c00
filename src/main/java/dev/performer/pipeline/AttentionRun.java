package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.attention.Attention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
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

  private static final List<String> KNOWN = List.of("q", "k", "v", "P", "mask", "g");

  private final FavorConfig favor; // null for softmax attention
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
    var feeds = new LinkedHashMap<>(arrays);
    if (favor != null && !feeds.containsKey("P")) {
      projection(arrays.get("q").shape()[3]).ifPresent(drawn -> feeds.put("P", drawn));
    }
    boolean isWide = arrays.values().stream().anyMatch(a -> a.type() == NpyType.FLOAT64);
    var withGradient = Stream.of("q", "k", "v", "P").filter(arrays::containsKey).toList();
    Class<? extends TFloating> type = isWide ? TFloat64.class : TFloat32.class;
    var results = attend(type, feeds, withGradient);
    if (feeds.containsKey("P")) {
      results.put("P", feeds.get("P"));
    }
    return results;
  }

  /** Names, ranks and sizes, so that what TensorFlow gets fits together. */
  private void check(Map<String, NpyArray> arrays) {
    for (String name : arrays.keySet()) {
      require(KNOWN.contains(name), "unknown array '%s'; known are %s", name, KNOWN);
    }
    long[] q = shape(arrays, "q", -1, -1, -1, -1);
    long[] k = shape(arrays, "k", q[0], -1, q[2], q[3]);
    long[] v = shape(arrays, "v", q[0], k[1], q[2], -1);
    shape(arrays, "P", -1, q[3]);
    shape(arrays, "mask", q[0], k[1]);
    shape(arrays, "g", q[0], q[1], q[2], v[3]);
    String sizes = Arrays.toString(q) + " and v " + Arrays.toString(v);
    require(q[0] * q[1] * q[2] * q[3] * v[1] * v[3] != 0, "q %s must not be empty", sizes);
    if (favor == null && arrays.containsKey("P")) {
      throw new PerformerException("exact attention takes no projection P; leave one of them out")
          .settledBy("exact");
    }
  }

  /** The shape of a float array; {@code expected} has -1 where any size will do. */
  private static long[] shape(Map<String, NpyArray> arrays, String name, long... expected) {
    NpyArray array = arrays.get(name);
    if (array == null && !name.matches("[qkv]")) {
      return expected;
    }
    require(array != null, "no array '%s'; q, k, v are needed, found %s", name, arrays.keySet());
    NpyType type = array.type();
    boolean isFloat = type == NpyType.FLOAT32 || type == NpyType.FLOAT64 || name.equals("mask");
    require(isFloat, "array '%s' is %s; expected float32", name, type.label());
    long[] shape = array.shape();
    boolean fits = shape.length == expected.length;
    for (int i = 0; fits && i < expected.length; i++) {
      fits = expected[i] < 0 || expected[i] == shape[i];
    }
    String found = Arrays.toString(shape);
    boolean isFirst = name.equals("q"); // which the others have to fit
    String sizes = isFirst ? "[B, L, H, D]" : Arrays.toString(expected).replace("-1", "any");
    require(fits, "array '%s' has shape %s; expected %s", name, found, sizes);
    return shape;
  }

  private Optional<NpyArray> projection(long headSize) {
    try {
      var drawn = favor.draw(Math.toIntExact(headSize));
      return drawn.map(p -> NpyArray.of(p.values(), p.shape()));
    } catch (PerformerException e) {
      throw new PerformerException(e.getMessage() + "; or give P", e).settledBy(PROJECTION);
    }
  }

  /** Also the gradients of some inputs, where there is one of the output. */
  private <T extends TFloating> Map<String, NpyArray> attend(
      Class<T> type, Map<String, NpyArray> feeds, List<String> inputs) {
    List<Tensor> tensors = new ArrayList<>();
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Session.Runner runner = session.runner();
      Map<String, Operand<T>> in = new LinkedHashMap<>();
      feeds.forEach(
          (name, array) -> {
            in.put(name, tf.placeholder(type, Placeholder.shape(Shape.of(array.shape()))));
            tensors.add(tensor(type, array));
            runner.feed(in.get(name), tensors.get(tensors.size() - 1));
          });
      Output<?> out =
          attention(in.get("P"))
              .attendPositionsFirst(tf, in.get("q"), in.get("k"), in.get("v"), in.get("mask"))
              .asOutput();
      Map<String, Output<?>> fetches = new LinkedHashMap<>(Map.of("out", out));
      if (in.containsKey("g")) {
        Output<?>[] x = inputs.stream().map(n -> in.get(n).asOutput()).toArray(Output<?>[]::new);
        Output<?>[] dy = {in.get("g").asOutput()};
        Output<?>[] dx = graph.addGradients("gradients", new Output<?>[] {out}, x, dy);
        for (int i = 0; i < dx.length; i++) {
          fetches.put("d" + inputs.get(i), dx[i]);
        }
      }
      fetches.values().forEach(runner::fetch);
      Map<String, NpyArray> results = new LinkedHashMap<>();
      try (var result = runner.run()) {
        fetches
            .keySet()
            .forEach(name -> results.put(name, array(type, result.get(results.size()))));
      }
      return results;
    } finally {
      tensors.forEach(Tensor::close);
    }
  }

  private static Tensor tensor(Class<?> type, NpyArray array) {
    return type == TFloat64.class
        ? Tensors.of(array.doubles(), array.shape())
        : Tensors.of(array.floats(), array.shape());
  }

  private static NpyArray array(Class<?> type, Tensor tensor) {
    long[] shape = tensor.shape().asArray();
    return type == TFloat64.class
        ? NpyArray.of(Tensors.doubles(tensor), shape)
        : NpyArray.of(Tensors.floats(tensor), shape);
  }

  private Attention attention(Operand<? extends TFloating> projection) {
    if (favor == null) {
      return new ExactAttention(causal);
    }
    if (projection == null) {
      return FavorAttention.of(favor);
    }
    int rows = Math.toIntExact(projection.shape().get(0));
    return FavorAttention.of(favor.withFeatures(rows), projection);
  }
}
