package dev.performer.chart;

import java.util.Collection;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * Points of a {@link Chart} and how they are drawn.
 *
 * @param name in the legend, one of its kind in a chart
 * @param y of each point, as x; points that are not finite, or not positive on a logarithmic axis,
 *     are left out
 * @param colour a number; equal numbers are equal colours. Null for a colour of its own
 * @param dash NONE draws the points alone
 * @param right whether its y axis is the right one
 */
public record Line(
    String name, double[] x, double[] y, Integer colour, Dash dash, Marker marker, boolean right) {

  /** Strokes of a line. */
  public enum Dash {
    SOLID,
    DASHED,
    DOTTED,
    NONE
  }

  /** Shapes of a point. */
  public enum Marker {
    NONE,
    CIRCLE,
    DIAMOND,
    CROSS
  }

  /** A solid line without markers, in a colour of its own, on the left axis. */
  public static Line of(String name, double[] x, double[] y) {
    return new Line(name, x, y, null, Dash.SOLID, Marker.NONE, false);
  }

  public static Line of(
      String name, Collection<? extends Number> x, Collection<? extends Number> y) {
    return of(name, doubles(x), doubles(y));
  }

  /** The same with a colour, which lines may share. */
  public Line withColour(int number) {
    return new Line(name, x, y, number, dash, marker, right);
  }

  public Line withDash(Dash stroke) {
    return new Line(name, x, y, colour, stroke, marker, right);
  }

  public Line withMarker(Marker shape) {
    return new Line(name, x, y, colour, dash, shape, right);
  }

  /** The same on the right axis. */
  public Line onTheRight() {
    return new Line(name, x, y, colour, dash, marker, true);
  }

  /** Some of its points, by their indices. */
  Line points(IntPredicate kept) {
    int[] at = IntStream.range(0, x.length).filter(kept).toArray();
    double[] xs = IntStream.of(at).mapToDouble(i -> x[i]).toArray();
    double[] ys = IntStream.of(at).mapToDouble(i -> y[i]).toArray();
    return new Line(name, xs, ys, colour, dash, marker, right);
  }

  private static double[] doubles(Collection<? extends Number> values) {
    return values.stream().mapToDouble(Number::doubleValue).toArray();
  }
}
