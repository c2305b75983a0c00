package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;

/**
 * Images held in memory, each a sequence of levels: row by row, from the left, all channels of a
 * pixel together.
 *
 * @param levels of a token; ids are below
 * @param labels the class of each image, or null
 */
public record PixelExamples(
    String name, int height, int width, int channels, int levels, byte[] pixels, int[] labels)
    implements IndexedExamples {
  private static final ByteTokenizer BYTES = new ByteTokenizer(0);

  /**
   * An {@code .npz} with {@code images}, {@code [N, H, W]} or {@code [N, H, W, C]}, whole numbers
   * from 0 to 255 or floats from 0 to 1, and perhaps {@code labels}, {@code [N]}, whole numbers
   * from 0. Where it has a scalar {@code levels}, images are whole numbers below that, as they are.
   *
   * @param levels to which brightness is rounded down; ignored where the file gives their number
   * @throws PerformerException if the arrays are missing or of other shapes, types or values
   */
  public static PixelExamples npz(Path file, int levels) {
    Map<String, NpyArray> arrays = Npz.read(file);
    NpyArray images = arrays.get("images");
    String names = Excerpt.names(arrays.keySet());
    require(images != null, "%s has no array 'images'; it has [%s]", file, names);
    long[] shape = images.shape();
    require(
        (shape.length == 3 || shape.length == 4) && images.size() > 0,
        "%s: images has shape %s; expected [N, H, W] or [N, H, W, C]",
        file,
        Arrays.toString(shape));
    NpyArray ownLevels = arrays.get("levels");
    int own = 256;
    if (ownLevels != null) {
      own = ownLevels.size() == 1 ? ownLevels.ints()[0] : 0;
      require(own > 1 && own <= 256, "%s: levels must be one number from 2 to 256", file);
    }
    int target = ownLevels == null ? levels : own;
    return new PixelExamples(
        file.toString(),
        (int) shape[1],
        (int) shape[2],
        shape.length == 4 ? (int) shape[3] : 1,
        target,
        pixels(images, ownLevels == null, own, target, file),
        labels(arrays.get("labels"), (int) shape[0], file));
  }

  /**
   * Files in the format of MNIST, gzipped or not: images of unsigned bytes, {@code [N, H, W]}, and
   * perhaps their labels, {@code [N]}.
   *
   * @param levels to which brightness is rounded down
   * @throws PerformerException if a file is no such file, is cut off, or the two do not go together
   */
  public static PixelExamples idx(Path images, Optional<Path> labels, int levels) {
    IdxFile file = IdxFile.read(images, 3);
    byte[] pixels = file.bytes();
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = (byte) ((pixels[i] & 0xff) * levels >> 8);
    }
    int[] shape = file.shape();
    int[] classes = null;
    if (labels.isPresent()) {
      classes = BYTES.ids(IdxFile.read(labels.get(), 1).bytes());
      int n = classes.length;
      require(
          n == shape[0], "%s has %d labels for %d images of %s", labels.get(), n, shape[0], images);
    }
    return new PixelExamples(images.toString(), shape[1], shape[2], 1, levels, pixels, classes);
  }

  /**
   * Where MNIST's naming has the labels of images: {@code train-images-idx3-ubyte} has {@code
   * train-labels-idx1-ubyte} beside it, gzipped or not. The file need not exist.
   */
  public static Path labelsBeside(Path images) {
    String name = images.getFileName().toString();
    String labels = name.replace("images", "labels").replace("idx3", "idx1");
    Path beside = images.resolveSibling(labels);
    Path other =
        images.resolveSibling(
            labels.endsWith(".gz") ? labels.substring(0, labels.length() - 3) : labels + ".gz");
    return !Files.exists(beside) && Files.exists(other) ? other : beside;
  }

  /** Brightness from 0, the darkest, to {@code levels - 1}, then begin and padding. */
  public static Vocabulary vocabulary(int levels) {
    return Vocabulary.of(Vocabulary.numbered("", " ", levels), "<bos>", "<pad>");
  }

  @Override
  public long size() {
    return pixels.length / imageSize();
  }

  @Override
  public Example get(long index) {
    int start = Math.toIntExact(index * imageSize());
    int[] tokens = BYTES.ids(Arrays.copyOfRange(pixels, start, start + imageSize()));
    return new Example(
        tokens, labels == null ? Label.NONE : new Label.Category(labels[(int) index]));
  }

  /** Tokens of an image: height × width × channels. */
  public int imageSize() {
    return height * width * channels;
  }

  /** The number of classes: one more than the largest label; 0 where there are no labels. */
  public int classes() {
    return labels == null ? 0 : Arrays.stream(labels).max().orElse(-1) + 1;
  }

  /** From levels of their own, whole numbers or shares of the brightest, to others. */
  private static byte[] pixels(
      NpyArray images, boolean mayBeShares, int own, int levels, Path file) {
    NpyType type = images.type();
    boolean isShare = type == NpyType.FLOAT32 || type == NpyType.FLOAT64;
    require(
        !isShare || mayBeShares,
        "%s: images are %s; with an array 'levels' expected whole numbers",
        file,
        type.label());
    double[] values = images.doubles();
    byte[] pixels = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      double value = values[i];
      if (!(value >= 0 && value <= (isShare ? 1 : own - 1))) {
        throw new PerformerException(
            "%s: image %d has the value %s; expected %s"
                .formatted(
                    file,
                    i / (values.length / images.shape()[0]),
                    isShare ? value + "" : (long) value + "",
                    isShare ? "0..1 (or use uint8 from 0 to 255)" : "0.." + (own - 1)));
      }
      pixels[i] = (byte) ((isShare ? Math.round(value * 255) : (long) value) * levels / own);
    }
    return pixels;
  }

  private static int[] labels(NpyArray array, int images, Path file) {
    if (array == null) {
      return null;
    }
    int[] labels = array.ints();
    require(
        array.shape().length == 1 && labels.length == images,
        "%s: labels has shape %s; expected [%d]",
        file,
        Arrays.toString(array.shape()),
        images);
    int least = Arrays.stream(labels).min().orElse(0);
    require(least >= 0, "%s: label %d; expected whole numbers from 0", file, least);
    return labels;
  }
}
