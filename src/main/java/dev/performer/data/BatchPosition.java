package dev.performer.data;

/** A place in the endless row of batches: complete passes, and batches of this one before it. */
public record BatchPosition(long epoch, long index) {
  /** The first batch of all. */
  public static final BatchPosition START = new BatchPosition(0, 0);

  /** The place after this batch. */
  public BatchPosition next() {
    return new BatchPosition(epoch, index + 1);
  }
}
