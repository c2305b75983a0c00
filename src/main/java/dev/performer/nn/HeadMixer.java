package dev.performer.nn;

import static dev.performer.PerformerException.require;
import static dev.performer.attention.Attention.swapPositionsAndHeads;

import dev.performer.attention.Attention.Projected;
import dev.performer.attention.Convention;
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
import org.tensorflow.types.TFloat32;

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
   * The weights of the values, {@code [B, H, L, S]}; those of {@code x} may be null.
   *
   * @throws dev.performer.PerformerException if there is no such matrix
   */
  Operand<TFloat32> weights(Ops tf, Projected x, Operand<TFloat32> keyMask);

  /** Whether the first queries have an output layer of their own. */
  default boolean hasBegin() {
    return false;
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
      var weights = drop.apply(tf, weights(tf, x, keyMask), dropout);
      return new Mixed(null, Algebra.of(tf, weights).matMul(weights, x.values()));
    }

    @Override
    public Operand<TFloat32> weights(Ops tf, Projected x, Operand<TFloat32> keyMask) {
      Operand<TFloat32> weights = attention.weights(tf, x.queries(), x.keys(), keyMask);
      if (!maskQueries || keyMask == null) {
        return weights;
      }
      // In Flax a row of a padded query holds the same large negative number everywhere.
      Operand<TFloat32> real = LinearAttention.maskColumn(tf, keyMask); // [B, 1, L, 1]
      var length = tf.gather(tf.shape(x.keys()), tf.constant(2), tf.constant(0));
      var padding = tf.math.sub(tf.constant(1f), real);
      var even = tf.math.div(padding, tf.dtypes.cast(length, TFloat32.class)); // [B, 1, L, 1]
      return tf.math.add(tf.math.mul(weights, real), even);
    }
  }

  /** FAVOR+, exact attention in the first heads if wanted; projection {@code [M, D]}, or null. */
  record Favor(FavorConfig config, Variable projection, int heads) implements HeadMixer {
    /** FAVOR+ with the projection as it is read here. */
    public FavorAttention attention(Ops tf) {
      return FavorAttention.of(config, projection == null ? null : projection.<TFloat32>read(tf));
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
              p -> attention(tf).attend(tf, p.queries(), p.keys(), p.values(), kept));
      return new Mixed(null, heads);
    }

    @Override
    public Operand<TFloat32> weights(Ops tf, Projected x, Operand<TFloat32> keyMask) {
      var exact = new ExactAttention(config.causal());
      return joined(
          tf,
          x,
          p -> exact.weights(tf, p.queries(), p.keys(), keyMask),
          p -> favorWeights(tf, p.queries(), p.keys(), favorMask(keyMask)));
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

    /** {@code φ(q)·φ(k)} over its sum, {@code [B, H, L, S]}. */
    private Operand<TFloat32> favorWeights(
        Ops tf, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> keyMask) {
      Algebra<TFloat32> a = Algebra.of(tf, queries);
      FavorAttention attention = attention(tf);
      var features = attention.featureMap().map(tf, queries, keys, keyMask);
      if (keyMask != null) {
        features = features.masked(tf, keyMask);
      }
      Operand<TFloat32> products = a.matMulTransposed(features.queries(), features.keys());
      if (config.causal()) {
        products = tf.linalg.bandPart(products, tf.constant(-1L), tf.constant(0L));
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
    public Operand<TFloat32> weights(Ops tf, Projected x, Operand<TFloat32> keyMask) {
      boolean isLinear = config.mixing() instanceof KernelAttentionConfig.Linear;
      require(
          isLinear && !hasBegin() && !config.scaleByLength(),
          "attention maps of modelGarden attention exist only without isShortSeq, useCausalWindowed, beginKernel and scaleByLength");
      Convention convention = Convention.MODEL_GARDEN;
      if (config.scale().isPresent()) {
        double side = Math.sqrt(config.scale().getAsDouble());
        convention = convention.withScale(new Convention.Scale(side, 0));
      }
      FavorConfig favor = FavorConfig.of(config.kernel()).withConvention(convention);
      favor = favor.withFeatures(config.numRandomFeatures());
      return new Favor(favor, projection, heads).weights(tf, x, keyMask);
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
      return new Mixed(null, mixed(tf, x.queries(), x.values(), keyMask, drop));
    }

    private Operand<TFloat32> mixed(
        Ops tf, Operand<TFloat32> q, Operand<TFloat32> v, Operand<TFloat32> mask, Dropout drop) {
      var rotations = projection == null ? null : projection.<TFloat32>read(tf);
      var attention = new ReformerAttention(config, causal, rotations);
      return attention.attend(tf, q, v, mask, weights -> drop.apply(tf, weights, dropout));
    }

    /** What the attention makes of the unit vectors. */
    @Override
    public Operand<TFloat32> weights(Ops tf, Projected x, Operand<TFloat32> keyMask) {
      Algebra<TFloat32> a = Algebra.of(tf, x.queries());
      var length = LinearAttention.length(tf, x.queries());
      Operand<TFloat32> ones = tf.fill(length, a.constant(1));
      var sizes = List.of(Algebra.sizes(tf, x.queries(), 0, 2), length, length);
      var unit = tf.broadcastTo(tf.linalg.tensorDiag(ones), tf.concat(sizes, tf.constant(0)));
      return mixed(tf, x.queries(), unit, keyMask, Dropout.none());
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
      var attention = attention(tf);
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

    private LinformerAttention attention(Ops tf) {
      return new LinformerAttention(keys.<TFloat32>read(tf), values.<TFloat32>read(tf));
    }

    /** The weights of mixtures, spread over the positions that these are made of. */
    @Override
    public Operand<TFloat32> weights(Ops tf, Projected x, Operand<TFloat32> keyMask) {
      return attention(tf).spread(tf, x.queries(), x.keys(), keyMask);
    }
  }
}
