package dev.performer.chart;

import dev.performer.chart.Chart.Layout;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.Styler.YAxisPosition;
import org.knowm.xchart.style.XYStyler;
import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * Charts drawn by XChart, which is loaded with this class only.
 *
 * <p>XChart's logarithmic axes have labels at powers of ten alone, often one of them. So points are
 * drawn by their logarithm on linear axes, whose ticks are whole numbers: exponents of the labels.
 */
final class Png {
  // Told apart with any colour vision, on paper too.
  private static final Color[] COLOURS = {
    new Color(0x0072B2), new Color(0xD55E00), new Color(0x009E73), new Color(0xCC79A7),
    new Color(0xE69F00), new Color(0x56B4E9), new Color(0x555555), new Color(0x8C564B)
  };

  // By the constants of Line.
  private static final float[][] DASHES = {null, {9, 5}, {2, 4}, null};
  private static final Marker[] MARKERS = {
    SeriesMarkers.NONE, SeriesMarkers.CIRCLE, SeriesMarkers.DIAMOND, SeriesMarkers.CROSS
  };
  private static final int MOST_TICKS = 12;

  /** Of a side of the chart that the axis covers, as XChart has it by default. */
  private static final double COVERED = 0.92;

  private static final int AROUND = 170;
  private static final int LEGEND_LINE = 44;
  private static final String NUMBERS = "0.######";

  private Png() {}

  /** Beside each other, each as wide as it is. */
  static byte[] of(List<Chart> charts) {
    List<BufferedImage> drawn =
        charts.stream().map(Png::draw).map(BitmapEncoder::getBufferedImage).toList();
    int width = drawn.stream().mapToInt(BufferedImage::getWidth).sum();
    int height = drawn.stream().mapToInt(BufferedImage::getHeight).max().orElseThrow();
    BufferedImage all = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    Graphics2D brush = all.createGraphics();
    brush.setColor(Color.WHITE);
    brush.fillRect(0, 0, width, height);
    int left = 0;
    for (BufferedImage image : drawn) {
      brush.drawImage(image, left, 0, null);
      left += image.getWidth();
    }
    brush.dispose();
    return encoded(all);
  }

  /** The file of a picture. */
  static byte[] encoded(BufferedImage image) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try {
      ImageIO.write(image, "png", out);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // into memory
    }
    return out.toByteArray();
  }

  private static XYChart draw(Chart chart) {
    Layout layout = chart.layout();
    XYChart drawn = new XYChart(layout.width(), layout.height());
    drawn.setTitle(chart.title());
    drawn.setXAxisTitle(chart.xTitle());
    drawn.setYAxisTitle(chart.yTitle());
    XYStyler style = drawn.getStyler();
    style.setLegendPosition(
        switch (layout.legend()) {
          case INSIDE -> LegendPosition.InsideNW;
          case BESIDE -> LegendPosition.OutsideE;
          case BELOW -> LegendPosition.OutsideS;
        });
    style.setYAxisGroupPosition(0, YAxisPosition.Left);
    style.setChartBackgroundColor(Color.WHITE);
    style.setLegendSeriesLineLength(LEGEND_LINE); // so that dashes are seen
    style.setXAxisDecimalPattern(NUMBERS).setYAxisDecimalPattern(NUMBERS);
    if (chart.rightTitle() != null) {
      drawn.setYAxisGroupTitle(1, chart.rightTitle());
      style.setYAxisGroupPosition(1, YAxisPosition.Right);
    }
    int own = 0;
    for (Line line : chart.lines()) {
      double[] y = scaled(line.right() ? Scale.LINEAR : layout.y(), line.y());
      XYSeries series = drawn.addSeries(line.name(), scaled(layout.x(), line.x()), y);
      int colour = line.colour() == null ? own++ : line.colour();
      show(series, line, COLOURS[Math.floorMod(colour, COLOURS.length)]);
    }
    Ticks x = ticks(layout.x(), chart.lines().stream().map(Line::x));
    if (x != null) {
      drawn.setCustomXAxisTickLabelsFormatter(x.labels());
      style.setXAxisMin(x.first()).setXAxisMax(x.last());
      style.setXAxisTickMarkSpacingHint(x.pixels(layout.width()));
    }
    var left = chart.lines().stream().filter(line -> !line.right());
    Ticks y = ticks(layout.y(), left.map(Line::y));
    if (y != null) {
      drawn.setCustomYAxisTickLabelsFormatter(y.labels());
      style.setYAxisMin(0, y.first()).setYAxisMax(0, y.last());
      style.setYAxisTickMarkSpacingHint(y.pixels(layout.height()));
    }
    return drawn;
  }

  private static void show(XYSeries series, Line line, Color colour) {
    series.setMarkerColor(colour).setMarker(MARKERS[line.marker().ordinal()]).setLineColor(colour);
    series.setYAxisGroup(line.right() ? 1 : 0);
    if (line.dash() == Line.Dash.NONE) {
      series.setXYSeriesRenderStyle(XYSeries.XYSeriesRenderStyle.Scatter);
    }
    float[] dash = DASHES[line.dash().ordinal()];
    series.setLineStyle(
        new BasicStroke(2, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 10, dash, 0));
  }

  private static double[] scaled(Scale scale, double[] values) {
    double unit = Math.log(base(scale));
    return scale == Scale.LINEAR
        ? values
        : Arrays.stream(values).map(value -> Math.log(value) / unit).toArray();
  }

  private static int base(Scale scale) {
    return scale == Scale.POWERS_OF_TWO ? 2 : 10;
  }

  /** Whole exponents from the first to the last, and what stands at them. */
  private record Ticks(double first, double last, Function<Double, String> labels) {
    /** Between two exponents, or several where they are many: XChart rounds its steps up to it. */
    int pixels(int side) {
      double axis = COVERED * (side - AROUND);
      double step = Math.ceil((last - first) / MOST_TICKS);
      return Math.max(1, (int) (0.9 * axis * step / (last - first)));
    }
  }

  private static Ticks ticks(Scale scale, Stream<double[]> values) {
    var exponents = values.flatMapToDouble(v -> Arrays.stream(scaled(scale, v)));
    var range = exponents.summaryStatistics();
    if (scale == Scale.LINEAR || range.getCount() == 0) {
      return null;
    }
    double first = Math.floor(range.getMin() + 1e-9);
    double last = Math.ceil(range.getMax() - 1e-9);
    return new Ticks(first, Math.max(last, first + 1), exponent -> label(base(scale), exponent));
  }

  /** A power in full, such as 0.01 or 4096; nothing between powers. */
  private static String label(int base, double exponent) {
    long whole = Math.round(exponent);
    if (Math.abs(exponent - whole) > 1e-6) {
      return " ";
    }
    if (Math.abs(whole) > (base == 2 ? 20 : 5)) {
      return base == 2 ? "2^" + whole : "1e" + whole;
    }
    return BigDecimal.valueOf(Math.pow(base, whole)).stripTrailingZeros().toPlainString();
  }
}
