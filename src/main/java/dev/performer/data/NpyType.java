package dev.performer.data;

/** The NumPy element types that go in and out of {@code .npz} files. */
public enum NpyType {
  FLOAT32("f4", "float32", 4),
  FLOAT64("f8", "float64", 8),
  INT8("i1", "int8", 1),
  INT16("i2", "int16", 2),
  INT32("i4", "int32", 4),
  INT64("i8", "int64", 8),
  UINT8("u1", "uint8", 1),
  UINT16("u2", "uint16", 2),
  UINT32("u4", "uint32", 4),
  BOOL("b1", "bool", 1);

  private final String code;
  private final String label;
  private final int size;

  NpyType(String code, String label, int size) {
    this.code = code;
    this.label = label;
    this.size = size;
  }

  /** NumPy's kind and size, without the byte order: {@code f4}. */
  public String code() {
    return code;
  }

  /** The name a person uses: {@code float32}. */
  public String label() {
    return label;
  }

  /** Bytes of one element. */
  public int size() {
    return size;
  }
}
