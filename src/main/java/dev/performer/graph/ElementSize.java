package dev.performer.graph;

import org.tensorflow.proto.DataType;

/** Bytes of one element in tensors and checkpoints. */
final class ElementSize {
  /** Of elements that have no fixed size. */
  static final int VARIABLE = 0;

  /** Of types that are stored nowhere. */
  static final int UNKNOWN = -1;

  private ElementSize() {}

  static int of(DataType type) {
    return switch (type) {
      case DT_COMPLEX128 -> 16;
      case DT_DOUBLE, DT_INT64, DT_UINT64, DT_COMPLEX64 -> 8;
      case DT_FLOAT, DT_INT32, DT_UINT32, DT_QINT32 -> 4;
      case DT_HALF, DT_BFLOAT16, DT_INT16, DT_UINT16, DT_QINT16, DT_QUINT16 -> 2;
      case DT_BOOL, DT_INT8, DT_UINT8, DT_QINT8, DT_QUINT8 -> 1;
      case DT_FLOAT8_E5M2, DT_FLOAT8_E4M3FN -> 1;
      case DT_STRING, DT_VARIANT -> VARIABLE;
      default -> UNKNOWN;
    };
  }
}
