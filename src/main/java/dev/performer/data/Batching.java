package dev.performer.data;

import java.util.List;

/**
 * How sequences become batches. At most {@code length} tokens of a sequence are kept, begin and end
 * included: of a longer one any part ({@code randomCrop}), or its start.
 *
 * @param bucket padded lengths are multiples of this (or {@code length}); sequences of one multiple
 *     share batches. At {@code length}, every batch has the same shape
 * @param shuffle whether the order is random (training) or that of the file (evaluation)
 * @param window sequences held in memory, within which shuffling and bucketing happen
 */
public record Batching(
    int length,
    BatchSize size,
    int bucket,
    boolean prependBos,
    boolean appendEos,
    boolean shuffle,
    boolean randomCrop,
    int window) {
  // Crops and shuffle buffer are those of Google's protein_lm: 32 sequences of full length in a
  // batch, 16 MiB in the window. Buckets make 8 shapes, and less than a tenth of padding.
  public static final int DEFAULT_LENGTH = 512;
  public static final int DEFAULT_TOKENS = 16384;
  public static final int DEFAULT_BUCKET = 64;
  public static final int DEFAULT_WINDOW = 8192;

  public Batching {
    if (length < 1 || bucket < 1 || window < 1) {
      throw new IllegalArgumentException(
          "length, bucket and window must be positive: " + List.of(length, bucket, window));
    }
  }

  /** For training: shuffled, cropped at random, as many sequences as fit into the tokens. */
  public static Batching training(int length, int tokens) {
    var size = new BatchSize.Tokens(tokens);
    return new Batching(length, size, DEFAULT_BUCKET, false, false, true, true, DEFAULT_WINDOW);
  }

  /** The same for evaluation: in the file's order, cropped from the start. */
  public Batching forEvaluation() {
    return new Batching(length, size, bucket, prependBos, appendEos, false, false, window);
  }

  /** The same with all batches padded to {@code length}, for models of a fixed length. */
  public Batching withFixedLength(int length) {
    return new Batching(length, size, length, prependBos, appendEos, shuffle, randomCrop, window);
  }

  /** The same with another number of sequences per batch. */
  public Batching withSize(BatchSize size) {
    return new Batching(length, size, bucket, prependBos, appendEos, shuffle, randomCrop, window);
  }

  /** The length to which a sequence is padded. */
  public int paddedLength(int tokens) {
    return Math.min(length, (tokens + bucket - 1) / bucket * bucket);
  }
}
