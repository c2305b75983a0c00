package dev.performer.data;

import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;

/** Independent random streams from a seed and the numbers that say what the stream is for. */
final class Seeds {
  private Seeds() {}

  static SplittableRandom random(long seed, long... purpose) {
    return new SplittableRandom(mix(seed, purpose));
  }

  /** Fisher and Yates' shuffle. */
  static <T> void shuffle(List<T> list, SplittableRandom random) {
    for (int i = list.size() - 1; i > 0; i--) {
      Collections.swap(list, i, random.nextInt(i + 1));
    }
  }

  static long mix(long seed, long... purpose) {
    long state = scramble(seed);
    for (long number : purpose) {
      state = scramble(state + 0x9E3779B97F4A7C15L * (number + 1));
    }
    return state;
  }

  /** The finalizer of SplitMix64. */
  private static long scramble(long z) {
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
