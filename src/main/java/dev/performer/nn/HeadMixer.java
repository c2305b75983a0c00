package dev.performer.nn;

import static dev.performer.attention.Attention.swapPositionsAndHeads;

import dev.performer.attention.Attention.Projected;
import dev.performer.attention.Calibration;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.LinearAttention;
import dev.performer.attention.modelgarden.KernelAttention;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.graph.Algebra;
import dev.performer.graph.Variable;
import java.util.List;
import java.util.function.Function;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gradients;
import org.tensorflow.op.core.OneHot;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** How heads mix values; between the dense layers of {@link MultiHeadAttention}. */
public sealed interface HeadMixer {
  /**
   * Outputs of the first queries, {@code [B, H, b, D]}, which have an output layer of their own, or
   * null, and of all others, {@code [B, H, L-b, D]}.
   */
  record Mixed(Operand<TFloat32> begin, Operand<TFloat32> rest) {}

  /** Attends; keyMask is {@code [B, S]}, 1 = keep, or null. */
  Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop);

  /**
   * Rows of the matrix that mixes values: the weights of all values in the outputs of some queries,
   * {@code [B, H, n, S]}. Outputs are linear in the values, so a row is an output's gradient by
   * them, which takes no more memory than the mixing itself.
   *
   * @param x its values may be null
   * @param at positions of queries, {@code [n]}
   * @param once gets what does not depend on {@code at}
   */
  default Operand<TFloat32> weights(
      Ops tf,
      Projected x,
      Operand<TFloat32> keyMask,
      Operand<TInt32> at,
      List<Operand<TFloat32>> once) {
    int channels = (int) Algebra.size(at, 0, "the number of rows"); // each for one of them
    var sizes = List.of(Algebra.sizes(tf, x.keys(), 0, 3), tf.array(channels));
    Operand<TFloat32> values = tf.fill(tf.concat(sizes, tf.constant(0)), tf.constant(0f));
    var given = new Projected(x.queries(), x.keys(), values, x.logGates());
    Mixed mixed = mix(tf, given, keyMask, Dropout.none());
    Operand<TFloat32> out = mixed.rest(); // [B, H, L, n]
    if (mixed.begin() != null) {
      out = tf.concat(List.of(mixed.begin(), out), tf.constant(2));
    }
    var length = tf.squeeze(LinearAttention.length(tf, x.queries()));
    var chosen = tf.oneHot(at, length, tf.constant(1f), tf.constant(0f), OneHot.axis(0L)); // [L, n]
    var ofOut = Gradients.dx(List.of(tf.broadcastTo(chosen, tf.shape(out))));
    Operand<TFloat32> columns = // [B, H, S, n]
        tf.gradients(List.of(out), List.of(values), ofOut).dy(0);
    return tf.linalg.transpose(columns, tf.array(0, 1, 3, 2));
  }

  /** Whether the first queries have an output layer of their own. */
  default boolean hasBegin() {
    return false;
  }

  /** Logarithms of gates of the keys' {@code source}, {@code [B, H, S, 1]}; null for none. */
  default Operand<TFloat32> logGates(Ops tf, Operand<TFloat32> source) {
    return null;
  }

  /** Whether the queries are the keys, too. */
  default boolean sharesKeys() {
    return false;
  }

  /**
   * Softmax attention with dropout of its weights; where queries are masked, padding, which must be
   * that of the keys, sees all positions alike.
   */
  record Exact(ExactAttention attention, boolean maskQueries, double dropout) implements HeadMixer {
    @Override
    public Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop) {
      if (!maskQueries && (!drop.isActive() || dropout == 0)) {
        return new Mixed(null, attention.attend(tf, x.queries(), x.keys(), x.values(), keyMask));
      }
      Operand<TFloat32> all = attention.weights(tf, x.queries(), x.keys(), keyMask);
      var weights = drop.apply(tf, evened(tf, all, x, keyMask, keyMask), dropout);
      return new Mixed(null, Algebra.of(tf, weights).matMul(weights, x.values()));
    }

    @Override
    public Operand<TFloat32> weights(
        Ops tf,
        Projected x,
        Operand<TFloat32> keyMask,
        Operand<TInt32> at,
        List<Operand<TFloat32>> once) {
      Operand<TFloat32> some = tf.gather(x.queries(), at, tf.constant(2));
      var weights = attention.weights(tf, some, x.keys(), keyMask, at);
      var real = keyMask == null ? null : tf.gather(keyMask, at, tf.constant(1));
      return evened(tf, weights, x, keyMask, real);
    }

    /** In Flax a row of a padded query holds the same large negative number everywhere. */
    private Operand<TFloat32> evened(
        Ops tf,
        Operand<TFloat32> weights,
        Projected x,
        Operand<TFloat32> keyMask,
        Operand<TFloat32> queryMask) {
      if (!maskQueries || keyMask == null) {
        return weights;
      }
      Operand<TFloat32> real = LinearAttention.maskColumn(tf, queryMask); // [B, 1, n, 1]
      var length = tf.gather(tf.shape(x.keys()), tf.constant(2), tf.constant(0));
      var padding = tf.math.sub(tf.constant(1f), real);
      var even = tf.math.div(padding, tf.dtypes.cast(length, TFloat32.class)); // [B, 1, L, 1]
      return tf.math.add(tf.math.mul(weights, real), even);
    }
  }

  /**
   * FAVOR+, exact attention in the first heads if wanted; projection {@code [M, D]}, or null, and
   * the calibration of all heads where the kernel has one, and their gates where it has any, which
   * those that are exact do not use.
   */
  record Favor(
      FavorConfig config,
      Variable projection,
      HeadCalibration calibration,
      HeadGates gates,
      int heads)
      implements HeadMixer {
    /** FAVOR+ of some heads with the projection as it is read here. */
    public FavorAttention attention(Ops tf, int first, int count) {
      Operand<TFloat32> p = projection == null ? null : projection.read(tf);
      Calibration of = calibration == null ? null : calibration.read(tf);
      return FavorAttention.of(
          config, p, of == null || count == heads ? of : of.some(tf, first, count));
    }

    /** FAVOR+ of the heads that are not exact. */
    public FavorAttention attention(Ops tf) {
      return attention(tf, config.exactHeads(), heads - config.exactHeads());
    }

    @Override
    public Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop) {
      var exact = new ExactAttention(config.causal());
      Operand<TFloat32> kept = favorMask(keyMask);
      var heads =
          joined(
              tf,
              x,
              p -> exact.attend(tf, p.queries(), p.keys(), p.values(), keyMask),
              p -> favor(tf, p, kept));
      return new Mixed(null, heads);
    }

    private Operand<TFloat32> favor(Ops tf, Projected x, Operand<TFloat32> keyMask) {
      return attention(tf).attend(tf, x.queries(), x.keys(), x.values(), keyMask, x.logGates());
    }

    @Override
    public Operand<TFloat32> logGates(Ops tf, Operand<TFloat32> source) {
      return gates == null ? null : gates.logs(tf, source);
    }

    @Override
    public Operand<TFloat32> weights(
        Ops tf,
        Projected x,
        Operand<TFloat32> keyMask,
        Operand<TInt32> at,
        List<Operand<TFloat32>> once) {
      if (config.hasBand() || config.hasGate()) {
        return HeadMixer.super.weights(tf, x, keyMask, at, once);
      }
      var exact = new Exact(new ExactAttention(config.causal()), false, 0);
      Operand<TFloat32> kept = favorMask(keyMask);
      return joined(
          tf,
          x,
          p -> exact.weights(tf, p, keyMask, at, once),
          p -> favorWeights(tf, p, kept, at, once));
    }

    /** Exact attention in the first heads, FAVOR+ in the others. */
    private Operand<TFloat32> joined(
        Ops tf,
        Projected x,
        Function<Projected, Operand<TFloat32>> exact,
        Function<Projected, Operand<TFloat32>> favor) {
      int first = config.exactHeads();
      if (first == 0 || first == heads) {
        return (first == 0 ? favor : exact).apply(x);
      }
      var begin = exact.apply(x.some(tf, 0, first, heads));
      var rest = favor.apply(x.some(tf, first, heads - first, heads));
      return tf.concat(List.of(begin, rest), tf.constant(1));
    }

    /** Exact heads always leave padded keys out. */
    private Operand<TFloat32> favorMask(Operand<TFloat32> keyMask) {
      return config.maskKeys() ? keyMask : null;
    }

    /** {@code φ(q)·φ(k)} over its sum, {@code [B, H, n, S]}. */
    private Operand<TFloat32> favorWeights(
        Ops tf,
        Projected x,
        Operand<TFloat32> keyMask,
        Operand<TInt32> at,
        List<Operand<TFloat32>> once) {
      Algebra<TFloat32> a = Algebra.of(tf, x.queries());
      FavorAttention attention = attention(tf);
      var features = attention.featureMap().map(tf, x.queries(), x.keys(), keyMask);
      if (keyMask != null) {
        features = features.masked(tf, keyMask);
      }
      once.addAll(List.of(features.queries(), features.keys()));
      Operand<TFloat32> some = tf.gather(features.queries(), at, tf.constant(2)); // [B, H, n, R]
      Operand<TFloat32> products = a.matMulTransposed(some, features.keys());
      if (config.causal()) {
        var seen = ExactAttention.upTo(a, at, LinearAttention.length(tf, x.keys())); // [n, S]
        products = tf.math.mul(products, seen);
      }
      return attention.denominator().divide(tf, products, a.sum(products, -1));
    }
  }

  /** Model Garden's KernelAttention, with dropout of its outputs; the projection may be null. */
  record ModelGarden(KernelAttentionConfig config, Variable projection, int heads, double dropout)
      implements HeadMixer {
    @Override
    public Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop) {
      KernelAttention attention = new KernelAttention(config);
      Operand<TFloat32> held = projection == null ? null : projection.<TFloat32>read(tf);
      var q = swapPositionsAndHeads(tf, x.queries());
      var k = swapPositionsAndHeads(tf, x.keys());
      var v = swapPositionsAndHeads(tf, x.values());
      var matrix = drop.isActive() ? attention.trainingProjection(tf, held) : held;
      var out = attention.attend(tf, q, k, v, keyMask, matrix);
      var begin = out.begin().map(first -> headsFirst(tf, first, drop)).orElse(null);
      return new Mixed(begin, headsFirst(tf, out.rest(), drop));
    }

    private Operand<TFloat32> headsFirst(Ops tf, Operand<TFloat32> x, Dropout drop) {
      return drop.apply(tf, swapPositionsAndHeads(tf, x), dropout);
    }

    @Override
    public boolean hasBegin() {
      return config.beginKernel() > 0;
    }
  }

  /** Reformer's attention with dropout of its weights; the rotations may be null. */
  record Reformer(ReformerConfig config, boolean causal, Variable projection, double dropout)
      implements HeadMixer {
    @Override
    public Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop) {
      var rotations = projection == null ? null : projection.<TFloat32>read(tf);
      var attention = new ReformerAttention(config, causal, rotations);
      var out =
          attention.attend(
              tf, x.queries(), x.values(), keyMask, weights -> drop.apply(tf, weights, dropout));
      return new Mixed(null, out);
    }

    @Override
    public boolean sharesKeys() {
      return true;
    }
  }

  /** Linformer's attention with dropout of its weights; matrices {@code [k, longest S]}. */
  record Linformer(Variable keys, Variable values, double dropout) implements HeadMixer {
    @Override
    public Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop) {
      var attention = new LinformerAttention(keys.<TFloat32>read(tf), values.<TFloat32>read(tf));
      var out =
          attention.attend(
              tf,
              x.queries(),
              x.keys(),
              x.values(),
              keyMask,
              weights -> drop.apply(tf, weights, dropout));
      return new Mixed(null, out);
    }
  }
}
