package dev.performer.data;

import java.io.FilterReader;
import java.io.IOException;
import java.io.Reader;
import java.util.function.Supplier;

/** Refuses a line or a row that never ends before it fills the memory. */
final class BoundedReader extends FilterReader {
  /** Characters of a row: longer than any text by far. */
  static final int LONGEST = 1 << 27;

  private final Supplier<String> tooLong;
  private int allowance = LONGEST;

  /**
   * @param tooLong the message of the failure
   */
  BoundedReader(Reader in, Supplier<String> tooLong) {
    super(in);
    this.tooLong = tooLong;
  }

  /** Begins the next row. */
  void allowNext() {
    allowance = LONGEST;
  }

  @Override
  public int read(char[] chars, int from, int length) throws IOException {
    int n = super.read(chars, from, length);
    allowance -= Math.max(0, n);
    if (allowance < 0) {
      throw new IOException(tooLong.get());
    }
    return n;
  }
}
