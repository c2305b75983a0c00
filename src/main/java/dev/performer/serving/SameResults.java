package dev.performer.serving;

import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.util.Arrays;
import java.util.Map;

/** Whether two runs of a model gave the same but for rounding. */
final class SameResults {
  private static final double TOLERANCE = 1e-5;

  private SameResults() {}

  static boolean of(Map<String, NpyArray> alone, Map<String, NpyArray> joined) {
    return alone.entrySet().stream().allMatch(e -> isSame(e.getValue(), joined.get(e.getKey())));
  }

  private static boolean isSame(NpyArray a, NpyArray b) {
    if (a.equals(b)) {
      return true;
    }
    boolean isFloat = a.type() == NpyType.FLOAT32 || a.type() == NpyType.FLOAT64;
    if (!isFloat || a.type() != b.type() || !Arrays.equals(a.shape(), b.shape())) {
      return false;
    }
    double[] x = a.doubles();
    double[] y = b.doubles();
    double scale = Arrays.stream(x).filter(Double::isFinite).map(Math::abs).max().orElse(0);
    for (int i = 0; i < x.length; i++) {
      boolean isEqual = Double.compare(x[i], y[i]) == 0;
      if (!isEqual && !(Math.abs(x[i] - y[i]) <= TOLERANCE * Math.max(1, scale))) {
        return false;
      }
    }
    return true;
  }
}
