package dev.performer.attention;

import dev.performer.PerformerException;
import dev.performer.attention.Convention.Stabilizer;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;

/**
 * φ: features whose dot product φ(q)·φ(k) estimates the kernel of a query and a key.
 *
 * <p>Positive factors that all features of one query share, or all keys of a head, may be left out
 * where they cancel in the division.
 */
@FunctionalInterface
public interface FeatureMap {
  /**
   * φ of queries, {@code [B, H, L, R]}, and of keys, {@code [B, H, S, R]}.
   *
   * @param logScale makes the logarithm of the factor of a query that is left out, {@code [B, H, L,
   *     1]}: φ(q)·φ(k) has the mean {@code exp(q·k/√D + logScale)} for every key; null where the
   *     map does not estimate softmax
   */
  record Features<T extends TFloating>(
      Operand<T> queries, Operand<T> keys, Supplier<Operand<T>> logScale) {
    /** Of another kernel than softmax, or with statistics that have no such factor. */
    public Features(Operand<T> queries, Operand<T> keys) {
      this(queries, keys, null);
    }

    /** With φ(k) multiplied by a key mask, {@code [B, S]}, 1 = keep. */
    public Features<T> masked(Ops tf, Operand<T> keyMask) {
      Operand<T> column = LinearAttention.maskColumn(tf, keyMask); // [B, 1, S, 1]
      return new Features<>(queries, tf.math.mul(keys, column), logScale);
    }
  }

  /**
   * Maps both sides; φ(k) of padded keys is not zeroed, {@link Features#masked} does that and
   * {@link LinearAttention} does it at less cost.
   *
   * @param queries {@code [B, H, L, D]}, float32 or float64
   * @param keys {@code [B, H, S, D]}
   * @param keyMask {@code [B, S]}, 1 = keep, or null; only maps that take statistics of the keys
   *     look at it
   */
  <T extends TFloating> Features<T> map(
      Ops tf, Operand<T> queries, Operand<T> keys, Operand<T> keyMask);

  /**
   * R, the length of a feature vector, for the head size D.
   *
   * @throws PerformerException if a map of one's own has no such number
   */
  default long features(long headSize) {
    throw new PerformerException("this feature map does not give the number of its features");
  }

  /**
   * The map of a configuration and its projection, {@code [M, D]}, or null where it has none.
   *
   * @throws PerformerException if a softmax kernel has no projection
   */
  static FeatureMap of(FavorConfig config, Operand<? extends TNumber> projection) {
    return of(config, projection, null);
  }

  /** The same; of a layer's heads {@code calibration} says where features lie, null for nothing. */
  static FeatureMap of(
      FavorConfig config, Operand<? extends TNumber> projection, Calibration calibration) {
    Convention convention = config.convention();
    Kernel.Form form = config.meantKernel().form();
    boolean isTrigonometric = form instanceof Kernel.Trigonometric;
    boolean mayBeBare =
        form instanceof Kernel.Generalized || convention.bareSoftmax() && !isTrigonometric;
    String message = "kernel %s needs a projection with convention %s; give one or set features";
    PerformerException.require(
        projection != null || mayBeBare, message, config.kernel(), convention);
    if (form instanceof Kernel.Sderf) {
      return new SderfFeatures(config, projection, calibration);
    } else if (form instanceof Kernel.PlusPlus) {
      if (projection != null) {
        return new PlusPlusFeatures(config, projection);
      }
      form = Kernel.PLAIN.form(); // Model Garden's expplus then passes the data through
    }
    if (form instanceof Kernel.Generalized f) {
      double epsilon = config.generalizedEpsilon(f.zeros());
      return new ProjectedFeatures.Generalized(config, f.function(), epsilon, projection);
    } else if (isTrigonometric) {
      return new ProjectedFeatures.Trigonometric(config, projection);
    }
    return convention.softmax().stabilizer() instanceof Stabilizer.Centred
        ? new CentredFeatures(config, projection)
        : new ProjectedFeatures.Stabilized(config, projection);
  }

  /**
   * A map from any element-wise function {@code f}: {@code f(P s x)}, or {@code f(s x)} without a
   * projection, with the convention's scale s, 1/√M and no ε.
   *
   * @param f applied to projected queries and keys, in the type it is called with
   * @param projection {@code [M, D]} or null
   */
  @SuppressWarnings({"unchecked", "rawtypes"})
  static <U extends TFloating> FeatureMap custom(
      UnaryOperator<Operand<U>> f, Convention convention, Operand<? extends TNumber> projection) {
    Kernel.Function own = (a, x) -> (Operand) f.apply((Operand) x);
    FavorConfig plain = FavorConfig.of(Kernel.PLAIN).withConvention(convention);
    return new ProjectedFeatures.Generalized(plain, own, 0, projection);
  }
}
