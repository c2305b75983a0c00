package dev.performer.attention.modelgarden;

import static dev.performer.PerformerException.require;
import static dev.performer.attention.Attention.swapPositionsAndHeads;
import static dev.performer.attention.FavorAttention.wide;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FeatureMap;
import dev.performer.attention.FeatureMap.Features;
import dev.performer.attention.Kernel;
import dev.performer.attention.LinearAttention;
import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.attention.modelgarden.KernelAttentionConfig.CausalWindowed;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Mixing;
import dev.performer.attention.modelgarden.KernelAttentionConfig.Short;
import dev.performer.attention.projection.ModelGardenProjections;
import dev.performer.graph.Algebra;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.StridedSlice;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * What Model Garden's {@code KernelAttention} computes between its dense layers. Here, as there,
 * tensors come and go as {@code [B, T, H, D]}; inside they are {@code [B, H, T, D]}.
 *
 * @param config the layer's arguments
 * @see <a
 *     href="https://github.com/tensorflow/models/blob/master/official/nlp/modeling/layers/kernel_attention.py">kernel_attention.py</a>
 */
public record KernelAttention(KernelAttentionConfig config) {
  /** The length at which {@code scale_by_length} changes nothing. */
  private static final double REFERENCE_LENGTH = 512;

  // The layer scales queries and keys itself.
  private static final Convention CONVENTION =
      Convention.MODEL_GARDEN.withScale(Convention.Scale.NONE);

  /**
   * The outputs of all heads: of the first {@code begin_kernel} queries, {@code [B, b, H, V]},
   * empty if that is 0, and of the others, {@code [B, T-b, H, V]}. Model Garden applies dropout to
   * each, sends {@link #begin} through {@code attention_output_softmax} and {@link #rest} through
   * {@code attention_output}, and joins them along the length.
   */
  public record Outputs<T extends TFloating>(Optional<Operand<T>> begin, Operand<T> rest) {}

  /**
   * Attends over whole sequences.
   *
   * @param q {@code [B, T, H, D]}, unscaled
   * @param k {@code [B, S, H, D]}
   * @param v {@code [B, S, H, V]}
   * @param keyMask {@code [B, S]}, 1 = keep, 0 = padding; null keeps all
   * @param projection {@code [M, D]}; null if and only if {@code num_random_features} is 0
   * @throws dev.performer.PerformerException if the arguments do not fit the configuration
   */
  public <T extends TFloating> Outputs<T> attend(
      Ops tf, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> keyMask, Operand<T> projection) {
    check(q, keyMask, projection);
    if (FavorAttention.isNarrow(q.type())) {
      return attendWidened(tf, q, k, v, keyMask, projection);
    }
    Operand<T> queries = swapPositionsAndHeads(tf, q);
    Operand<T> keys = swapPositionsAndHeads(tf, k);
    Operand<T> values = swapPositionsAndHeads(tf, v);
    Pass<T> all = new Pass<>(Algebra.of(tf, q), queries, keys, values, keyMask, projection);
    int begin = config.beginKernel();
    Optional<Operand<T>> first = Optional.empty();
    if (begin > 0) {
      Operand<T> heads = mix(all.withQueries(0, begin, 0b1011), Kernel.PLAIN, new Short());
      first = Optional.of(swapPositionsAndHeads(tf, heads));
      all = all.withQueries(begin, 0, 0b1111);
    }
    Operand<T> rest = mix(all, config.kernel(), config.mixing());
    return new Outputs<>(first, swapPositionsAndHeads(tf, rest)); // [B, T, H, V]
  }

  /** Features, sums and the division are at least float32. */
  private <T extends TFloating> Outputs<T> attendWidened(
      Ops tf, Operand<T> q, Operand<T> k, Operand<T> v, Operand<T> keyMask, Operand<T> projection) {
    var wide =
        attend(tf, wide(tf, q), wide(tf, k), wide(tf, v), wide(tf, keyMask), wide(tf, projection));
    Optional<Operand<T>> begin = wide.begin().map(x -> tf.dtypes.cast(x, q.type()));
    return new Outputs<>(begin, tf.dtypes.cast(wide.rest(), q.type()));
  }

  /**
   * The projection to attend with in training: the one that the layer holds, {@code [M, D]} or
   * null, or another one at every run if the layer redraws.
   */
  public Operand<TFloat32> trainingProjection(Ops tf, Operand<TFloat32> held) {
    if (!config.redrawsInTraining()) {
      return held;
    }
    int columns = (int) Algebra.size(held, 1, "the head size of the projection");
    return ModelGardenProjections.redraw(tf, config.numRandomFeatures(), columns);
  }

