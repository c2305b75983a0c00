package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.IndexColorModel;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.MemoryCacheImageInputStream;

/**
 * PNG images of a folder as sequences of levels: row by row, from the left, all channels of a pixel
 * together. Where the folder has folders, their names are the classes. Read on demand.
 *
 * @param channels 1 for brightness, 3 for red, green and blue; transparency is left out
 */
public record ImageFolder(
    String name, List<Path> files, List<String> classes, int channels, int levels)
    implements IndexedExamples {
  private static final int MOST_PIXELS = 1 << 24;

  /** Lists a folder. @param known names of all classes; null for those of this folder */
  public static ImageFolder open(Path folder, int channels, int levels, List<String> known) {
    require(Files.isDirectory(folder), "%s is no folder; expected one with PNG images", folder);
    List<Path> files = DataFile.list(folder, 2, f -> f.toString().matches("(?i).*\\.png"));
    long direct = files.stream().filter(file -> folder.equals(file.getParent())).count();
    require(!files.isEmpty(), "%s holds no file ending in .png", folder);
    boolean isOne = direct == 0 || direct == files.size();
    require(isOne, "%s holds images and folders of images; expected one or the other", folder);
    if (direct > 0) {
      return new ImageFolder(folder.toString(), files, List.of(), channels, levels);
    }
    List<String> own = files.stream().map(ImageFolder::folderName).distinct().sorted().toList();
    List<String> classes = known == null ? own : List.copyOf(known);
    String names = Excerpt.names(classes);
    for (String name : own) {
      String unknown = "%s is none of the %d known classes [%s]";
      require(classes.contains(name), unknown, folder.resolve(name), classes.size(), names);
    }
    return new ImageFolder(folder.toString(), files, classes, channels, levels);
  }

  @Override
  public long size() {
    return files.size();
  }

  @Override
  public Example get(long index) {
    Path file = files.get(Math.toIntExact(index));
    BufferedImage image = read(file, reader -> reader.read(0));
    int[] tokens = new int[image.getWidth() * image.getHeight() * channels];
    int at = 0;
    for (int y = 0; y < image.getHeight(); y++) {
      for (int rgb : row(image, y)) {
        int red = rgb >> 16 & 0xff;
        int green = rgb >> 8 & 0xff;
        int blue = rgb & 0xff;
        int luma = (299 * red + 587 * green + 114 * blue + 500) / 1000; // Rec. 601 leaves grey
        tokens[at++] = (channels == 3 ? red : luma) * levels >> 8;
        if (channels == 3) {
          tokens[at++] = green * levels >> 8;
          tokens[at++] = blue * levels >> 8;
        }
      }
    }
    int category = category(index);
    return new Example(tokens, classes.isEmpty() ? Label.NONE : new Label.Category(category));
  }

  /** The class of an image, −1 where the folder has none. */
  int category(long index) {
    return classes.indexOf(folderName(files.get(Math.toIntExact(index))));
  }

  /** Height and width of an image in pixels. */
  int[] shape(long index) {
    return read(
        files.get(Math.toIntExact(index)), in -> new int[] {in.getHeight(0), in.getWidth(0)});
  }

  private interface Reading<T> {
    T of(ImageReader image) throws IOException;
  }

  private static <T> T read(Path file, Reading<T> reading) {
    ImageReader reader = null;
    try (InputStream in = DataFile.openPlain(file, "a PNG image");
        ImageInputStream data = new MemoryCacheImageInputStream(in)) {
      Iterator<ImageReader> readers = ImageIO.getImageReaders(data);
      require(readers.hasNext(), "%s is no image; expected PNG", file);
      reader = readers.next();
      reader.setInput(data, true, true);
      long pixels = (long) reader.getWidth(0) * reader.getHeight(0);
      String tooMany = "%s claims %d pixels; at most %d are read";
      require(pixels <= MOST_PIXELS, tooMany, file, pixels, MOST_PIXELS);
      return reading.of(reader);
    } catch (IOException | IllegalArgumentException | IndexOutOfBoundsException e) {
      throw new PerformerException(file + " is a damaged image; expected PNG", e);
    } finally {
      if (reader != null) {
        reader.dispose();
      }
    }
  }

  /** Java converts linear grey to sRGB where colours are read: levels are to stay as stored. */
  private static int[] row(BufferedImage image, int y) {
    int width = image.getWidth();
    ColorModel colours = image.getColorModel();
    if (colours.getNumComponents() != 1 || colours instanceof IndexColorModel) {
      return image.getRGB(0, y, width, 1, null, 0, width);
    }
    int bits = colours.getComponentSize(0);
    int[] row = image.getRaster().getSamples(0, y, width, 1, 0, (int[]) null);
    for (int x = 0; x < width; x++) {
      int level = bits >= 8 ? row[x] >> bits - 8 : row[x] * 255 / ((1 << bits) - 1);
      row[x] = level << 16 | level << 8 | level;
    }
    return row;
  }

  private static String folderName(Path file) {
    return file.getParent().getFileName().toString();
  }
}
