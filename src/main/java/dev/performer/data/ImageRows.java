package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * PNG images of a folder of classes as an array {@code [N, H, W, C]}, read when they are needed,
 * and their classes {@code [N]}.
 *
 * @param array the name of the images
 * @param low what black is, and {@code high} white
 * @param isWhole whether the array holds whole numbers
 */
public record ImageRows(
    ImageFolder folder,
    String array,
    int height,
    int width,
    double low,
    double high,
    boolean isWhole)
    implements ArrayRows {
  /** The array of the classes, where no input can have that name. */
  public static final String CLASS = "class of the folder";

  private static final int LEVELS = 256;

  /**
   * Lists a folder.
   *
   * @param known names of all classes; null for those of this folder
   * @param height of all images, in pixels, and their width; below 0 for those of the first
   */
  public static ImageRows open(
      Path folder,
      String array,
      int channels,
      int height,
      int width,
      double low,
      double high,
      boolean isWhole,
      List<String> known) {
    ImageFolder images = ImageFolder.open(folder, channels, LEVELS, known);
    require(!images.classes().isEmpty(), "%s has no folder for each class", folder);
    int[] first = images.shape(0);
    int h = height < 0 ? first[0] : height;
    int w = width < 0 ? first[1] : width;
    return new ImageRows(images, array, h, w, low, high, isWhole);
  }

  @Override
  public String name() {
    return folder.name();
  }

  @Override
  public int size() {
    return Math.toIntExact(folder.size());
  }

  @Override
  public Set<String> arrays() {
    return Set.of(array, CLASS);
  }

  /** Refuses images of another size, each named. */
  public void check() {
    for (int i = 0; i < size(); i++) {
      int[] shape = folder.shape(i);
      String wrong = "%s has %d × %d pixels, expected %d × %d; scale the images first";
      boolean fits = shape[0] == height && shape[1] == width;
      require(fits, wrong, folder.files().get(i), shape[1], shape[0], width, height);
    }
  }

  @Override
  public NpyArray rows(String wanted, int[] places) {
    if (wanted.equals(CLASS)) {
      int[] ids = new int[places.length];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = folder.category(places[i]);
      }
      return NpyArray.of(ids, ids.length);
    }
    int channels = folder.channels();
    int pixels = height * width * channels;
    float[] values = new float[places.length * pixels];
    for (int i = 0; i < places.length; i++) {
      int[] levels = folder.get(places[i]).tokens();
      for (int j = 0; j < pixels; j++) {
        values[i * pixels + j] = (float) (low + levels[j] * (high - low) / (LEVELS - 1));
      }
    }
    long[] shape = {places.length, height, width, channels};
    if (!isWhole) {
      return NpyArray.of(values, shape);
    }
    int[] rounded = new int[values.length];
    for (int i = 0; i < rounded.length; i++) {
      rounded[i] = Math.round(values[i]);
    }
    return NpyArray.of(rounded, shape);
  }
}
