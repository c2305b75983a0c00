package dev.performer.chart;

import dev.performer.OptionalLibrary;
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
 * @param rightTitle beside the right axis; null without lines there
 * @param width pixels, as the height
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
    Scale scale = Scale.LINEAR;
    return new Chart(title, xTitle, yTitle, null, scale, scale, 900, 500, Legend.BESIDE, List.of());
  }

  public Chart withSize(int w, int h) {
    return new Chart(title, xTitle, yTitle, rightTitle, x, y, w, h, legend, lines);
  }

  public Chart withScales(Scale ofX, Scale ofY) {
    return new Chart(title, xTitle, yTitle, rightTitle, ofX, ofY, width, height, legend, lines);
  }

  public Chart withLegend(Legend place) {
    return new Chart(title, xTitle, yTitle, rightTitle, x, y, width, height, place, lines);
  }

  public Chart withRightTitle(String text) {
    return new Chart(title, xTitle, yTitle, text, x, y, width, height, legend, lines);
  }

  /** The same with a line more; lines without a point that can be drawn are left out. */
  public Chart with(Line line) {
    Line drawn =
        line.points(
            i -> canShow(x, line.x()[i]) && canShow(line.right() ? Scale.LINEAR : y, line.y()[i]));
    if (drawn.x().length == 0) {
      return this;
    }
    List<Line> more = new ArrayList<>(lines);
    more.add(drawn);
    return new Chart(title, xTitle, yTitle, rightTitle, x, y, width, height, legend, more);
  }

  public boolean isEmpty() {
    return lines.isEmpty();
  }

  /** Draws it. @throws PerformerException if the library for charts is not on the class path */
  public byte[] png() {
    return png(List.of(this));
  }

  /** Draws charts side by side. @throws PerformerException as {@link #png()} does */
  public static byte[] png(List<Chart> charts) {
    OptionalLibrary.CHARTS.require("a chart");
    return Png.of(charts);
  }

  private static boolean canShow(Scale scale, double value) {
    return Double.isFinite(value) && (scale == Scale.LINEAR || value > 0);
  }
}
