package dev.performer.study;

import static dev.performer.PerformerException.require;

import dev.performer.study.ModelAttention.Head;
import dev.performer.study.ModelAttention.Wanted;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** Gathers the heads of a layer from blocks of their rows. */
final class HeadRows {
  private static final int MEASURES = 5;
  private static final float LOWEST = -1e29f;

  private final int heads;
  private final int queries;
  private final int keys;
  private final int[] kept;
  private final int top; // listed of a row
  private final int[][] sources;
  private final float[][] weights;
  private final float[][] rows;
  private final double[][] totals; // total, effective, distance, cosine, common

  HeadRows(int heads, int queries, int keys, Wanted wanted) {
    this.heads = heads;
    this.queries = queries;
    this.keys = keys;
    kept = queries == 0 ? new int[0] : wanted.kept();
    top = Math.min(wanted.top(), keys);
    sources = new int[heads][queries * top];
    weights = new float[heads][queries * top];
    rows = new float[heads][kept.length * keys];
    totals = new double[heads][MEASURES];
  }

  /** L, of which rows are gathered. */
  int queries() {
    return queries;
  }

  /** Whether a row of some queries is kept. */
  boolean keeps(int from, int count) {
    return Arrays.stream(kept).anyMatch(q -> q >= from && q < from + count);
  }

  /**
   * Adds rows, of which those beyond the last query are left out.
   *
   * @param measures sums over the keys of w, w², |w − e|, w e and e², {@code [5, H, n]}
   * @param values {@code [H, n, k]}
   * @param indices {@code [H, n, k]}
   * @param exact indices of exact attention
   * @param all {@code [H, n, S]}, or null where none is kept
   */
  void add(
      int from,
      int count,
      float[] measures,
      float[] values,
      int[] indices,
      int[] exact,
      float[] all) {
    int n = measures.length / MEASURES / heads;
    for (int h = 0; h < heads; h++) {
      for (int r = 0; r < Math.min(count, queries - from); r++) {
        int row = h * n + r;
        double[] m = new double[MEASURES];
        for (int i = 0; i < MEASURES; i++) {
          m[i] = measures[i * heads * n + row];
        }
        double common = list(h, from + r, row, values, indices, exact);
        add(totals[h], m, common);
      }
      for (int i = 0; i < kept.length; i++) {
        int r = kept[i] - from;
        if (r >= 0 && r < count) {
          System.arraycopy(all, (h * n + r) * keys, rows[h], i * keys, keys);
        }
      }
    }
  }

  private static void add(double[] totals, double[] m, double common) {
    totals[0] = Math.max(totals[0], Math.abs(m[0] - 1));
    totals[1] += m[1] == 0 ? 0 : m[0] * m[0] / m[1];
    totals[2] += m[2] / 2;
    totals[3] += m[1] * m[4] == 0 ? 0 : m[3] / Math.sqrt(m[1] * m[4]);
    totals[4] += common;
  }

  /** Notes the largest weights of a row; the share of their keys that are exact attention's too. */
  private double list(int h, int query, int row, float[] values, int[] indices, int[] exact) {
    int listed = 0;
    int common = 0;
    for (int i = 0; i < top; i++) {
      int place = row * top + i;
      boolean isSeen = values[place] > LOWEST;
      sources[h][query * top + i] = isSeen ? indices[place] : -1;
      weights[h][query * top + i] = isSeen ? values[place] : 0;
      listed += isSeen ? 1 : 0;
    }
    for (int i = 0; i < listed; i++) {
      int key = sources[h][query * top + i];
      common += IntStream.range(0, listed).anyMatch(j -> exact[row * top + j] == key) ? 1 : 0;
    }
    return listed == 0 ? 1 : (double) common / listed;
  }

  /** What was gathered. */
  List<Head> heads(int layer) {
    List<Head> all = new ArrayList<>();
    for (int h = 0; h < heads; h++) {
      double[] mean = Arrays.stream(totals[h]).map(x -> x / queries).toArray();
      boolean isSound = Arrays.stream(mean).allMatch(Double::isFinite);
      require(isSound, "layer %d, head %d: its weights are not finite", layer, h);
      all.add(
          new Head(
              sources[h], weights[h], rows[h], totals[h][0], mean[1], mean[2], mean[3], mean[4]));
    }
    return all;
  }
}
