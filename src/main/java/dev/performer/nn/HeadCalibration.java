package dev.performer.nn;

import dev.performer.attention.Calibration;
import dev.performer.graph.Variable;
import dev.performer.nn.Parameters.Initializer;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import org.tensorflow.op.Ops;

/**
 * The variables of a layer's {@link Calibration}, which no optimizer changes; they begin where
 * features are those of plain softmax features.
 *
 * @param amounts A, {@code [H, D]}
 * @param basis U, {@code [H, D, D]}
 * @param directions {@code [H, M, D]}: of P, amounts and basis
 */
public record HeadCalibration(
    Variable amounts,
    Variable basis,
    Variable queryCentre,
    Variable keyCentre,
    Variable directions) {
  private static final String PLACE = "calibration/";

  /** Names behind the layer's, in the order of the components. */
  public static final String AMOUNTS = PLACE + "amounts";

  public static final String BASIS = PLACE + "basis";
  public static final String QUERY_CENTRE = PLACE + "query_centre";
  public static final String KEY_CENTRE = PLACE + "key_centre";
  public static final String DIRECTIONS = PLACE + "directions";

  /** Creates them; @param projection P, {@code [M, D]}, or empty where only shapes matter */
  public static HeadCalibration create(
      Parameters in, int heads, int rows, int size, float[] projection) {
    Initializer zeros = new Initializer.Constant(0);
    boolean draws = projection.length > 0;
    var unit = new Initializer.Given(draws ? repeated(unit(size), heads) : projection);
    var all = new Initializer.Given(repeated(projection, heads));
    return new HeadCalibration(
        in.fixed(AMOUNTS, zeros, heads, size),
        in.fixed(BASIS, unit, heads, size, size),
        in.fixed(QUERY_CENTRE, zeros, heads, size),
        in.fixed(KEY_CENTRE, zeros, heads, size),
        in.fixed(DIRECTIONS, all, heads, rows, size));
  }

  /** All names. */
  public static List<String> names() {
    return List.of(AMOUNTS, BASIS, QUERY_CENTRE, KEY_CENTRE, DIRECTIONS);
  }

  /** Whether a variable of this full name is one of a calibration. */
  public static boolean isPart(String name) {
    return name.contains("/" + PLACE);
  }

  /** Those of the layer that has a projection of this full name, by the names here. */
  public static Function<String, Variable> beside(
      String projection, Function<String, Variable> variables) {
    String layer = projection.substring(0, projection.lastIndexOf('/') + 1);
    return name -> variables.apply(layer + name);
  }

  private static float[] unit(int size) {
    float[] unit = new float[size * size];
    for (int i = 0; i < size; i++) {
      unit[i * size + i] = 1;
    }
    return unit;
  }

  private static float[] repeated(float[] values, int times) {
    float[] all = Arrays.copyOf(values, values.length * times);
    for (int i = 1; i < times; i++) {
      System.arraycopy(values, 0, all, i * values.length, values.length);
    }
    return all;
  }

  /** As it is read here. */
  Calibration read(Ops tf) {
    return new Calibration(
        amounts.read(tf), queryCentre.read(tf), keyCentre.read(tf), directions.read(tf));
  }
}
