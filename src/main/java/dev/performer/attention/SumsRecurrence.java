package dev.performer.attention;

import dev.performer.attention.Attention.Projected;
import dev.performer.graph.Algebra;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.math.Cumsum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * The recurrent form where features are of one position only: the state is {@code Σ_j [v_j | 1]
 * φ(k_j)ᵀ}, each term with what the gates behind it have left, where there are any.
 */
record SumsRecurrence(FavorAttention attention, int heads, long features, int valueSize)
    implements RecurrentForm {
  @Override
  public List<State> states() {
    return List.of(new State("sums", heads, valueSize + 1, features));
  }

  private boolean isGated() {
    return attention.config().hasGate();
  }

  @Override
  public Advance extend(
      Ops tf, List<Operand<TFloat32>> states, Projected more, Operand<TFloat32> keyMask) {
    Operand<TFloat32> before = states == null ? null : states.get(0);
    var of = attention.featureMap().map(tf, more.queries(), more.keys(), keyMask);
    var out = attention.causal(tf, of, more.values(), keyMask, more.logGates(), before);
    Algebra<TFloat32> a = Algebra.of(tf, of.keys());
    Operand<TFloat32> values = LinearAttention.withOnes(tf, more.values(), keyMask);
    if (isGated()) {
      Left left = Left.of(a, Decay.counted(tf, more.logGates(), keyMask));
      values = tf.math.mul(values, left.ofEach());
      before = before == null ? null : tf.math.mul(before, left.ofAll());
    }
    Operand<TFloat32> added = a.transposedMatMul(values, of.keys()); // [B, H, V+1, R]
    return new Advance(out, List.of(before == null ? added : tf.math.add(before, added)));
  }

  @Override
  public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one) {
    var of = attention.featureMap().map(tf, one.queries(), one.keys(), null); // [B, H, 1, R]
    Algebra<TFloat32> a = Algebra.of(tf, of.keys());
    Operand<TFloat32> added = a.transposedMatMul(withOne(tf, one.values()), of.keys());
    Operand<TFloat32> before = states.get(0);
    if (isGated()) {
      before = tf.math.mul(before, tf.math.exp(Decay.counted(tf, one.logGates(), null)));
    }
    Operand<TFloat32> after = tf.math.add(before, added); // [B, H, V+1, R]
    return new Advance(divided(tf, seen(a, after, of.queries())), List.of(after));
  }

  @Override
  public List<State> waiting() {
    List<State> waiting = new ArrayList<>();
    waiting.add(new State("waiting_keys", heads, -1, features));
    waiting.add(new State("waiting_values", heads, -1, valueSize + 1));
    if (isGated()) {
      waiting.add(new State("waiting_gates", heads, -1, 1));
    }
    return waiting;
  }

  @Override
  public Advance defer(
      Ops tf, List<Operand<TFloat32>> states, List<Operand<TFloat32>> waiting, Projected one) {
    var of = attention.featureMap().map(tf, one.queries(), one.keys(), null); // [B, H, 1, R]
    Algebra<TFloat32> a = Algebra.of(tf, of.keys());
    Operand<TFloat32> keys = a.concat(2, List.of(waiting.get(0), of.keys())); // [B, H, P, R]
    Operand<TFloat32> values = a.concat(2, List.of(waiting.get(1), withOne(tf, one.values())));
    List<Operand<TFloat32>> after = new ArrayList<>(List.of(keys, values));
    Operand<TFloat32> old = seen(a, states.get(0), of.queries()); // [B, H, V+1, 1]
    if (isGated()) {
      Operand<TFloat32> own = Decay.counted(tf, one.logGates(), null);
      after.add(a.concat(2, List.of(waiting.get(2), own))); // [B, H, P, 1]
      Left left = Left.of(a, after.get(2));
      values = tf.math.mul(values, left.ofEach());
      old = tf.math.mul(old, left.ofAll());
    }
    Operand<TFloat32> recent = a.transposedMatMul(values, seen(a, keys, of.queries()));
    return new Advance(divided(tf, tf.math.add(old, recent)), after);
  }

  @Override
  public List<Operand<TFloat32>> settle(
      Ops tf, List<Operand<TFloat32>> states, List<Operand<TFloat32>> waiting) {
    Algebra<TFloat32> a = Algebra.of(tf, states.get(0));
    Operand<TFloat32> before = states.get(0);
    Operand<TFloat32> values = waiting.get(1);
    if (isGated()) {
      Left left = Left.of(a, waiting.get(2));
      values = tf.math.mul(values, left.ofEach());
      before = tf.math.mul(before, left.ofAll());
    }
    var added = a.transposedMatMul(values, waiting.get(0)); // [B, H, V+1, R]
    return List.of(tf.math.add(before, added));
  }

  /**
   * What gates leave behind T positions: of each, {@code [B, H, T, 1]}, and of all that was there
   * before them, {@code [B, H, 1, 1]}. These are sums of the gates behind a position, without a
   * difference.
   */
  private record Left(Operand<TFloat32> ofEach, Operand<TFloat32> ofAll) {
    static Left of(Algebra<TFloat32> a, Operand<TFloat32> logs) {
      Ops tf = a.tf();
      Algebra<TFloat64> w = new Algebra<>(tf, TFloat64.class);
      Operand<TFloat64> wide = w.cast(logs);
      var behind =
          tf.math.cumsum(wide, tf.constant(2), Cumsum.exclusive(true), Cumsum.reverse(true));
      return new Left(tf.math.exp(a.cast(behind)), tf.math.exp(a.cast(w.sum(wide, 2))));
    }
  }

  /** {@code [v | 1]}. */
  private static Operand<TFloat32> withOne(Ops tf, Operand<TFloat32> values) {
    var after = tf.constant(new int[][] {{0, 0}, {0, 0}, {0, 0}, {0, 1}});
    return tf.pad(values, after, tf.constant(1f)); // [B, H, 1, V+1]
  }

  /** Products of rows, {@code [B, H, N, R]}, with one query, {@code [B, H, 1, R]}, as a column. */
  private Operand<TFloat32> seen(
      Algebra<TFloat32> a, Operand<TFloat32> rows, Operand<TFloat32> query) {
    var column = a.tf().array(-1, heads, (int) features, 1);
    return a.matMul(rows, Algebra.reshape(a.tf(), query, column)); // [B, H, N, 1]
  }

  /** Of {@code [B, H, V+1, 1]}. */
  private Operand<TFloat32> divided(Ops tf, Operand<TFloat32> sums) {
    var row = tf.reshape(sums, tf.array(-1, heads, 1, valueSize + 1));
    return LinearAttention.divided(tf, row, attention.denominator()); // [B, H, 1, V]
  }
}
