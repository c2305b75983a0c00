package dev.performer.attention;

import dev.performer.graph.Algebra;
import dev.performer.graph.GivenGradient;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Squeeze;
import org.tensorflow.op.math.Cumsum;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;

/**
 * The sums of causal linear attention: an exact triangle inside a chunk, the sum of all states
 * before it for the rest, each with what the gates between have left of it, where there are any. In
 * float32 the gradient is by hand: it reads what the forward pass has made and passes over no
 * choice that holds overflows back.
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

  /**
   * {@link LinearAttention#causalSums}, where a column of ones is part of v.
   *
   * @param logs of gates as {@link Decay#counted} makes them, {@code [B, H, S, 1]}; null for none
   */
  @SuppressWarnings("unchecked")
  <T extends TFloating> Operand<T> add(
      Ops tf, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> logs, Operand<T> earlier) {
    Algebra<T> a = Algebra.of(tf, q);
    Chunks chunks = Chunks.of(tf, q, chunk, length);
    Operand<T> qs = chunks.split(q, features, length >= 0); // [B, H, N, C, R]
    Operand<T> ks = chunks.split(k, features, isWhole); // [B, H, N, C, R]
    Operand<T> vs = chunks.split(v, width, isWhole); // [B, H, N, C, V+1]
    Decay<T> decay = decay(a, chunks, logs);
    Operand<T> values = decayed(tf, vs, decay.toEnd());
    Operand<T> states = chunks.rows(a.transposedMatMul(values, ks), width * features);
    // An overflow is kept from the chunks before it, and shows as NaN in those after it.
    Operand<TBool> finite = tf.math.isFinite(a.sum(states, 3)); // [B, H, N, 1]
    Operand<T> overflow = a.where(finite, 0, Double.NaN);
    Operand<T> poison = tf.math.cumsum(overflow, tf.constant(2), Cumsum.exclusive(true));
    Operand<T> clean = tf.select(finite, states, a.constant(0));
    Operand<T> before = // [B, H, N, V+1, R]
        chunks.exclusiveSum(clean, width, features, decay.total(), false);
    if (earlier != null) {
      Operand<T> all = tf.expandDims(earlier, tf.constant(2)); // [B, H, 1, V+1, R]
      before = tf.math.add(before, decayed(tf, all, atStarts(a, decay)));
    }
    Operand<T> scores = decayed(tf, a.matMulTransposed(qs, ks), decay.between());
    Operand<T> triangle = lower(tf, scores); // [B, H, N, C, C]
    Operand<T> seen = a.matMulTransposed(qs, before); // [B, H, N, C, V+1]
    Operand<T> left = decayed(tf, seen, decay.fromStart());
    Operand<T> poisoned = tf.math.add(left, tf.expandDims(poison, tf.constant(4)));
    Operand<T> ys = tf.math.add(a.matMul(triangle, vs), poisoned); // [B, H, N, C, V+1]
    Operand<T> y = chunks.join(ys, width);
    if (q.type() != TFloat32.class) {
      return y;
    }
    List<Operand<T>> inputs = new ArrayList<>(List.of(q, k, v));
    List<Operand<T>> kept = new ArrayList<>(List.of(qs, ks, vs, before, triangle));
    if (logs != null) {
      inputs.add(logs);
      kept.add(ys);
    }
    if (earlier != null) {
      inputs.add(earlier);
    }
    var given = (List<Operand<TFloat32>>) (List<?>) inputs;
    var made = (List<Operand<TFloat32>>) (List<?>) kept;
    GivenGradient.Rule rule =
        (ops, of, dy) -> gradients(ops, of, of.subList(given.size(), of.size()), dy);
    return (Operand<T>) GivenGradient.of(tf, (Operand<TFloat32>) y, given, made, rule);
  }

  /** Of q, k, v, the gates if there are any, and the earlier state, unused where there is none. */
  private List<Operand<TFloat32>> gradients(
      Ops tf, List<Operand<TFloat32>> given, List<Operand<TFloat32>> kept, Operand<TFloat32> dy) {
    Operand<TFloat32> qs = kept.get(0);
    Operand<TFloat32> ks = kept.get(1);
    Operand<TFloat32> vs = kept.get(2);
    Operand<TFloat32> before = kept.get(3);
    Operand<TFloat32> triangle = kept.get(4);
    Algebra<TFloat32> a = Algebra.of(tf, qs);
    Chunks chunks = Chunks.of(tf, given.get(0), chunk, length);
    boolean isGated = kept.size() > 5;
    Decay<TFloat32> decay = decay(a, chunks, isGated ? given.get(3) : null);
    Operand<TFloat32> dys = chunks.split(dy, width, length >= 0); // [B, H, N, C, V+1]
    Operand<TFloat32> left = decayed(tf, dys, decay.fromStart());
    Operand<TFloat32> ofBefore = a.transposedProduct(left, qs); // [B, H, N, V+1, R]
    Operand<TFloat32> flat = chunks.rows(ofBefore, width * features);
    Operand<TFloat32> ofStates = // [B, H, N, V+1, R]
        chunks.exclusiveSum(flat, width, features, decay.total(), true);
    Operand<TFloat32> products = a.nearerProductTransposed(dys, vs); // [B, H, N, C, C]
    Operand<TFloat32> ofScores = lower(tf, decayed(tf, products, decay.between()));
    var ofQ = tf.math.add(a.product(ofScores, ks), a.product(left, before));
    Operand<TFloat32> values = decayed(tf, vs, decay.toEnd());
    var ofK = tf.math.add(a.transposedProduct(ofScores, qs), a.product(values, ofStates));
    Operand<TFloat32> ofKept = decayed(tf, a.productTransposed(ks, ofStates), decay.toEnd());
    var ofV = tf.math.add(a.transposedProduct(triangle, dys), ofKept);
    Operand<TFloat32> ofEarlier = decayed(tf, ofBefore, atStarts(a, decay));
    List<Operand<TFloat32>> gradients = new ArrayList<>();
    gradients.add(chunks.join(ofQ, features));
    gradients.add(chunks.joined(ofK, given.get(1), features, isWhole));
    gradients.add(chunks.joined(ofV, given.get(2), width, isWhole));
    if (isGated) {
      // A sum of gates up to a position scales its query, and its key and value inversely.
      var ofSums = tf.math.sub(tf.math.mul(kept.get(5), dys), tf.math.mul(vs, ofV));
      var rows = chunks.joined(a.sum(ofSums, -1), given.get(3), 1, isWhole); // [B, H, S, 1]
      gradients.add(tf.math.cumsum(rows, tf.constant(2), Cumsum.reverse(true)));
    }
    gradients.add(tf.sum(ofEarlier, tf.array(2)));
    return gradients;
  }

  /** Of the positions of each chunk; of nothing where there are no gates. */
  private <T extends TFloating> Decay<T> decay(Algebra<T> a, Chunks chunks, Operand<T> logs) {
    Ops tf = a.tf();
    if (logs == null) {
      return new Decay<>(null, null, null, null);
    }
    Operand<TFloat64> wide = tf.dtypes.cast(logs, TFloat64.class);
    Operand<TFloat64> split = chunks.split(wide, 1, isWhole); // [B, H, N, C, 1]
    return Decay.of(a, tf.squeeze(split, Squeeze.axis(List.of(4L))), false);
  }

  /** What is left of an earlier state where each chunk starts, {@code [B, H, N, 1, 1]}, or null. */
  private static <T extends TFloating> Operand<T> atStarts(Algebra<T> a, Decay<T> chunks) {
    Ops tf = a.tf();
    if (chunks.total() == null) {
      return null;
    }
    var before = tf.math.cumsum(chunks.total(), tf.constant(2), Cumsum.exclusive(true));
    Operand<T> left = tf.math.exp(a.cast(before)); // [B, H, N]
    return tf.expandDims(tf.expandDims(left, tf.constant(3)), tf.constant(4));
  }

  private static <T extends TFloating> Operand<T> decayed(
      Ops tf, Operand<T> x, Operand<T> factors) {
    return factors == null ? x : tf.math.mul(x, factors);
  }

  private static <T extends TFloating> Operand<T> lower(Ops tf, Operand<T> scores) {
    return tf.linalg.bandPart(scores, tf.constant(-1L), tf.constant(0L));
  }
}
