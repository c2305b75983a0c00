package dev.performer.model;

import dev.performer.data.NpyArray;
import dev.performer.nn.HeadCalibration;
import java.util.Map;

/**
 * What calibration found for the heads of one layer, in units of {@code x' = x/D^¼}. Softmax
 * attention is the same after {@code q → T q} and {@code k → T⁻ᵀ (k − c)}; random features fare far
 * better.
 *
 * @param balance T, {@code [H, D, D]}
 * @param inverse T⁻ᵀ, {@code [H, D, D]}
 * @param keyMean c of keys before T, {@code [H, D]}
 * @param queryCentre mean of balanced queries, {@code [H, D]}
 * @param keyCentre mean of balanced keys, {@code [H, D]}: what is left out of features where the
 *     key projection has no bias to leave it out of
 * @param amounts A of balanced queries and keys, {@code [H, D]}
 * @param basis U of them, {@code [H, D, D]}
 * @param foldsMean whether the key projection's bias leaves the mean out
 */
public record LayerCalibration(
    double[] balance,
    double[] inverse,
    double[] keyMean,
    double[] queryCentre,
    double[] keyCentre,
    double[] amounts,
    double[] basis,
    boolean foldsMean) {
  /** Changes the projections of a layer, whose names begin so, to balanced and centred ones. */
  void fold(Map<String, NpyArray> weights, String layer, int heads, int size) {
    weights.computeIfPresent(layer + "query/kernel", (n, w) -> turned(w, balance, heads, size));
    weights.computeIfPresent(layer + "query/bias", (n, w) -> turned(w, balance, heads, size));
    weights.computeIfPresent(layer + "key/kernel", (n, w) -> turned(w, inverse, heads, size));
    weights.computeIfPresent(
        layer + "key/bias", (n, w) -> turned(foldsMean ? less(w, size) : w, inverse, heads, size));
  }

  private NpyArray less(NpyArray bias, int size) {
    double root = Math.pow(size, 0.25);
    double[] values = bias.doubles();
    for (int i = 0; i < values.length; i++) {
      values[i] -= root * keyMean[i];
    }
    return NpyArray.of(values, bias.shape());
  }

  /** Each head's part of {@code [..., H, D]} by its own matrix. */
  private static NpyArray turned(NpyArray x, double[] matrices, int heads, int size) {
    double[] from = x.doubles();
    float[] to = new float[from.length];
    for (int row = 0; row < from.length; row += size) {
      int matrix = row / size % heads * size * size;
      for (int i = 0; i < size; i++) {
        double sum = 0;
        for (int j = 0; j < size; j++) {
          sum += matrices[matrix + i * size + j] * from[row + j];
        }
        to[row + i] = (float) sum;
      }
    }
    return NpyArray.of(to, x.shape());
  }

  /** Sets the variables of features of a layer that has them. */
  void place(Map<String, NpyArray> weights, String layer, float[] projection, int heads, int size) {
    weights.put(layer + HeadCalibration.AMOUNTS, array(amounts, heads, size));
    weights.put(layer + HeadCalibration.BASIS, array(basis, heads, size, size));
    weights.put(layer + HeadCalibration.QUERY_CENTRE, array(queryCentre, heads, size));
    double[] left = foldsMean ? new double[heads * size] : keyCentre;
    weights.put(layer + HeadCalibration.KEY_CENTRE, array(left, heads, size));
    int rows = projection.length / size;
    float[] directions = directions(projection, heads, rows, size);
    weights.put(layer + HeadCalibration.DIRECTIONS, NpyArray.of(directions, heads, rows, size));
  }

  /** {@code ω √(1−4A) Uᵀ}, {@code [H, M, D]}. */
  private float[] directions(float[] projection, int heads, int rows, int size) {
    float[] directions = new float[heads * projection.length];
    for (int h = 0; h < heads; h++) {
      for (int m = 0; m < rows; m++) {
        for (int i = 0; i < size; i++) {
          double sum = 0;
          for (int j = 0; j < size; j++) {
            double slope = Math.sqrt(1 - 4 * amounts[h * size + j]);
            sum += projection[m * size + j] * slope * basis[(h * size + i) * size + j];
          }
          directions[(h * rows + m) * size + i] = (float) sum;
        }
      }
    }
    return directions;
  }

  private static NpyArray array(double[] values, long... shape) {
    float[] narrow = new float[values.length];
    for (int i = 0; i < narrow.length; i++) {
      narrow[i] = (float) values[i];
    }
    return NpyArray.of(narrow, shape);
  }

  /** Of heads as they are: features are those of plain softmax features. */
  static LayerCalibration none(int heads, int size) {
    double[] unit = new double[heads * size * size];
    for (int i = 0; i < heads * size; i++) {
      unit[i * size + i % size] = 1;
    }
    double[] zeros = new double[heads * size];
    return new LayerCalibration(unit, unit, zeros, zeros, zeros, zeros, unit, false);
  }
}
