package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs a signature on rows of token ids of unequal lengths: pads, masks, and cuts padding off. */
record TokenRunner(SavedModelPredictor predictor, TokenInput input) implements AutoCloseable {
  static TokenRunner load(TokenInput input) {
    return new TokenRunner(SavedModelPredictor.load(input.model()), input);
  }

  /** What is kept of a batch's outputs. */
  interface Kept {
    Map<String, NpyArray> of(Map<String, NpyArray> outputs, List<int[]> ids, int length);
  }

  /** Runs no more rows than {@link TokenInput#rows} allows; outputs have as many rows. */
  Map<String, NpyArray> run(List<int[]> ids, int length) {
    int size = input.rows(ids.size());
    int[] padded = padded(ids, size, length);
    int[] real = new int[padded.length];
    for (int r = 0; r < ids.size(); r++) {
      for (int i = 0; i < ids.get(r).length; i++) {
        real[r * length + i] = input.isReal(ids.get(r)[i]) ? 1 : 0;
      }
    }
    var outputs =
        predictor.predict(input.signature().name(), input.feeds(padded, real, size, length));
    outputs.replaceAll((name, array) -> head(name, array, ids.size(), size));
    return outputs;
  }

  /**
   * Runs all sequences, some at a time.
   *
   * @param isEven whether batches are padded to the longest sequence of all, not to their own
   * @return what is kept, joined over the sequences; 'tokens' [N, L] and 'lengths' [N]
   */
  Map<String, NpyArray> run(TokenizedSequences sequences, int batch, boolean isEven, Kept kept) {
    int longest = sequences.longest();
    int limit = input.limit();
    if (longest > limit) {
      String found =
          "%s: a sequence has %d tokens, but the model takes %d; crop to a length of %3$d";
      throw new PerformerException(found.formatted(sequences.source(), longest, limit))
          .settledBy("length=" + limit);
    }
    List<int[]> ids = sequences.ids();
    int rows = input.rows(Math.min(batch, ids.size()));
    Map<String, List<NpyArray>> parts = new LinkedHashMap<>();
    for (int first = 0; first < ids.size(); first += rows) {
      List<int[]> part = ids.subList(first, Math.min(ids.size(), first + rows));
      int length = input.length(isEven ? longest : longest(part));
      kept.of(run(part, length), part, length)
          .forEach((name, y) -> parts.computeIfAbsent(name, k -> new ArrayList<>()).add(y));
    }
    Map<String, NpyArray> outputs = new LinkedHashMap<>();
    parts.forEach((name, list) -> outputs.put(name, join(list)));
    outputs.putAll(arrays(sequences, input.length(longest)));
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
  private static NpyArray join(List<NpyArray> parts) {
    long[] shape = parts.get(0).shape().clone();
    shape[0] = parts.stream().mapToLong(p -> p.shape()[0]).sum();
    int size = parts.stream().mapToInt(p -> p.bytes().length).reduce(0, Math::addExact);
    ByteBuffer bytes = ByteBuffer.allocate(size);
    parts.forEach(part -> bytes.put(part.bytes()));
    return new NpyArray(parts.get(0).type(), shape, bytes.array());
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

  private static NpyArray head(String name, NpyArray array, int rows, int size) {
    long[] shape = array.shape().clone();
    boolean hasRows = shape.length > 0 && shape[0] == size;
    require(hasRows, "output %s %s has no row per sequence; give an .npz", name, array);
    if (rows == size) {
      return array;
    }
    shape[0] = rows;
    byte[] bytes = Arrays.copyOf(array.bytes(), array.bytes().length / size * rows);
    return new NpyArray(array.type(), shape, bytes);
  }

  @Override
  public void close() {
    predictor.close();
  }
}
