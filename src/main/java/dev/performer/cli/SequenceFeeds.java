package dev.performer.cli;

import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.util.LinkedHashMap;
import java.util.Map;

/** The arrays that a signature takes for a batch of sequences, each of its input's own type. */
final class SequenceFeeds {
  private SequenceFeeds() {}

  /**
   * Tokens and mask under their names, zeros for every other input.
   *
   * @param mask the input that is 1 where a token is real, or null
   * @param ids {@code [rows * length]}
   * @param real 1 where a token is real, {@code [rows * length]}
   * @return {@code [rows, length]} by input
   */
  static Map<String, NpyArray> of(
      SignatureSpec signature,
      String tokens,
      String mask,
      int[] ids,
      int[] real,
      int rows,
      int length) {
    Map<String, NpyArray> feeds = new LinkedHashMap<>();
    for (TensorSpec input : signature.inputs().values()) {
      int[] values =
          input.name().equals(tokens)
              ? ids
              : input.name().equals(mask) ? real : new int[ids.length];
      feeds.put(input.name(), array(input, values, rows, length));
    }
    return feeds;
  }

  private static NpyArray array(TensorSpec input, int[] values, int rows, int length) {
    return switch (input.type()) {
      case DT_FLOAT, DT_DOUBLE, DT_HALF, DT_BFLOAT16 -> {
        float[] floats = new float[values.length];
        for (int i = 0; i < floats.length; i++) {
          floats[i] = values[i];
        }
        yield NpyArray.of(floats, rows, length);
      }
      case DT_BOOL -> {
        byte[] bytes = new byte[values.length];
        for (int i = 0; i < bytes.length; i++) {
          bytes[i] = (byte) (values[i] == 0 ? 0 : 1);
        }
        yield new NpyArray(NpyType.BOOL, new long[] {rows, length}, bytes);
      }
      default -> NpyArray.of(values, rows, length); // the predictor widens whole numbers
    };
  }
}
