package dev.performer.model;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.op.math.Cumsum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * How the vectors of a text's tokens become that of the text, as the modules of
 * sentence-transformers have it.
 *
 * @param normalize whether it gets the length 1
 * @param maxLength tokens of a text at most; null for as many as the model takes
 * @see <a
 *     href="https://www.sbert.net/docs/package_reference/sentence_transformer/models.html">modules</a>
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record TextEmbedding(Pooling pooling, boolean normalize, Integer maxLength) {
  private static final float LEAST = 1e-12f; // of a length that is divided by, as in PyTorch

  /** Checks. @throws dev.performer.PerformerException if texts get no vector */
  public TextEmbedding {
    boolean isOne = pooling != null && pooling != Pooling.NONE;
    require(isOne, "embedding.pooling is %s, which makes no vector of a text", pooling);
    require(maxLength == null || maxLength > 0, "embedding.maxLength is %d", maxLength);
  }

  /** Over the tokens of a text; padding never counts. */
  public enum Pooling {
    @JsonProperty("mean")
    MEAN,
    @JsonProperty("max")
    MAX,
    @JsonProperty("sum")
    SUM,
    /** The class token that the model puts in front, else the first token. */
    @JsonProperty("cls")
    CLS,
    /** The last token. */
    @JsonProperty("last")
    LAST,
    /** The sum, divided by the square root of the number of tokens. */
    @JsonProperty("mean-sqrt")
    MEAN_SQRT,
    /** A mean in which the token at i counts i + 1 times. */
    @JsonProperty("weighted-mean")
    WEIGHTED_MEAN,
    /** The mean of all but the first and the last token, as of proteins in ESM. */
    @JsonProperty("mean-inner")
    MEAN_INNER,
    /** One vector per token. */
    @JsonProperty("none")
    NONE;

    /** What each vector counts in all but {@link #MAX}. @param real where one is no padding */
    public double[] weights(boolean[] real) {
      int[] all = IntStream.range(0, real.length).filter(i -> real[i]).toArray();
      int first = all.length == 0 ? -1 : all[0];
      int last = all.length == 0 ? -1 : all[all.length - 1];
      double[] weights = new double[real.length];
      double sum = 0;
      for (int i : all) {
        boolean isOuter = this == MEAN_INNER && (i == first || i == last);
        weights[i] = isOuter ? 0 : this == WEIGHTED_MEAN ? i + 1 : 1;
        sum += weights[i];
      }
      int only = this == CLS ? 0 : last;
      double by = this == SUM ? 1 : this == MEAN_SQRT ? Math.sqrt(sum) : sum;
      boolean isOne = this == CLS || this == LAST;
      return IntStream.range(0, real.length)
          .mapToDouble(i -> isOne ? (i == only ? 1 : 0) : weights[i] == 0 ? 0 : weights[i] / by)
          .toArray();
    }

    /** The same in a graph. @param mask {@code [B, L]}, 1 where a token is no padding */
    private Operand<TFloat32> weights(Ops tf, Operand<TFloat32> mask) {
      var ones = tf.onesLike(mask);
      var places = tf.math.cumsum(ones, tf.constant(1)); // 1, 2, 3, …
      var last = tf.max(tf.math.mul(mask, places), tf.array(1));
      var only = this == CLS ? tf.constant(1f) : tf.expandDims(last, tf.constant(1));
      if (this == CLS || this == LAST) {
        return tf.dtypes.cast(tf.math.equal(places, tf.math.mul(ones, only)), TFloat32.class);
      }
      var weights =
          this == WEIGHTED_MEAN
              ? tf.math.mul(mask, places)
              : this == MEAN_INNER ? inner(tf, mask) : mask;
      if (this == SUM) {
        return weights;
      }
      var sum = tf.reduceSum(weights, tf.array(1), ReduceSum.keepDims(true)); // [B, 1]
      var by = tf.math.maximum(sum, tf.constant(1f));
      return tf.math.div(weights, this == MEAN_SQRT ? tf.math.sqrt(by) : by);
    }

    /** The mask without the first and the last token of each row. */
    private static Operand<TFloat32> inner(Ops tf, Operand<TFloat32> mask) {
      var before = tf.math.cumsum(mask, tf.constant(1), Cumsum.exclusive(true));
      var behind =
          tf.math.cumsum(mask, tf.constant(1), Cumsum.exclusive(true), Cumsum.reverse(true));
      var nearest = tf.math.minimum(before, behind); // 0 at the first and the last token
      return tf.math.mul(mask, tf.math.minimum(nearest, tf.constant(1f)));
    }
  }

  /**
   * The vectors of texts, in a graph.
   *
   * @param states {@code [B, L, E]}
   * @param mask 1 where a token is no padding, {@code [B, L]}; null where all are
   * @return {@code [B, E]}
   */
  public Operand<TFloat32> of(Ops tf, Operand<TFloat32> states, Operand<TFloat32> mask) {
    var real = mask == null ? tf.onesLike(tf.reduceSum(states, tf.array(2))) : mask; // [B, L]
    var wide = tf.expandDims(real, tf.constant(2)); // [B, L, 1]
    Operand<TInt32> overTokens = tf.constant(1);
    Operand<TFloat32> vectors;
    if (pooling == Pooling.MAX) {
      var none = tf.math.mul(tf.math.sub(wide, tf.constant(1f)), tf.constant(1e30f));
      vectors = tf.max(tf.math.add(tf.math.mul(states, wide), none), overTokens);
    } else {
      var weights = tf.expandDims(pooling.weights(tf, real), tf.constant(2));
      vectors = tf.reduceSum(tf.math.mul(states, weights), overTokens);
    }
    if (!normalize) {
      return vectors;
    }
    var squares =
        tf.reduceSum(tf.math.square(vectors), tf.array(1), ReduceSum.keepDims(true)); // [B, 1]
    return tf.math.div(vectors, tf.math.maximum(tf.math.sqrt(squares), tf.constant(LEAST)));
  }

  /** Gives a vector the length 1; one of zeros stays. */
  public static void normalize(float[] vector) {
    double sum = 0;
    for (float x : vector) {
      sum += (double) x * x;
    }
    double length = Math.max(Math.sqrt(sum), LEAST);
    for (int i = 0; i < vector.length; i++) {
      vector[i] = (float) (vector[i] / length);
    }
  }
}
