package dev.performer.attention;

import static dev.performer.PerformerException.require;

import dev.performer.attention.FeatureMap.Features;
import dev.performer.attention.SharedDenominator.Part;
import dev.performer.graph.Algebra;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * FAVOR+ with exact softmax weights on a window around every query and on sinks, one denominator
 * for all. Features stand for the other keys only: causal sums are of keys that have left the
 * window, and from sums over both sides the estimates of keys in the window are taken again.
 *
 * <pre>
 *   out_i = (Σ_{j exact} exp(q_i·k_j/√D) v_j + exp(−s_i) Σ_{j else} φ(q_i)·φ(k_j) v_j) / (the same of 1)
 * </pre>
 *
 * with the scale s_i of {@link Features#logScale}, everything under the largest logarithm.
 */
record BandedAttention(FavorConfig config, FeatureMap featureMap) {
  /** Added to scores of keys that do not count; those outside a window are below all such ones. */
  static final double PADDED = -1e9;

  private static final double OUTSIDE = -4e9;

  /** What sums over all keys and sums over some, by products in another order, may differ by. */
  private static final double ROUNDINGS = 16;

  /** Keys and values, {@code [B, H, S, …]}, and 1 for those that count here, {@code [B|1, S]}. */
  record Keys<T extends TFloating>(Operand<T> keys, Operand<T> values, Operand<T> counted) {
    /** Behind so many positions that do not count. */
    Keys<T> behind(Ops tf, Operand<TInt32> count) {
      return new Keys<>(
          front(tf, keys, 2, count), front(tf, values, 2, count), front(tf, counted, 1, count));
    }

    /** The first so many, {@code [1]}. */
    Keys<T> first(Ops tf, Operand<TInt32> count) {
      return cut(tf, tf.array(0), count);
    }

    /** All but the first. */
    Keys<T> rest(Ops tf) {
      return cut(tf, tf.array(1), tf.math.sub(LinearAttention.length(tf, keys), tf.array(1)));
    }

    private Keys<T> cut(Ops tf, Operand<TInt32> from, Operand<TInt32> count) {
      return new Keys<>(
          cut(tf, keys, 2, from, count),
          cut(tf, values, 2, from, count),
          cut(tf, counted, 1, from, count));
    }

    private static <T extends TFloating> Operand<T> cut(
        Ops tf, Operand<T> x, int axis, Operand<TInt32> from, Operand<TInt32> count) {
      int last = x.shape().numDimensions() - 1 - axis;
      var begin =
          tf.concat(
              List.of(tf.constant(new int[axis]), from, tf.constant(new int[last])),
              tf.constant(0));
      return tf.slice(x, begin, sizes(tf, x, axis, count));
    }

    private static <T extends TFloating> Operand<T> front(
        Ops tf, Operand<T> x, int axis, Operand<TInt32> count) {
      return tf.concat(List.of(zeros(tf, x, axis, count), x), tf.constant(axis));
    }
  }

  /** As {@code x}, with so many places on an axis. */
  static <T extends TFloating> Operand<T> zeros(
      Ops tf, Operand<T> x, int axis, Operand<TInt32> count) {
    return tf.fill(sizes(tf, x, axis, count), Algebra.of(tf, x).constant(0));
  }

  /** The sizes of {@code [B, S]} or {@code [B, H, S, X]}, but one; X stays known. */
  private static Operand<TInt32> sizes(Ops tf, Operand<?> x, int axis, Operand<TInt32> count) {
    List<Operand<TInt32>> sizes = new ArrayList<>(List.of(Algebra.sizes(tf, x, 0, axis), count));
    if (axis < x.shape().numDimensions() - 1) {
      sizes.add(tf.array((int) Algebra.size(x, -1, "the last size")));
    }
    return tf.concat(sizes, tf.constant(0));
  }

  <T extends TFloating> Operand<T> attend(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    Algebra<T> a = Algebra.of(tf, queries);
    requireOneSequence(queries, keys);
    List<Part<T>> parts = new ArrayList<>();
    Operand<T> counted = keyMask == null ? all(a, keys) : keyMask;
    if (hasSinks()) {
      Operand<T> chosen = Sinks.chosen(a, config.sinks(), counted, null);
      Operand<T> ofOnes = LinearAttention.withOnes(tf, values, null);
      parts.add(Sinks.of(a, chosen, keys, ofOnes).part(a, queries, config.causal()));
      counted = tf.math.mul(counted, Sinks.others(a, chosen));
    }
    Keys<T> own = new Keys<>(keys, values, counted);
    if (!hasWindow()) {
      parts.addAll(
          config.causal() ? causal(a, queries, own, null).parts() : outside(a, queries, own));
    } else if (config.causal()) {
      BandBlocks blocks = BandBlocks.of(tf, queries, config.window(), false, config.chunk(), true);
      Keys<T> near = own.behind(tf, tf.math.add(blocks.window(), tf.array(1)));
      parts.add(window(a, blocks, queries, near.rest(tf)));
      parts.addAll(causal(a, queries, near, null).parts());
    } else {
      BandBlocks blocks = BandBlocks.of(tf, queries, config.window(), true, config.chunk(), true);
      Keys<T> near = own.behind(tf, blocks.window());
      parts.add(window(a, blocks, queries, near));
      parts.addAll(outside(a, blocks, queries, near));
    }
    return SharedDenominator.divided(a, parts, config.denominator());
  }

  boolean hasWindow() {
    return config.window() > 0;
  }

  boolean hasSinks() {
    return !config.sinks().isEmpty();
  }

  /** A mask of nothing, {@code [1, S]}. */
  private static <T extends TFloating> Operand<T> all(Algebra<T> a, Operand<T> keys) {
    Operand<T> ones = a.tf().fill(LinearAttention.length(a.tf(), keys), a.constant(1));
    return a.tf().expandDims(ones, a.tf().constant(0));
  }

  private void requireOneSequence(Operand<?> queries, Operand<?> keys) {
    long l = queries.shape().get(2);
    long s = keys.shape().get(2);
    require(
        l == s || l < 0 || s < 0 || !hasWindow(),
        "a window needs queries and keys of one sequence, not %d queries and %d keys",
        l,
        s);
  }

  /** Exact weights of near keys, which stand W positions behind. */
  <T extends TFloating> Part<T> window(
      Algebra<T> a, BandBlocks blocks, Operand<T> queries, Keys<T> near) {
    Ops tf = a.tf();
    double scale = 1 / Math.sqrt(Algebra.size(queries, -1, "the head size"));
    Keys<T> filled = blocks.filled(near);
    Operand<T> scaled = blocks.filled(a.times(queries, scale));
    Operand<T> missing = tf.math.sub(a.constant(1), filled.counted());
    Operand<T> bias = a.times(LinearAttention.maskColumn(tf, missing), PADDED); // [B|1, 1, S, 1]
    Operand<T> biases = tf.math.mul(a.onesColumn(filled.keys()), bias); // [B, H, S, 1]
    var q = blocks.row(a.concat(-1, List.of(scaled, a.onesColumn(scaled)))); // [BHN, C, D+1]
    var k = blocks.row(a.concat(-1, List.of(filled.keys(), biases))); // [BHN, C, D+1]
    var v = blocks.row(LinearAttention.withOnes(tf, filled.values(), filled.counted()));
    Operand<T> outside = a.where(blocks.inWindow(), 0, OUTSIDE); // [C, bC]
    Operand<T> scores =
        tf.math.add(a.matMulTransposed(blocks.shifted(q, 0), blocks.nearOf(k)), outside);
    Part<T> part = Part.exact(a, scores, null, blocks.nearOf(v)); // [n, C, V+1]
    return new Part<>(
        blocks.positions(part.sums(), queries), blocks.positions(part.logFactor(), queries));
  }

  /** The estimate of all keys that count; none where there is no linear part. */
  private <T extends TFloating> List<Part<T>> outside(
      Algebra<T> a, Operand<T> queries, Keys<T> all) {
    if (!config.linear()) {
      return List.of();
    }
    Features<T> of = featureMap.map(a.tf(), queries, all.keys(), all.counted());
    Operand<T> state = LinearAttention.state(a.tf(), of.keys(), all.values(), all.counted());
    Operand<T> sums = a.matMulTransposed(of.queries(), state); // [B, H, L, V+1]
    return List.of(new Part<>(sums, a.tf().math.neg(of.logScale().get())));
  }

  /** The estimate of those outside the window, which stand W positions behind. */
  private <T extends TFloating> List<Part<T>> outside(
      Algebra<T> a, BandBlocks blocks, Operand<T> queries, Keys<T> near) {
    if (!config.linear()) {
      return List.of();
    }
    Ops tf = a.tf();
    Keys<T> filled = blocks.filled(near);
    Features<T> of = featureMap.map(tf, blocks.filled(queries), filled.keys(), filled.counted());
    var v = LinearAttention.withOnes(tf, filled.values(), filled.counted());
    Operand<T> state = a.transposedMatMul(v, of.keys()); // [B, H, V+1, R]
    Operand<T> all = blocks.first(a.matMulTransposed(of.queries(), state)); // [B, H, L, V+1]
    Operand<T> products = blocks.products(blocks.row(of.queries()), blocks.row(of.keys()));
    Operand<T> weights = tf.math.mul(products, a.where(blocks.inWindow(), 1, 0)); // [n, C, bC]
    Operand<T> inside = blocks.positions(a.matMul(weights, blocks.nearOf(blocks.row(v))), queries);
    Operand<T> logFactor = tf.math.neg(blocks.first(of.logScale().get()));
    return List.of(new Part<>(less(a, all, inside), logFactor));
  }

  /** The difference of sums, none where it is nothing but rounding. */
  private static <T extends TFloating> Operand<T> less(
      Algebra<T> a, Operand<T> all, Operand<T> some) {
    Ops tf = a.tf();
    Operand<T> rest = tf.math.sub(all, some);
    Operand<T> least = a.times(SharedDenominator.weight(a, all), a.rounding() * ROUNDINGS);
    var isMore = tf.math.greater(SharedDenominator.weight(a, rest), least); // [B, H, L, 1]
    return tf.select(isMore, rest, a.constant(0));
  }

  /** The estimate of the l first keys for query l, of none without a linear part. */
  record Causal<T extends TFloating>(List<Part<T>> parts, Features<T> features, Keys<T> left) {}

  /**
   * What query l sees of keys 0 … l: those of W + 1 positions before, where keys stand so far
   * behind.
   *
   * @param earlier the state of keys before all these, or null
   */
  <T extends TFloating> Causal<T> causal(
      Algebra<T> a, Operand<T> queries, Keys<T> behind, Operand<T> earlier) {
    Ops tf = a.tf();
    if (!config.linear()) {
      return new Causal<>(List.of(), null, null);
    }
    Keys<T> left = behind.first(tf, LinearAttention.length(tf, queries));
    Features<T> of = featureMap.map(tf, queries, left.keys(), left.counted());
    long features = Algebra.size(of.keys(), -1, "the number of features");
    int chunk = config.chunkFor(features, Algebra.size(left.values(), -1, "the value size"));
    Operand<T> sums =
        LinearAttention.causalSums(
            tf, of.queries(), of.keys(), left.values(), left.counted(), chunk, earlier);
    return new Causal<>(List.of(new Part<>(sums, tf.math.neg(of.logScale().get()))), of, left);
  }
}
