package dev.performer.attention;

import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection;

/**
 * How FAVOR+ attends; everything but the projection matrix itself.
 *
 * @param kernel what is estimated
 * @param convention whose constants and guards
 * @param causal whether position l sees keys 0 … l only
 * @param features M, random directions, which are the rows of P, as in Google's nb_features;
 *     hyperbolic and trigonometric kernels make two features of each. 0 is no projection
 *     (generalized kernels only)
 * @param chunk C, the chunk length of causal attention; 0 lets {@link #chunkFor} choose
 * @param directions how directions of the projection are drawn
 * @param lengths how long they are
 */
public record FavorConfig(
    Kernel kernel,
    Convention convention,
    boolean causal,
    int features,
    int chunk,
    Projection.Directions directions,
    Projection.Lengths lengths) {

  /** The number of features where none is given and the kernel needs a projection. */
  public static final int DEFAULT_FEATURES = 256;

  /**
   * @throws PerformerException if the parts do not go together
   */
  public FavorConfig {
    if (features < 0 || chunk < 0) {
      throw new PerformerException(
          "features and chunk cannot be negative: features=" + features + ", chunk=" + chunk);
    }
    if (causal && convention.resolve(kernel) == Kernel.FAVOR_PLUS_PLUS) {
      throw new PerformerException(
          "kernel favor++ takes statistics of the whole sequence and cannot be causal; use softmax"
              + " or hyperbolic");
    }
  }

  /** A bidirectional map with our convention, 256 features of Haar-orthogonal chi(D) directions. */
  public static FavorConfig of(Kernel kernel) {
    return new FavorConfig(
        kernel,
        Convention.PERFORMER,
        false,
        kernel.isSoftmax() ? DEFAULT_FEATURES : 0,
        0,
        Projection.Directions.ORTHOGONAL,
        Projection.Lengths.CHI);
  }

  public FavorConfig withConvention(Convention c) {
    return new FavorConfig(kernel, c, causal, features, chunk, directions, lengths);
  }

  public FavorConfig withCausal(boolean c) {
    return new FavorConfig(kernel, convention, c, features, chunk, directions, lengths);
  }

  public FavorConfig withFeatures(int m) {
    return new FavorConfig(kernel, convention, causal, m, chunk, directions, lengths);
  }

  public FavorConfig withChunk(int c) {
    return new FavorConfig(kernel, convention, causal, features, c, directions, lengths);
  }

  public FavorConfig withDirections(Projection.Directions d) {
    return new FavorConfig(kernel, convention, causal, features, chunk, d, lengths);
  }

  public FavorConfig withLengths(Projection.Lengths l) {
    return new FavorConfig(kernel, convention, causal, features, chunk, directions, l);
  }

  /** Whether there is a projection matrix. */
  public boolean hasProjection() {
    return features > 0;
  }

  /**
   * What to draw for one head size.
   *
   * @throws PerformerException if this has no projection
   */
  public Projection projection(int headSize) {
    if (!hasProjection()) {
      throw new PerformerException("features=0 means no projection; set features to draw one");
    }
    return new Projection(features, headSize, directions, lengths);
  }

  /**
   * The chunk length for M features of values of size V: the given one, or near the optimum √(M·V)
   * of memory traffic against work in the triangle.
   */
  public int chunkFor(long m, long v) {
    return chunk > 0 ? chunk : LinearAttention.defaultChunk(m, v);
  }
}
