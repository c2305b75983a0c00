package dev.performer.attention;

import dev.performer.attention.projection.Projection;
import dev.performer.data.NpyArray;
import dev.performer.testing.GraphRun;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.family.TFloating;

/** Random arrays for tests, in the layout {@code [B, H, L, D]}, and attention over them. */
public final class Inputs {
  private Inputs() {}

  /** {@code q}, {@code k}, {@code v} and an upstream gradient {@code g}. */
  public static Map<String, NpyArray> random(
      long seed, int b, int h, int l, int s, int d, int v, double amplitude) {
    Random random = new Random(seed);
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    arrays.put("q", normal(random, amplitude, b, h, l, d));
    arrays.put("k", normal(random, amplitude, b, h, s, d));
    arrays.put("v", normal(random, 1, b, h, s, v));
    arrays.put("g", normal(random, 1, b, h, l, v));
    return arrays;
  }

  public static NpyArray normal(Random random, double amplitude, long... shape) {
    double[] x = new double[(int) Arrays.stream(shape).reduce(1, (p, n) -> p * n)];
    Arrays.setAll(x, i -> (float) (amplitude * random.nextGaussian()));
    return NpyArray.of(x, shape);
  }

  /** P of a configuration, or null. */
  public static NpyArray projection(FavorConfig config, int headSize, long seed) {
    if (!config.hasProjection()) {
      return null;
    }
    Projection p = config.projection(headSize);
    return NpyArray.of(p.draw(seed), p.rows(), p.columns());
  }

  /** A run of one attention; inputs q, k, v, and P and mask where they are in {@code arrays}. */
  public static <T extends TFloating> GraphRun<T> run(
      Class<T> type, Attention exact, FavorConfig config, Map<String, NpyArray> arrays) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    for (String name : List.of("q", "k", "v", "P")) {
      if (arrays.containsKey(name)) {
        shapes.put(name, GraphRun.dynamic(arrays.get(name).shape()));
      }
    }
    if (arrays.containsKey("mask")) {
      shapes.put("mask", Shape.of(-1, -1));
    }
    return new GraphRun<>(
        type,
        shapes,
        List.of("q", "k", "v"),
        (tf, in) -> {
          Attention attention =
              exact != null
                  ? exact
                  : in.containsKey("P")
                      ? FavorAttention.of(config, in.get("P"))
                      : FavorAttention.of(config);
          return attention.attend(tf, in.get("q"), in.get("k"), in.get("v"), in.get("mask"));
        });
  }

  /** One head of one batch item as rows. */
  public static double[][] head(NpyArray x, int b, int h) {
    long[] s = x.shape();
    double[] all = x.doubles();
    double[][] rows = new double[(int) s[2]][];
    for (int i = 0; i < rows.length; i++) {
      int from = (int) (((b * s[1] + h) * s[2] + i) * s[3]);
      rows[i] = Arrays.copyOfRange(all, from, from + (int) s[3]);
    }
    return rows;
  }

  public static double[][] matrix(NpyArray x) {
    int columns = (int) x.shape()[1];
    double[] all = x.doubles();
    double[][] rows = new double[(int) x.shape()[0]][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = Arrays.copyOfRange(all, i * columns, (i + 1) * columns);
    }
    return rows;
  }

  public static double[] flatten(double[][] rows) {
    return Arrays.stream(rows).flatMapToDouble(Arrays::stream).toArray();
  }
}
