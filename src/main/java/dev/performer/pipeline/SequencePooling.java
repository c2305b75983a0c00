package dev.performer.pipeline;

import dev.performer.data.NpyArray;
import java.util.List;

/** How the states of a sequence's tokens become one vector; padding never counts. */
public enum SequencePooling {
  MEAN,
  MAX,
  SUM,
  /** The class token that the model puts in front, else the first token. */
  CLS,
  /** One vector per token. */
  NONE;

  /**
   * Pools a batch.
   *
   * @param states {@code [B, L, E]}; {@code [B, L + 1, E]} where a class token stands in front
   * @param ids of each row, without padding behind them
   * @param length L
   * @return {@code [B, E]}; {@code [B, L, E]} for {@link #NONE}
   */
  NpyArray apply(NpyArray states, List<int[]> ids, int length, TokenInput input) {
    int positions = (int) states.shape()[1];
    int size = (int) states.shape()[2];
    float[] all = states.floats();
    int rows = ids.size();
    int width = this == NONE ? length * size : size;
    float[] result = new float[rows * width];
    for (int r = 0; r < rows; r++) {
      int from = (r * positions + positions - length) * size; // behind a class token
      if (this == NONE) {
        System.arraycopy(all, from, result, r * width, ids.get(r).length * size);
      } else if (this == CLS) {
        System.arraycopy(all, r * positions * size, result, r * width, size);
      } else {
        for (int c = 0; c < size; c++) {
          result[r * size + c] = (float) pooled(all, from + c, size, ids.get(r), input);
        }
      }
    }
    return this == NONE ? NpyArray.of(result, rows, length, size) : NpyArray.of(result, rows, size);
  }

  /** Of one component; 0 for a sequence without tokens. */
  private double pooled(float[] all, int from, int step, int[] ids, TokenInput input) {
    double sum = 0;
    double max = Double.NEGATIVE_INFINITY;
    int count = 0;
    for (int i = 0; i < ids.length; i++) {
      if (input.isReal(ids[i])) {
        double x = all[from + i * step];
        sum += x;
        max = Math.max(max, x);
        count++;
      }
    }
    if (count == 0) {
      return 0;
    }
    return this == MAX ? max : this == SUM ? sum : sum / count;
  }
}
