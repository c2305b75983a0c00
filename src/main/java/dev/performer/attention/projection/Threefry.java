package dev.performer.attention.projection;

import dev.performer.PerformerException;

/**
 * JAX's counter-based generator threefry2x32: keys, their splitting, and the draws Google's code
 * makes from them, as {@code jax.random} computes them for float32 and 32-bit integers.
 *
 * @param stream which of JAX's two streams
 * @param high first word of the key
 * @param low second word of the key
 * @see <a href="https://www.thesalmons.org/john/random123/papers/random123sc11.pdf">Salmon et al.,
 *     Parallel Random Numbers: As Easy as 1, 2, 3</a>
 */
public record Threefry(Stream stream, int high, int low) {
  /** JAX's flag {@code jax_threefry_partitionable}; it changes splits and bits. */
  public enum Stream {
    /** Off: the default of older JAX, and of every protein model Google trained. */
    LEGACY,
    /** On: the default of newer JAX. */
    PARTITIONABLE
  }

  private static final int[][] ROTATIONS = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  private static final int PARITY = 0x1BD11BDA;

  /** {@code jax.random.PRNGKey(seed)} for a 32-bit seed; negative ones count as unsigned. */
  public static Threefry ofSeed(Stream stream, int seed) {
    return new Threefry(stream, 0, seed);
  }

  /** {@code jax.random.split(key, number)}. */
  public Threefry[] split(int number) {
    Threefry[] keys = new Threefry[number];
    if (stream == Stream.LEGACY) {
      int[] words = legacyWords(Math.multiplyExact(number, 2));
      for (int i = 0; i < number; i++) {
        keys[i] = new Threefry(stream, words[2 * i], words[2 * i + 1]);
      }
    } else {
      for (int i = 0; i < number; i++) {
        long pair = encrypt(0, i);
        keys[i] = new Threefry(stream, (int) (pair >>> 32), (int) pair);
      }
    }
    return keys;
  }

  /** {@code jax.random.bits(key, (number,))}: unsigned 32-bit words. */
  public int[] bits(int number) {
    if (stream == Stream.LEGACY) {
      return legacyWords(number);
    }
    int[] words = new int[number];
    for (int i = 0; i < number; i++) {
      long pair = encrypt(0, i);
      words[i] = (int) (pair >>> 32) ^ (int) pair;
    }
    return words;
  }

  /** {@code jax.random.uniform(key, (number,))}: float32 in [0, 1), from the upper 23 bits. */
  public float[] uniform(int number) {
    int[] words = bits(number);
    float[] result = new float[number];
    for (int i = 0; i < number; i++) {
      result[i] = Float.intBitsToFloat((words[i] >>> 9) | 0x3f800000) - 1f;
    }
    return result;
  }

  /** {@code jax.random.normal(key, (number,))}: float32, by the inverse error function. */
  public float[] normal(int number) {
    float[] result = uniform(number);
    float least = Math.nextUp(-1f);
    for (int i = 0; i < number; i++) {
      float u = Math.max(least, result[i] * (1f - least) + least);
      result[i] = (float) Math.sqrt(2) * ErfInv.of(u);
    }
    return result;
  }

  /** {@code jax.random.bernoulli(key, p, (number,))}. */
  public boolean[] bernoulli(float p, int number) {
    float[] u = uniform(number);
    boolean[] result = new boolean[number];
    for (int i = 0; i < number; i++) {
      result[i] = u[i] < p;
    }
    return result;
  }

  /** {@code jax.random.randint(key, (number,), least, bound)}: int32 in [least, bound). */
  public int[] randint(int least, int bound, int number) {
    PerformerException.require(
        bound > least, "a random integer needs a bound above %d, not %d", least, bound);
    Threefry[] keys = split(2);
    int[] higher = keys[0].bits(number);
    int[] lower = keys[1].bits(number);
    int span = bound - least;
    int multiplier = Integer.remainderUnsigned(1 << 16, span);
    multiplier = Integer.remainderUnsigned(multiplier * multiplier, span);
    int[] result = new int[number];
    for (int i = 0; i < number; i++) {
      int offset =
          Integer.remainderUnsigned(higher[i], span) * multiplier
              + Integer.remainderUnsigned(lower[i], span);
      result[i] = least + Integer.remainderUnsigned(offset, span);
    }
    return result;
  }

  /** The counters 0..number-1, the second half paired to the first. */
  private int[] legacyWords(int number) {
    int half = (number + 1) / 2;
    int[] words = new int[number];
    for (int i = 0; i < half; i++) {
      int second = half + i;
      long pair = encrypt(i, second < number ? second : 0);
      words[i] = (int) (pair >>> 32);
      if (second < number) {
        words[second] = (int) pair;
      }
    }
    return words;
  }

  /** The block cipher: 20 rounds on a pair of words. */
  private long encrypt(int counterHigh, int counterLow) {
    int[] key = {high, low, high ^ low ^ PARITY};
    int x0 = counterHigh + key[0];
    int x1 = counterLow + key[1];
    for (int group = 0; group < 5; group++) {
      for (int rotation : ROTATIONS[group % 2]) {
        x0 += x1;
        x1 = Integer.rotateLeft(x1, rotation) ^ x0;
      }
      x0 += key[(group + 1) % 3];
      x1 += key[(group + 2) % 3] + group + 1;
    }
    return ((long) x0 << 32) | (x1 & 0xffffffffL);
  }

  /**
   * The float32 inverse error function that XLA computes.
   *
   * @see <a href="https://people.maths.ox.ac.uk/gilesm/files/gems_erfinv.pdf">Giles, Approximating
   *     the erfinv function</a>
   */
  private static final class ErfInv {
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
}
