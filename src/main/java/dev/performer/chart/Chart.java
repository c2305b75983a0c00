package dev.performer.chart;

import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.List;

/**
 * Lines over a common x axis, drawn as PNG.
 *
 * <pre>{@code
 * Chart chart = Chart.of("Training", "step", "loss").with(Line.of("training", steps, losses));
 * Files.write(file, chart.png());
 * }</pre>
 *
 * @param title above it
 * @param xTitle below the x axis
 * @param yTitle beside the left axis
 * @param rightTitle beside the right axis; null without lines there
 * @param x what the x axis counts
 * @param y what the left axis counts
 * @param width pixels
 * @param height pixels
 * @param legend where names stand
 * @param lines in the order of the legend
 */
public record Chart(
    String title,
    String xTitle,
    String yTitle,
    String rightTitle,
    Scale x,
    Scale y,
    int width,
    int height,
    Legend legend,
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

  /** A chart without lines, 900 by 500, both axes linear. */
  public static Chart of(String title, String xTitle, String yTitle) {
    return new Chart(
        title,
        xTitle,
        yTitle,
        null,
        Scale.LINEAR,
        Scale.LINEAR,
        900,
        500,
        Legend.BESIDE,
        List.of());
  }

  /** The same of another size. */
  public Chart withSize(int widthPixels, int heightPixels) {
    return new Chart(
        title, xTitle, yTitle, rightTitle, x, y, widthPixels, heightPixels, legend, lines);
  }

  /** The same with other scales. */
  public Chart withScales(Scale xScale, Scale yScale) {
    return new Chart(
        title, xTitle, yTitle, rightTitle, xScale, yScale, width, height, legend, lines);
  }

  /** The same with the legend elsewhere. */
  public Chart withLegend(Legend place) {
    return new Chart(title, xTitle, yTitle, rightTitle, x, y, width, height, place, lines);
  }

  /** The same with a title for the right axis. */
  public Chart withRightTitle(String text) {
    return new Chart(title, xTitle, yTitle, text, x, y, width, height, legend, lines);
  }

  /** The same with a line more; lines without a point that can be drawn are left out. */
  public Chart with(Line line) {
    Line drawn = drawable(line);
    if (drawn.x().length == 0) {
      return this;
    }
    List<Line> more = new ArrayList<>(lines);
    more.add(drawn);
    return new Chart(title, xTitle, yTitle, rightTitle, x, y, width, height, legend, more);
  }

  /** Whether there is nothing to draw. */
  public boolean isEmpty() {
    return lines.isEmpty();
  }

  /**
   * Draws it.
   *
   * @throws PerformerException if the library that draws charts is not on the class path
   */
  public byte[] png() {
    return png(List.of(this));
  }

  /**
   * Draws charts side by side.
   *
   * @throws PerformerException if the library that draws charts is not on the class path
   */
  public static byte[] png(List<Chart> charts) {
    OptionalLibrary.CHARTS.require("a chart");
    return Png.of(charts);
  }

  private Line drawable(Line line) {
    List<Double> xs = new ArrayList<>();
    List<Double> ys = new ArrayList<>();
    for (int i = 0; i < line.x().length; i++) {
      if (canShow(x, line.x()[i]) && canShow(line.right() ? Scale.LINEAR : y, line.y()[i])) {
        xs.add(line.x()[i]);
        ys.add(line.y()[i]);
      }
    }
    Line points = Line.of(line.name(), xs, ys);
    return new Line(
        points.name(),
        points.x(),
        points.y(),
        line.colour(),
        line.dash(),
        line.marker(),
        line.right());
  }

  private static boolean canShow(Scale scale, double value) {
    return Double.isFinite(value) && (scale == Scale.LINEAR || value > 0);
  }
}