  private <T extends TFloating> void check(
      Operand<T> queries, Operand<T> keyMask, Operand<T> projection) {
    int features = config.numRandomFeatures();
    boolean isUnknown = config.scaleByLength() && keyMask == null;
    require(!isUnknown, "scale_by_length needs a mask to know the lengths from");
    if (keyMask != null) {
      Shape mask = keyMask.shape();
      String message = "KernelAttention takes a mask of keys, [batch, length], not one of shape %s";
      require(mask.numDimensions() == 2, message, mask);
    }
    boolean fits = (projection == null) == (features == 0);
    String expected = projection == null ? "needed" : "not expected";
    require(fits, "num_random_features is %d, so a projection is %s", features, expected);
    if (projection != null) {
      long rows = Algebra.size(projection, 0, "the number of random features");
      long columns = Algebra.size(projection, 1, "the head size of the projection");
      long headSize = Algebra.size(queries, 3, "the head size");
      String message = "expected a projection of shape [%d, %d], not [%d, %d]";
      boolean matches = rows == features && columns == headSize;
      require(matches, message, features, headSize, rows, columns);
    }
  }

  /** {@code [B, H, T, V]}. */
  private <T extends TFloating> Operand<T> mix(Pass<T> in, Kernel kernel, Mixing mixing) {
    Ops tf = in.algebra().tf();
    Features<T> all = features(in, kernel, mixing instanceof Short);
    if (mixing instanceof Short) {
      Features<T> f = in.masked(all);
      Operand<T> scores = in.algebra().matMulTransposed(f.queries(), f.keys()); // [B, H, T, S]
      return in.algebra().matMul(tf.nn.softmax(scores), in.values());
    } else if (mixing instanceof CausalWindowed windowed) {
      Features<T> f = in.masked(all);
      var window = new CausalWindow(windowed, denominator());
      return window.attend(tf, f.queries(), f.keys(), in.values());
    }
    return LinearAttention.bidirectional(
        tf, all.queries(), all.keys(), in.values(), in.keyMask(), denominator());
  }

  private <T extends TFloating> Features<T> features(Pass<T> in, Kernel kernel, boolean isShort) {
    Algebra<T> a = in.algebra();
    Ops tf = a.tf();
    Operand<T> scale = scale(in);
    // Half of the scale on each side, or, for softmax weights, all of it on the queries.
    Operand<T> half = isShort ? scale : tf.math.sqrt(scale);
    Operand<T> q = tf.math.mul(in.queries(), half); // [B, H, T, D]
    Operand<T> k = isShort ? in.keys() : tf.math.mul(in.keys(), half); // [B, H, S, D]
    return featureMap(kernel, in.projection()).map(tf, q, k, null);
  }

  /** The layer's features; what it gives them is scaled already. */
  static FeatureMap featureMap(Kernel kernel, Operand<? extends TNumber> projection) {
    return FeatureMap.of(FavorConfig.of(kernel).withConvention(CONVENTION), projection);
  }

  /** A scalar, or {@code [B, 1, 1, 1]} by length. */
  private <T extends TFloating> Operand<T> scale(Pass<T> in) {
    Algebra<T> a = in.algebra();
    Ops tf = a.tf();
    double usual = 1 / Math.sqrt(Algebra.size(in.queries(), 3, "the head size"));
    double scale = config.scale().orElse(usual);
    if (!config.scaleByLength()) {
      return a.constant(scale);
    }
    Operand<T> kept = tf.reduceSum(in.keyMask(), tf.array(1)); // [B]
    Operand<T> perItem = a.times(tf.math.log(kept), scale / Math.log(REFERENCE_LENGTH)); // [B]
    return tf.reshape(perItem, tf.array(-1, 1, 1, 1));
  }

  private Denominator denominator() {
    return CONVENTION.denominator(config.kernel());
  }

  /** What one pass works on, {@code [B, H, T, D]}; mask and projection may be null. */
  private record Pass<T extends TFloating>(
      Algebra<T> algebra,
      Operand<T> queries,
      Operand<T> keys,
      Operand<T> values,
      Operand<T> keyMask,
      Operand<T> projection) {
    /** Features with those of masked keys zeroed. */
    Features<T> masked(Features<T> features) {
      return keyMask == null ? features : features.masked(algebra.tf(), keyMask);
    }

    /** With queries from one on, up to another or, as the open ends have it, all there are. */
    Pass<T> withQueries(int begin, int end, long openEnds) {
      Ops tf = algebra.tf();
      Operand<TInt32> ones = tf.array(1, 1, 1, 1);
      var from = tf.array(0, 0, begin, 0);
      var to = tf.array(0, 0, end, 0);
      StridedSlice.Options[] masks = {StridedSlice.endMask(openEnds), StridedSlice.beginMask(0L)};
      var some = tf.stridedSlice(queries, from, to, ones, masks); // [B, H, T', D]
      return new Pass<>(algebra, some, keys, values, keyMask, projection);
    }
  }
}
