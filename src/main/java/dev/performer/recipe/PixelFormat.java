package dev.performer.recipe;

import static dev.performer.PerformerException.require;

import dev.performer.data.ExampleSource;
import dev.performer.data.ImageFolder;
import dev.performer.data.PixelExamples;
import dev.performer.data.TextEncoder;
import dev.performer.data.Vocabulary;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.UnaryOperator;

/**
 * Images of an npz, of MNIST's format, or PNGs in a folder.
 *
 * @param label file with the labels of images in MNIST's format, null for the one beside them; any
 *     word where images bring their own
 * @param levels of brightness; null for 256, or those of the file
 * @param classes names of a folder's classes, in the order of their ids; null for those of {@code
 *     train}, sorted
 * @param channels of PNG images: 1 for brightness, 3 for colours
 */
record PixelFormat(String label, Integer levels, List<String> classes, int channels)
    implements DataFormat {
  private static final int MOST_LEVELS = 256;

  /** Checks ranges. */
  PixelFormat {
    boolean fits = levels == null || levels >= 2 && levels <= MOST_LEVELS;
    require(fits, "data.levels must be from 2 to %d, not %d", MOST_LEVELS, levels);
    require(channels == 1 || channels == 3, "data.channels must be 1 or 3, not %d", channels);
  }

  /**
   * What images are like.
   *
   * @param size tokens of one; 0 where they differ
   */
  record Images(int size, int levels, int classes) {}

  /** Images are tokens already: no encoder is needed. */
  @Override
  public ExampleSource source(RecipeData data, Path file, TextEncoder encoder) {
    if (Files.isDirectory(file)) {
      return ImageFolder.open(file, channels, depth(), classes);
    }
    if (!isIdx(file)) {
      return PixelExamples.npz(file, depth());
    }
    boolean isTraining = file.toString().equals(data.train());
    Path labels =
        label == null ? null : isTraining ? Path.of(label) : PixelExamples.labelsBeside(file);
    return PixelExamples.idx(file, Optional.ofNullable(labels), depth());
  }

  /** How large and how deep the images of training are. */
  Images images(RecipeData data) {
    ExampleSource source = source(data, Path.of(data.train()), null);
    if (source instanceof PixelExamples pixels) {
      return new Images(pixels.imageSize(), pixels.levels(), pixels.classes());
    }
    ImageFolder folder = (ImageFolder) source;
    return new Images(folder.get(0).tokens().length, depth(), folder.classes().size());
  }

  @Override
  public RecipeData measured(RecipeData data) {
    // A run's own recipe has it all, and its images need not be there any more.
    if (levels != null && data.length() != null) {
      return data;
    }
    Images images = images(data);
    int size = images.size() + (data.begin() ? 1 : 0);
    int length = data.length() != null ? data.length() : size;
    return data.with(keys -> keys.put("length", length).put("levels", images.levels()));
  }

  @Override
  public List<String> classNames(RecipeData data) {
    Path file = Path.of(data.train());
    return classes != null || !Files.isDirectory(file)
        ? classes
        : ImageFolder.open(file, channels, depth(), null).classes();
  }

  @Override
  public int classes(RecipeData data) {
    return images(data).classes();
  }

  @Override
  public Vocabulary vocabulary(RecipeData data) {
    return PixelExamples.vocabulary(levels == null ? images(data).levels() : levels);
  }

  private int depth() {
    return levels == null ? MOST_LEVELS : levels;
  }

  /** Whether a file of images is one in MNIST's format. */
  static boolean isIdx(Path file) {
    return !Files.isDirectory(file)
        && !file.getFileName().toString().toLowerCase(Locale.ROOT).endsWith(".npz");
  }

  /**
   * The key {@code label} with everything filled in.
   *
   * @param written the key, or null
   * @param images the file or folder
   */
  static String label(
      String written, boolean isClassified, Path images, UnaryOperator<String> file) {
    boolean isNamed = written != null && !written.equals(RecipeData.LABEL);
    if (!isIdx(images)) {
      require(
          !isNamed,
          "data.label names the labels of images in MNIST's format only; an npz has an array 'labels', and a folder has a folder for each class");
      return written;
    }
    if (!isClassified) {
      return null;
    }
    return isNamed ? file.apply(written) : PixelExamples.labelsBeside(images).toString();
  }
}
