package dev.performer.data;

import java.util.Locale;

/** The NumPy element types that models take and give. */
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
  /** Texts, or bytes that are no text, each of a length of its own. */
  STRING("S");

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

  /** Bytes of one element; 0 where each has a length of its own. */
  public int size() {
    return this == STRING ? 0 : code.charAt(1) - '0';
  }
}
