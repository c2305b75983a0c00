package dev.performer.data;

import java.util.function.LongPredicate;

/**
 * One source in two parts: every n-th sequence for validation, the others for training.
 *
 * @param train the larger part
 * @param validation never seen in training
 */
public record HeldOutSplit(SequenceSource train, SequenceSource validation) {
  /** 5 % for validation. */
  public static final int DEFAULT_EVERY = 20;

  /**
   * Splits a source.
   *
   * @param every the first of every so many sequences is held out; at least 2
   */
  public static HeldOutSplit of(SequenceSource source, int every) {
    if (every < 2) {
      throw new IllegalArgumentException("every must be at least 2, not " + every);
    }
    return new HeldOutSplit(
        part(source, i -> i % every != 0, ""), part(source, i -> i % every == 0, ", held out"));
  }

  private static SequenceSource part(SequenceSource source, LongPredicate wanted, String suffix) {
    final class Part extends LookAhead<ProteinSequence> implements SequenceStream {
      private final SequenceStream all = source.open();
      private long index;

      @Override
      protected ProteinSequence read() {
        while (all.hasNext()) {
          ProteinSequence candidate = all.next();
          if (wanted.test(index++)) {
            return candidate;
          }
        }
        return null;
      }

      @Override
      public void close() {
        all.close();
      }
    }
    return SequenceSource.of(source.name() + suffix, Part::new);
  }
}
