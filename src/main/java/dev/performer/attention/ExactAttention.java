package dev.performer.attention;

import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
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
    Operand<T> scores = scores(a, queries, keys); // [B, H, L, S]
    Operand<T> allowed = allowed(a, queries, keys, keyMask); // [B|1, 1, L|1, S]
    Operand<T> out = a.matMul(softmax(a, scores, allowed), values); // [B, H, L, V]
    // A product with [L, 1] is less than one with the weights, [L, S].
    return keyMask == null ? out : tf.math.mul(out, a.max(allowed, 3));
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

  /** Weights of scores, {@code [B, H, L, S]}; 0 where a query may not see a key. */
  <T extends TFloating> Operand<T> normalized(
      Algebra<T> a, Operand<T> scores, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Operand<T> allowed = allowed(a, queries, keys, keyMask); // [B|1, 1, L|1, S]
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

  /** 1 where a query may see a key, 0 elsewhere; null where all may. */
  private <T extends TFloating> Operand<T> allowed(
      Algebra<T> a, Operand<T> queries, Operand<T> keys, Operand<T> keyMask) {
    Ops tf = a.tf();
    Operand<T> kept = keyMask == null ? null : expanded(tf, keyMask, 1); // [B, 1, 1, S]
    if (!causal) {
      return kept;
    }
    var lengths = List.of(Algebra.sizes(tf, queries, 2, 3), Algebra.sizes(tf, keys, 2, 3));
    Operand<T> ones = tf.fill(tf.concat(lengths, tf.constant(0)), a.constant(1)); // [L, S]
    Operand<T> triangle = tf.linalg.bandPart(ones, tf.constant(-1L), tf.constant(0L));
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
    @Override
    public List<State> states() {
      return List.of(
          new State("keys", heads, -1, headSize),
          new State("values", heads, -1, valueSize),
          new State("real", -1));
    }

    @Override
    public Advance prefill(Ops tf, Projected all, Operand<TFloat32> keyMask) {
      var exact = new ExactAttention(true);
      var out = exact.attend(tf, all.queries(), all.keys(), all.values(), keyMask);
      return new Advance(out, List.of(all.keys(), all.values(), keyMask));
    }

    @Override
    public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one) {
      Operand<TFloat32> keys = tf.concat(List.of(states.get(0), one.keys()), tf.constant(2));
      Operand<TFloat32> values = tf.concat(List.of(states.get(1), one.values()), tf.constant(2));
      var column = List.of(Algebra.sizes(tf, one.keys(), 0, 1), tf.array(1));
      var row = tf.fill(tf.concat(column, tf.constant(0)), tf.constant(1f)); // [B, 1]
      Operand<TFloat32> real = tf.concat(List.of(states.get(2), row), tf.constant(1)); // [B, S]
      var out = new ExactAttention(false).attend(tf, one.queries(), keys, values, real);
      return new Advance(out, List.of(keys, values, real));
    }
  }
}
