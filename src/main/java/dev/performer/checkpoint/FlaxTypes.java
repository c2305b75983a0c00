package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.NpyType;
import java.util.Arrays;
import java.util.Map;

/** The element types that Flax files have, and how large an array of them is. */
final class FlaxTypes {
  private static final Map<String, Integer> SIZES =
      Map.ofEntries(
          Map.entry("float32", 4),
          Map.entry("float64", 8),
          Map.entry("float16", 2),
          Map.entry("bfloat16", 2),
          Map.entry("V2", 2),
          Map.entry("int8", 1),
          Map.entry("int16", 2),
          Map.entry("int32", 4),
          Map.entry("int64", 8),
          Map.entry("uint8", 1),
          Map.entry("uint16", 2),
          Map.entry("uint32", 4),
          Map.entry("uint64", 8),
          Map.entry("bool", 1),
          Map.entry("complex64", 8),
          Map.entry("complex128", 16));

  private FlaxTypes() {}

  /** The type that its values are read as. @throws PerformerException if they cannot be */
  static NpyType readAs(String type) {
    return switch (type) {
      case "float32", "float16", "bfloat16" -> NpyType.FLOAT32;
      case "float64" -> NpyType.FLOAT64;
      case "int8" -> NpyType.INT8;
      case "int16" -> NpyType.INT16;
      case "int32" -> NpyType.INT32;
      case "int64" -> NpyType.INT64;
      case "uint8" -> NpyType.UINT8;
      case "uint16" -> NpyType.UINT16;
      case "uint32" -> NpyType.UINT32;
      case "bool" -> NpyType.BOOL;
      default -> throw new PerformerException("values of type " + type + " cannot be read here");
    };
  }

  /**
   * @throws PerformerException unless an array of this type and shape has so many bytes
   */
  static void check(String path, String type, long[] shape, long bytes) {
    Integer size = SIZES.get(type);
    if (size == null) {
      throw new PerformerException("key " + path + ": element type " + type + " is unknown");
    }
    long elements = 1;
    boolean isEmpty = false;
    try {
      for (long dimension : shape) {
        if (dimension < 0) {
          throw new PerformerException(
              "key " + path + ": a dimension is negative in " + Arrays.toString(shape));
        }
        isEmpty |= dimension == 0;
        elements = Math.multiplyExact(elements, Math.max(1, dimension));
      }
      if (Math.multiplyExact(isEmpty ? 0 : elements, (long) size) == bytes) {
        return;
      }
    } catch (ArithmeticException e) {
      // Larger than any file: said below.
    }
    throw new PerformerException(
        "key "
            + path
            + ": "
            + type
            + Arrays.toString(shape)
            + " does not fit its "
            + bytes
            + " bytes");
  }
}
