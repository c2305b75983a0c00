package dev.performer.data;

import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.LongUnaryOperator;
import java.util.stream.LongStream;

/** Independent random streams from a seed and the numbers that say what the stream is for. */
final class Seeds {
  private static final int ROUNDS = 8;

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

  /**
   * A random order of {@code 0 … size-1} that takes no memory: a Feistel network over the next
   * power of four, walked until it lands inside. The same for the same size and key.
   *
   * @see <a href="https://doi.org/10.1007/3-540-45760-7_9">Black and Rogaway, Ciphers with
   *     arbitrary finite domains: cycle walking</a>
   */
  static LongUnaryOperator permutation(long size, long key) {
    int half = (65 - Long.numberOfLeadingZeros(Math.max(1, size - 1))) / 2;
    long mask = (1L << half) - 1;
    long[] keys = LongStream.range(0, ROUNDS).map(round -> mix(key, round)).toArray();
    return index -> {
      long place = index;
      do {
        for (long roundKey : keys) {
          long right = place & mask;
          place = right << half | (place >>> half ^ mix(roundKey, right) & mask);
        }
      } while (place >= size);
      return place;
    };
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
