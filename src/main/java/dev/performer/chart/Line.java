package dev.performer.chart;

import java.util.Collection;

/**
 * Points of a {@link Chart} and how they are drawn.
 *
 * @param name in the legend, one of its kind in a chart
 * @param x of each point
 * @param y of each point; points that are not finite, or not positive on a logarithmic axis, are
 *     left out
 * @param colour a number; equal numbers are equal colours. Null for a colour of its own
 * @param dash whether the line is solid, dashed and so on; NONE draws the points alone
 * @param marker what a point looks like
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

  /** As {@link #of(String, double[], double[])}. */
  public static Line of(
      String name, Collection<? extends Number> x, Collection<? extends Number> y) {
    return of(name, doubles(x), doubles(y));
  }

  /** The same with a colour, which lines may share. */
  public Line withColour(int number) {
    return new Line(name, x, y, number, dash, marker, right);
  }

  /** The same with a stroke. */
  public Line withDash(Dash stroke) {
    return new Line(name, x, y, colour, stroke, marker, right);
  }

  /** The same with a marker at each point. */
  public Line withMarker(Marker shape) {
    return new Line(name, x, y, colour, dash, shape, right);
  }

  /** The same on the right axis. */
  public Line onTheRight() {
    return new Line(name, x, y, colour, dash, marker, true);
  }

  private static double[] doubles(Collection<? extends Number> values) {
    return values.stream().mapToDouble(Number::doubleValue).toArray();
  }
}
