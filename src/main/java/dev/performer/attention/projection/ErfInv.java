package dev.performer.attention.projection;

/**
 * The float32 inverse error function that XLA computes.
 *
 * @see <a href="https://people.maths.ox.ac.uk/gilesm/files/gems_erfinv.pdf">Giles, Approximating
 *     the erfinv function</a>
 */
final class ErfInv {
  private static final float[] CENTRE = {
    2.81022636e-08f, 3.43273939e-07f, -3.5233877e-06f,
    -4.39150654e-06f, 0.00021858087f, -0.00125372503f,
    -0.00417768164f, 0.246640727f, 1.50140941f
  };
  private static final float[] TAIL = {
    -0.000200214257f, 0.000100950558f, 0.00134934322f,
    -0.00367342844f, 0.00573950773f, -0.0076224613f,
    0.00943887047f, 1.00167406f, 2.83297682f
  };

  private ErfInv() {}

  /** The inverse error function on (-1, 1). */
  static float of(float x) {
    float w = (float) -Math.log1p(-x * x);
    boolean centre = w < 5f;
    float[] coefficients = centre ? CENTRE : TAIL;
    float t = centre ? w - 2.5f : (float) Math.sqrt(w) - 3f;
    float p = coefficients[0];
    for (int i = 1; i < coefficients.length; i++) {
      p = coefficients[i] + p * t;
    }
    return p * x;
  }
}
