package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.TokenizedSequences;
import dev.performer.savedmodel.SavedModelPredictor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs a signature on rows of token ids of unequal lengths: pads, masks, and cuts padding off. */
record TokenRunner(SavedModelPredictor predictor, TokenInput input) {

  /**
   * Runs some rows.
   *
   * @param ids no more rows than {@link TokenInput#rows} allows
   * @param length of {@link TokenInput#length}
   * @return outputs, with as many rows as {@code ids}
   */
  Map<String, NpyArray> run(List<int[]> ids, int length) {
    int size = input.rows(ids.size());
    int[] padded = padded(ids, size, length);
    int[] real = new int[padded.length];
    for (int r = 0; r < ids.size(); r++) {
      for (int i = 0; i < ids.get(r).length; i++) {
        real[r * length + i] = input.isReal(ids.get(r)[i]) ? 1 : 0;
      }
    }
    Map<String, NpyArray> outputs = new LinkedHashMap<>();
    predictor
        .predict(input.signature().name(), input.feeds(padded, real, size, length))
        .forEach((name, array) -> outputs.put(name, head(name, array, ids.size(), size)));
    return outputs;
  }

  /**
   * Runs all sequences, some at a time.
   *
   * @return the outputs, joined over the sequences; 'tokens' [N, L] and 'lengths' [N]
   */
  Map<String, NpyArray> run(TokenizedSequences sequences, int batch) {
    int longest = sequences.longest();
    if (longest > input.limit()) {
      throw new PerformerException(
              "%s: a sequence has %d tokens, but the model takes %d; crop to a length of %d"
                  .formatted(sequences.source(), longest, input.limit(), input.limit()))
          .settledBy("length=" + input.limit());
    }
    List<int[]> ids = sequences.ids();
    int length = input.length(longest);
    int rows = input.rows(Math.min(batch, ids.size()));
    Map<String, List<NpyArray>> parts = new LinkedHashMap<>();
    for (int first = 0; first < ids.size(); first += rows) {
      run(ids.subList(first, Math.min(ids.size(), first + rows)), length)
          .forEach((name, y) -> parts.computeIfAbsent(name, k -> new ArrayList<>()).add(y));
    }
    Map<String, NpyArray> outputs = new LinkedHashMap<>();
    parts.forEach((name, list) -> outputs.put(name, join(list)));
    outputs.putAll(arrays(sequences, length));
    return outputs;
  }

  /** 'tokens' [N, L] and 'lengths' [N]. */
  Map<String, NpyArray> arrays(TokenizedSequences sequences, int length) {
    List<int[]> ids = sequences.ids();
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    arrays.put("tokens", NpyArray.of(padded(ids, ids.size(), length), ids.size(), length));
    arrays.put("lengths", NpyArray.of(ids.stream().mapToInt(a -> a.length).toArray(), ids.size()));
    return arrays;
  }

  /** Tokens of the longest row. */
  static int longest(List<int[]> rows) {
    return rows.stream().mapToInt(row -> row.length).max().orElseThrow();
  }

  /** Rows below each other. */
  static NpyArray join(List<NpyArray> parts) {
    long[] shape = parts.get(0).shape().clone();
    shape[0] = parts.stream().mapToLong(p -> p.shape()[0]).sum();
    NpyType type = parts.get(0).type();
    byte[] bytes =
        new byte[parts.stream().mapToInt(p -> p.bytes().length).reduce(0, Math::addExact)];
    int at = 0;
    for (NpyArray part : parts) {
      System.arraycopy(part.bytes(), 0, bytes, at, part.bytes().length);
      at += part.bytes().length;
    }
    return new NpyArray(type, shape, bytes);
  }

  /** {@code [size, length]}; rows beyond the last are all padding. */
  private int[] padded(List<int[]> ids, int size, int length) {
    int[] flat = new int[Math.multiplyExact(size, length)];
    Arrays.fill(flat, input.tokenizer().vocabulary().pad().orElse(0));
    for (int r = 0; r < ids.size(); r++) {
      System.arraycopy(ids.get(r), 0, flat, r * length, ids.get(r).length);
    }
    return flat;
  }

  private static NpyArray head(String name, NpyArray array, int real, int size) {
    long[] shape = array.shape().clone();
    if (shape.length == 0 || shape[0] != size) {
      throw new PerformerException(
          "output %s %s has no row per sequence; run this signature with an .npz"
              .formatted(name, array));
    }
    if (real == size) {
      return array;
    }
    shape[0] = real;
    return new NpyArray(
        array.type(), shape, Arrays.copyOf(array.bytes(), array.bytes().length / size * real));
  }
}
