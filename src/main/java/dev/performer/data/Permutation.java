package dev.performer.data;

import java.util.function.LongUnaryOperator;

/**
 * A random order of {@code 0 … size-1} that takes no memory: a Feistel network over the next power
 * of four, walked until it lands inside. The same for the same size and key.
 *
 * @see <a href="https://doi.org/10.1007/3-540-45760-7_9">Black and Rogaway, Ciphers with arbitrary
 *     finite domains: cycle walking</a>
 */
public final class Permutation implements LongUnaryOperator {
  private static final int ROUNDS = 8;

  private final long size;
  private final int half;
  private final long mask;
  private final long[] keys = new long[ROUNDS];

  /**
   * @param size at least 0
   * @param key which of the orders
   */
  public Permutation(long size, long key) {
    this.size = size;
    int bits = 64 - Long.numberOfLeadingZeros(Math.max(1, size - 1));
    half = (bits + 1) / 2;
    mask = (1L << half) - 1;
    for (int round = 0; round < ROUNDS; round++) {
      keys[round] = Seeds.mix(key, round);
    }
  }

  /** Where the order has its {@code index}-th number. */
  @Override
  public long applyAsLong(long index) {
    long place = index;
    do {
      place = encrypt(place);
    } while (place >= size);
    return place;
  }

  private long encrypt(long value) {
    long left = value >>> half;
    long right = value & mask;
    for (long key : keys) {
      long mixed = left ^ (Seeds.mix(key, right) & mask);
      left = right;
      right = mixed;
    }
    return (left << half) | right;
  }
}
