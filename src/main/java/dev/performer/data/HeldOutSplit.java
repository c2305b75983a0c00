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
    return new SequenceSource() {
      @Override
      public SequenceStream open() {
        return new Part(source.open(), wanted);
      }

      @Override
      public String name() {
        return source.name() + suffix;
      }
    };
  }

  private static final class Part extends LookAhead<ProteinSequence> implements SequenceStream {
    private final SequenceStream all;
    private final LongPredicate wanted;
    private long index;

    Part(SequenceStream all, LongPredicate wanted) {
      this.all = all;
      this.wanted = wanted;
    }

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
}
