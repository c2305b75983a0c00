package dev.performer.attention.projection;

import dev.performer.PerformerException;

/**
 * Google's {@code create_products_of_givens_rotations}: a product of D * ceil(ln D) random plane
 * rotations, as published.
 *
 * <p>Both indices of a plane are drawn with replacement. When they coincide, Google's code scales
 * that row by cos - sin instead of rotating, so the product need not be orthogonal; this is kept.
 */
final class GivensRotations {
  private static final long LARGEST_SEED = 0xffffffffL;

  private GivensRotations() {}

  /**
   * One block.
   *
   * @param dimension D
   * @param seed of NumPy's legacy generator
   * @return row major {@code [D, D]}
   * @throws PerformerException if NumPy would refuse the seed
   */
  static float[] block(int dimension, long seed) {
    if (seed < 0 || seed > LARGEST_SEED) {
      throw new PerformerException(
          "Givens rotations need a seed between 0 and " + LARGEST_SEED + ", not " + seed);
    }
    MersenneTwister random = new MersenneTwister((int) seed);
    double[][] q = new double[dimension][dimension];
    for (int i = 0; i < dimension; i++) {
      q[i][i] = 1;
    }
    int rotations = dimension * (int) Math.ceil(Math.log(dimension));
    for (int r = 0; r < rotations; r++) {
      double angle = Math.PI * random.nextUniform();
      int a = random.nextIndex(dimension);
      int b = random.nextIndex(dimension);
      rotate(q, angle, Math.min(a, b), Math.max(a, b));
    }
    float[] result = new float[dimension * dimension];
    for (int i = 0; i < result.length; i++) {
      result[i] = (float) q[i / dimension][i % dimension];
    }
    return result;
  }

  private static void rotate(double[][] q, double angle, int i, int j) {
    double cos = Math.cos(angle);
    double sin = Math.sin(angle);
    for (int column = 0; column < q.length; column++) {
      double x = q[i][column];
      double y = q[j][column];
      q[i][column] = cos * x + sin * y;
      // Written second: with i == j this one stays.
      q[j][column] = -sin * x + cos * y;
    }
  }
}
