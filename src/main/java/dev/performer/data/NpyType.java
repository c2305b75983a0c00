package dev.performer.data;

import java.util.Locale;

/** The NumPy element types that go in and out of {@code .npz} files. */
public enum NpyType {
  FLOAT32("f4"),
  FLOAT64("f8"),
  INT8("i1"),
  INT16("i2"),
  INT32("i4"),
  INT64("i8"),
  UINT8("u1"),
  UINT16("u2"),
  UINT32("u4"),
  BOOL("b1"),
  /** Byte strings of any length; not read from files. */
  STRING("S0");

  private final String code;

  NpyType(String code) {
    this.code = code;
  }

  /** NumPy's kind and size, without the byte order: {@code f4}. */
  public String code() {
    return code;
  }

  /** The name a person uses: {@code float32}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Bytes of one element; 0 for strings, whose lengths differ. */
  public int size() {
    return code.charAt(1) - '0';
  }
}
