package dev.performer.chart;

import dev.performer.OptionalLibrary;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * Lines over a common x axis, drawn as PNG.
 *
 * @param rightTitle beside the right axis; null without lines there
 * @param lines in the order of the legend
 */
public record Chart(
    String title,
    String xTitle,
    String yTitle,
    String rightTitle,
    Layout layout,
    List<Line> lines) {
  /** How an axis counts, and where its labels are. */
  public enum Scale {
    LINEAR,
    /** Logarithmic, labels at powers of two. */
    POWERS_OF_TWO,
    /** Logarithmic, labels at powers of ten. */
    DECADES
  }

  /** Where names stand. */
  public enum Legend {
    INSIDE,
    BESIDE,
    BELOW
  }

  /** How large a chart is, in pixels, how its axes count, and where its legend stands. */
  public record Layout(int width, int height, Scale x, Scale y, Legend legend) {}

  /** A chart without lines, 900 by 500, both axes linear. */
  public static Chart of(String title, String xTitle, String yTitle) {
    var layout = new Layout(900, 500, Scale.LINEAR, Scale.LINEAR, Legend.BESIDE);
    return of(title, xTitle, yTitle, layout);
  }

  /** A chart without lines. */
  public static Chart of(String title, String xTitle, String yTitle, Layout layout) {
    return new Chart(title, xTitle, yTitle, null, layout, List.of());
  }

  public Chart withRightTitle(String text) {
    return new Chart(title, xTitle, yTitle, text, layout, lines);
  }

  /**
   * The same with a line more; points that an axis cannot show, and lines without, are left out.
   */
  public Chart with(Line line) {
    Scale y = line.right ? Scale.LINEAR : layout.y;
    Line drawn = line.points(i -> canShow(layout.x, line.x[i]) && canShow(y, line.y[i]));
    if (drawn.x.length == 0) {
      return this;
    }
    List<Line> more = new ArrayList<>(lines);
    more.add(drawn);
    return new Chart(title, xTitle, yTitle, rightTitle, layout, more);
  }

  public boolean isEmpty() {
    return lines.isEmpty();
  }

  /** Draws it. @throws dev.performer.PerformerException if the library for charts is missing */
  public byte[] png() {
    return png(List.of(this));
  }

  /** Draws charts side by side. */
  public static byte[] png(List<Chart> charts) {
    OptionalLibrary.CHARTS.require("a chart");
    return Png.of(charts);
  }

  private static boolean canShow(Scale scale, double value) {
    return Double.isFinite(value) && (scale == Scale.LINEAR || value > 0);
  }

  /**
   * Points and how they are drawn.
   *
   * @param name in the legend, one of its kind in a chart
   * @param colour a number; equal numbers are equal colours. Null for a colour of its own
   * @param dash NONE draws the points alone
   * @param right whether its y axis is the right one
   */
  public record Line(
      String name,
      double[] x,
      double[] y,
      Integer colour,
      Dash dash,
      Marker marker,
      boolean right) {
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
}
