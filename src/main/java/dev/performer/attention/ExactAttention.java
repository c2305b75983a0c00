package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.family.TFloating;

/**
 * Softmax attention {@code softmax(q·k/√D) v}, quadratic in the length: what FAVOR+ estimates. A
 * query that sees no key gets 0.
 *
 * @param causal whether position l sees keys 0 … l only
 */
public record ExactAttention(boolean causal) implements Attention {
  private static final double FORBIDDEN = -1e9;

  @Override
  public <T extends TFloating> Operand<T> attend(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    if (FavorAttention.isNarrow(queries.type())) {
      return FavorAttention.widened(this, tf, queries, keys, values, keyMask);
    }
    Algebra<T> a = Algebra.of(tf, queries);
    Operand<T> allowed = allowed(a, queries, keys, keyMask, tf.constant(0L)); // [B|1, 1, L|1, S]
    Operand<T> out = mixed(a, queries, keys, values, allowed);
    return keyMask == null ? out : tf.math.mul(out, a.max(allowed, 3));
  }

  /** {@code [B, H, L, V]}; means nothing for a query that sees no key. */
  private static <T extends TFloating> Operand<T> mixed(
      Algebra<T> a, Operand<T> queries, Operand<T> keys, Operand<T> values, Operand<T> allowed) {
    return a.matMul(softmax(a, scores(a, queries, keys), allowed), values);
  }

  /**
   * The matrix {@code [B, H, L, S]} that mixes values, for short sequences; a row of zeros for a
   * query that sees no key. Types are float32 or float64, the mask as of {@link #attend}.
   */
  public <T extends TFloating> Operand<T> weights(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    return normalized(a, scores(a, queries, keys), queries, keys, keyMask);
  }

  /** Rows of it, {@code [B, H, n, S]}, of queries {@code [B, H, n, D]} at positions {@code [n]}. */
  public <T extends TFloating> Operand<T> weights(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask, Operand<TInt32> at) {
    Algebra<T> a = Algebra.of(tf, queries);
    Operand<T> seen = keyMask == null ? null : expanded(tf, keyMask, 1); // [B, 1, 1, S]
    if (causal) {
      Operand<T> before = expanded(tf, upTo(a, at, Algebra.sizes(tf, keys, 2, 3)), 0);
      seen = seen == null ? before : tf.math.mul(seen, before); // [B|1, 1, n, S]
    }
    Operand<T> weights = softmax(a, scores(a, queries, keys), seen);
    return seen == null ? weights : tf.math.mul(weights, seen);
  }

  /** 1 where a key stands at a position or before it, {@code [n, S]}; S is {@code [1]}. */
  public static <T extends TFloating> Operand<T> upTo(
      Algebra<T> a, Operand<TInt32> at, Operand<TInt32> length) {
    Ops tf = a.tf();
    var keys = tf.range(tf.constant(0), tf.squeeze(length), tf.constant(1)); // [S]
    var isSeen = tf.math.lessEqual(keys, tf.expandDims(at, tf.constant(1)));
    return tf.dtypes.cast(isSeen, a.type());
  }

  /** Weights of scores, {@code [B, H, L, S]}; 0 where a query may not see a key. */
  <T extends TFloating> Operand<T> normalized(
      Algebra<T> a, Operand<T> scores, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Operand<T> allowed = allowed(a, queries, keys, keyMask, a.tf().constant(0L));
    Operand<T> weights = softmax(a, scores, allowed);
    return allowed == null ? weights : a.tf().math.mul(weights, allowed);
  }

  private static <T extends TFloating> Operand<T> scores(
      Algebra<T> a, Operand<T> queries, Operand<T> keys) {
    double scale = 1 / Math.sqrt(Algebra.size(queries, -1, "the head size"));
    return a.matMulTransposed(a.times(queries, scale), keys); // [B, H, L, S]
  }

