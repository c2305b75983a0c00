package dev.performer.attention;

import dev.performer.graph.Algebra;
import dev.performer.graph.GivenGradient;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.math.Cumsum;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/**
 * The sums of causal linear attention: an exact triangle inside a chunk, the sum of all states
 * before it for the rest. In float32 the gradient is by hand: it reads what the forward pass has
 * made and passes over no choice that holds overflows back.
 *
 * @param chunk C, at most
 * @param length L, or -1 where it is not known
 * @param features R
 * @param width V+1: a column of ones is part of the values
 * @param isWhole whether there are known to be as many keys as queries
 * @see <a href="https://arxiv.org/abs/2009.14794">Performers, section 2.5.1 and algorithm 1</a>
 */
record ChunkSums(int chunk, long length, int features, int width, boolean isWhole) {
  static ChunkSums of(Operand<?> q, Operand<?> k, Operand<?> v, int chunk) {
    long length = q.shape().get(2);
    int features = (int) Algebra.size(q, 3, "the number of features");
    int width = (int) Algebra.size(v, 3, "the value size");
    boolean isWhole = length >= 0 && k.shape().get(2) == length && v.shape().get(2) == length;
    return new ChunkSums(chunk, length, features, width, isWhole);
  }

  /** {@link LinearAttention#causalSums}, where a column of ones is part of v. */
  @SuppressWarnings("unchecked")
  <T extends TFloating> Operand<T> add(
      Ops tf, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> earlier) {
    Algebra<T> a = Algebra.of(tf, q);
    Chunks chunks = Chunks.of(tf, q, chunk, length);
    Operand<T> qs = chunks.split(q, features, length >= 0); // [B, H, N, C, R]
    Operand<T> ks = chunks.split(k, features, isWhole); // [B, H, N, C, R]
    Operand<T> vs = chunks.split(v, width, isWhole); // [B, H, N, C, V+1]
    Operand<T> states = chunks.rows(a.transposedMatMul(vs, ks), width * features);
    // An overflow is kept from the chunks before it, and shows as NaN in those after it.
    Operand<TBool> finite = tf.math.isFinite(a.sum(states, 3)); // [B, H, N, 1]
    Operand<T> overflow = a.where(finite, 0, Double.NaN);
    Operand<T> poison = tf.math.cumsum(overflow, tf.constant(2), Cumsum.exclusive(true));
    Operand<T> clean = tf.select(finite, states, a.constant(0));
    Operand<T> before = chunks.exclusiveSum(clean, width, features, false); // [B, H, N, V+1, R]
    if (earlier != null) {
      before = tf.math.add(before, tf.expandDims(earlier, tf.constant(2)));
    }
    Operand<T> triangle = lower(tf, a.matMulTransposed(qs, ks)); // [B, H, N, C, C]
    Operand<T> seen = a.matMulTransposed(qs, before); // [B, H, N, C, V+1]
    Operand<T> poisoned = tf.math.add(seen, tf.expandDims(poison, tf.constant(4)));
    Operand<T> y = chunks.join(tf.math.add(a.matMul(triangle, vs), poisoned), width);
    if (q.type() != TFloat32.class) {
      return y;
    }
    List<Operand<T>> inputs = new ArrayList<>(List.of(q, k, v));
    if (earlier != null) {
      inputs.add(earlier);
    }
    var given = (List<Operand<TFloat32>>) (List<?>) inputs;
    var kept = (List<Operand<TFloat32>>) (List<?>) List.of(qs, ks, vs, before, triangle);
    return (Operand<T>) GivenGradient.of(tf, (Operand<TFloat32>) y, given, kept, this::gradients);
  }

  /** Of q, k, v and the earlier state, which is not used where there is none. */
  private List<Operand<TFloat32>> gradients(
      Ops tf, List<Operand<TFloat32>> given, Operand<TFloat32> dy) {
    Operand<TFloat32> q = given.get(0);
    var kept = given.subList(given.size() - 5, given.size());
    Operand<TFloat32> qs = kept.get(0);
    Operand<TFloat32> ks = kept.get(1);
    Operand<TFloat32> vs = kept.get(2);
    Operand<TFloat32> before = kept.get(3);
    Operand<TFloat32> triangle = kept.get(4);
    Algebra<TFloat32> a = Algebra.of(tf, q);
    Chunks chunks = Chunks.of(tf, q, chunk, length);
    Operand<TFloat32> dys = chunks.split(dy, width, length >= 0); // [B, H, N, C, V+1]
    Operand<TFloat32> ofBefore = a.transposedProduct(dys, qs); // [B, H, N, V+1, R]
    Operand<TFloat32> flat = chunks.rows(ofBefore, width * features);
    Operand<TFloat32> ofStates =
        chunks.exclusiveSum(flat, width, features, true); // [B, H, N, V+1, R]
    Operand<TFloat32> ofScores = lower(tf, a.nearerProductTransposed(dys, vs)); // [B, H, N, C, C]
    var ofQ = tf.math.add(a.product(ofScores, ks), a.product(dys, before));
    var ofK = tf.math.add(a.transposedProduct(ofScores, qs), a.product(vs, ofStates));
    var ofV = tf.math.add(a.transposedProduct(triangle, dys), a.productTransposed(ks, ofStates));
    return List.of(
        chunks.join(ofQ, features),
        chunks.joined(ofK, given.get(1), features, isWhole),
        chunks.joined(ofV, given.get(2), width, isWhole),
        tf.sum(ofBefore, tf.array(2)));
  }

  private static <T extends TFloating> Operand<T> lower(Ops tf, Operand<T> scores) {
    return tf.linalg.bandPart(scores, tf.constant(-1L), tf.constant(0L));
  }
}
