package dev.performer.chart;

import static dev.performer.PerformerException.require;

import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.AffineTransform;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A matrix as a picture: white is 0, and the darkest blue its largest magnitude, on a scale of
 * square roots, so that small numbers are seen; numbers below 0 are orange.
 *
 * @param values {@code [rows, columns]}, finite
 * @param rows names of rows, as {@code columns}
 */
public record HeatMap(String title, float[] values, List<String> rows, List<String> columns) {
  /** Rows and columns that a picture can show. */
  public static final int MOST = 512;

  private static final int MOST_PIXELS = 1 << 26;
  private static final int SIDE = 240; // pixels of a map at least
  private static final int MOST_LABELS = 40;
  private static final int LETTER = 7;
  private static final int LINE = 12;
  private static final int LONGEST_LABEL = 12;
  private static final int TITLE = 22;
  private static final int GAP = 14;
  private static final int[] DARK = {8, 48, 107};
  private static final int[] NEGATIVE = {166, 54, 3};

  /** Draws maps of one size, row by row. @throws dev.performer.PerformerException if too large */
  public static byte[] png(List<List<HeatMap>> grid) {
    HeatMap first = grid.get(0).get(0);
    int rows = first.rows.size();
    int columns = first.columns.size();
    String large = "a picture shows maps of at most %d rows and columns, not %d by %d";
    require(Math.max(rows, columns) <= MOST, large, MOST, rows, columns);
    boolean isNamed = Math.max(rows, columns) <= MOST_LABELS;
    int cell = Math.max(isNamed ? LINE : 1, SIDE / Math.max(rows, columns));
    int margin = isNamed ? LETTER * longest(grid) + GAP : GAP;
    int across = grid.stream().mapToInt(List::size).max().orElseThrow();
    int width = across * (columns * cell + margin) + GAP;
    int height = grid.size() * (rows * cell + margin + TITLE) + GAP;
    String many = "a picture of %d by %d maps would have %d by %d pixels; choose fewer of them";
    boolean fits = (long) width * height <= MOST_PIXELS;
    require(fits, many, grid.size(), across, width, height);
    BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    Graphics2D brush = image.createGraphics();
    brush.setColor(Color.WHITE);
    brush.fillRect(0, 0, width, height);
    brush.setRenderingHint(
        RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
    brush.setFont(new Font(Font.MONOSPACED, Font.PLAIN, 11));
    for (int i = 0; i < grid.size(); i++) {
      for (int j = 0; j < grid.get(i).size(); j++) {
        int left = j * (columns * cell + margin) + margin;
        int top = i * (rows * cell + margin + TITLE) + TITLE;
        grid.get(i).get(j).draw(image, brush, left, top, cell, isNamed);
      }
    }
    brush.dispose();
    return Png.encoded(image);
  }

  private static int longest(List<List<HeatMap>> grid) {
    var names = grid.stream().flatMap(List::stream).flatMap(map -> map.columns.stream());
    return names.mapToInt(name -> shortened(name).length()).max().orElse(0);
  }

  private static String shortened(String name) {
    return name.length() <= LONGEST_LABEL ? name : name.substring(0, LONGEST_LABEL - 1) + "…";
  }

  private void draw(
      BufferedImage image, Graphics2D brush, int left, int top, int cell, boolean isNamed) {
    float most = 0;
    for (float value : values) {
      most = Math.max(most, Math.abs(value));
    }
    int across = columns.size();
    for (int i = 0; i < values.length; i++) {
      brush.setColor(colour(most == 0 ? 0 : values[i] / most));
      brush.fillRect(left + i % across * cell, top + i / across * cell, cell, cell);
    }
    brush.setColor(Color.DARK_GRAY);
    brush.drawRect(left - 1, top - 1, across * cell + 1, rows.size() * cell + 1);
    brush.drawString("%s, to %.2f".formatted(title, most), left, top - GAP / 2);
    if (!isNamed) {
      return;
    }
    int middle = cell / 2 + 4;
    for (int r = 0; r < rows.size(); r++) {
      String name = shortened(rows.get(r));
      brush.drawString(name, left - 4 - LETTER * name.length(), top + r * cell + middle);
    }
    AffineTransform upright = brush.getTransform();
    for (int c = 0; c < across; c++) {
      String name = shortened(columns.get(c));
      brush.translate(
          left + c * cell + middle, top + rows.size() * cell + 4 + LETTER * name.length());
      brush.rotate(-Math.PI / 2);
      brush.drawString(name, 0, 0);
      brush.setTransform(upright);
    }
  }

  private static Color colour(double share) {
    int[] end = share < 0 ? NEGATIVE : DARK;
    double depth = Math.sqrt(Math.abs(share));
    int[] mixed = IntStream.of(end).map(c -> (int) Math.round(255 - depth * (255 - c))).toArray();
    return new Color(mixed[0], mixed[1], mixed[2]);
  }
}