  private static <T extends TFloating> Operand<T> softmax(
      Algebra<T> a, Operand<T> scores, Operand<T> allowed) {
    Ops tf = a.tf();
    if (allowed == null) {
      return tf.nn.softmax(scores);
    }
    Operand<T> bias = a.times(tf.math.sub(a.constant(1), allowed), FORBIDDEN);
    return tf.nn.softmax(tf.math.add(scores, bias));
  }

  /**
   * 1 where a query may see a key, {@code [B|1, 1, L|1, S]}, 0 elsewhere; null where all may.
   *
   * @param before how many keys stand before the first query's own, where attention is causal
   */
  private <T extends TFloating> Operand<T> allowed(
      Algebra<T> a,
      Operand<T> queries,
      Operand<T> keys,
      Operand<T> keyMask,
      Operand<TInt64> before) {
    Ops tf = a.tf();
    Operand<T> kept = keyMask == null ? null : expanded(tf, keyMask, 1); // [B, 1, 1, S]
    if (!causal) {
      return kept;
    }
    var lengths = List.of(Algebra.sizes(tf, queries, 2, 3), Algebra.sizes(tf, keys, 2, 3));
    Operand<T> ones = tf.fill(tf.concat(lengths, tf.constant(0)), a.constant(1)); // [L, S]
    Operand<T> triangle = tf.linalg.bandPart(ones, tf.constant(-1L), before);
    Operand<T> below = expanded(tf, triangle, 0); // [1, 1, L, S]
    return kept == null ? below : tf.math.mul(below, kept);
  }

  private static <T extends TFloating> Operand<T> expanded(Ops tf, Operand<T> x, int axis) {
    return tf.expandDims(tf.expandDims(x, tf.constant(axis)), tf.constant(axis));
  }

  /**
   * Softmax attention over a growing cache of keys and values; the third tensor is 1 for those that
   * are real, as prompts of one batch differ in length.
   */
  public record Recurrence(int heads, int headSize, int valueSize) implements RecurrentForm {
    /** The name of the third. */
    public static final String REAL = "real";

    @Override
    public List<State> states() {
      return List.of(
          new State("keys", heads, -1, headSize),
          new State("values", heads, -1, valueSize),
          new State(REAL, -1));
    }

    @Override
    public Advance extend(
        Ops tf, List<Operand<TFloat32>> states, Projected more, Operand<TFloat32> keyMask) {
      var exact = new ExactAttention(true);
      if (states == null) {
        var out = exact.attend(tf, more.queries(), more.keys(), more.values(), keyMask);
        return new Advance(out, List.of(more.keys(), more.values(), keyMask));
      }
      List<Operand<TFloat32>> all = grown(tf, states, more, keyMask);
      Algebra<TFloat32> a = Algebra.of(tf, more.keys());
      var before = tf.squeeze(tf.dtypes.cast(Algebra.sizes(tf, states.get(2), 1, 2), TInt64.class));
      var allowed = exact.allowed(a, more.queries(), all.get(0), all.get(2), before);
      return new Advance(mixed(a, more.queries(), all.get(0), all.get(1), allowed), all);
    }

    @Override
    public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one) {
      var column = List.of(Algebra.sizes(tf, one.keys(), 0, 1), tf.array(1));
      var row = tf.fill(tf.concat(column, tf.constant(0)), tf.constant(1f)); // [B, 1]
      List<Operand<TFloat32>> all = grown(tf, states, one, row);
      var exact = new ExactAttention(false);
      var out = exact.attend(tf, one.queries(), all.get(0), all.get(1), all.get(2));
      return new Advance(out, all);
    }

    private static List<Operand<TFloat32>> grown(
        Ops tf, List<Operand<TFloat32>> states, Projected more, Operand<TFloat32> real) {
      var axis = tf.constant(2);
      return List.of(
          tf.concat(List.of(states.get(0), more.keys()), axis), // [B, H, S, D]
          tf.concat(List.of(states.get(1), more.values()), axis), // [B, H, S, V]
          tf.concat(List.of(states.get(2), real), tf.constant(1))); // [B, S]
    }
  }
}
