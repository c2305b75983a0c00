package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;

/**
 * Images held in memory, each a sequence of levels: row by row, from the left, all channels of a
 * pixel together. Where {@code labels} is not null, it is their classes.
 */
public record PixelExamples(
    String name, int height, int width, int channels, int levels, byte[] pixels, int[] labels)
    implements IndexedExamples {
  private static final ByteTokenizer BYTES = new ByteTokenizer(0);

  /**
   * An {@code .npz} with {@code images}, {@code [N, H, W]} or {@code [N, H, W, C]}, whole numbers
   * from 0 to 255 or floats from 0 to 1, rounded down to so many levels, and perhaps {@code
   * labels}, {@code [N]}, whole numbers from 0. With a scalar {@code levels}, images are below
   * that.
   */
  public static PixelExamples npz(Path file, int levels) {
    Map<String, NpyArray> arrays = Npz.read(file);
    NpyArray images = arrays.get("images");
    String names = Excerpt.names(arrays.keySet());
    require(images != null, "%s has no array 'images'; it has [%s]", file, names);
    long[] shape = images.shape();
    boolean fits = (shape.length == 3 || shape.length == 4) && images.size() > 0;
    String unfit = "%s: images has shape %s; expected [N, H, W] or [N, H, W, C]";
    require(fits, unfit, file, Arrays.toString(shape));
    NpyArray given = arrays.get("levels");
    int own = given == null ? 256 : given.size() == 1 ? given.ints()[0] : 0;
    require(own > 1 && own <= 256, "%s: levels must be one number from 2 to 256", file);
    int target = given == null ? levels : own;
    return new PixelExamples(
        file.toString(),
        (int) shape[1],
        (int) shape[2],
        shape.length == 4 ? (int) shape[3] : 1,
        target,
        pixels(images, given == null, own, target, file),
        labels(arrays.get("labels"), (int) shape[0], file));
  }

  /**
   * Files in the format of MNIST, gzipped or not: images of unsigned bytes, {@code [N, H, W]},
   * rounded down to so many levels, and perhaps their labels, {@code [N]}.
   */
  public static PixelExamples idx(Path images, Optional<Path> labels, int levels) {
    Idx file = Idx.read(images, 3);
    byte[] pixels = file.bytes();
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = (byte) ((pixels[i] & 0xff) * levels >> 8);
    }
    int[] shape = file.shape();
    int[] classes = labels.map(beside -> BYTES.ids(Idx.read(beside, 1).bytes())).orElse(null);
    int labelled = classes == null ? shape[0] : classes.length;
    String differ = "%s has %d labels for %d images of %s";
    require(labelled == shape[0], differ, labels.orElse(null), labelled, shape[0], images);
    return new PixelExamples(images.toString(), shape[1], shape[2], 1, levels, pixels, classes);
  }

  /** An array of unsigned bytes, in C order, in the IDX format, MNIST's. */
  private record Idx(int[] shape, byte[] bytes) {
    private static final int UNSIGNED_BYTE = 8;
    private static final int MAX_BYTES = 1 << 30;

    static Idx read(Path file, int dimensions) {
      try (InputStream in = DataFile.open(file, "an IDX file")) {
        byte[] magic = in.readNBytes(4);
        boolean isIdx = magic.length == 4 && magic[0] == 0 && magic[1] == 0;
        require(isIdx, "%s is no IDX file; its first two bytes must be 0", file);
        boolean fits = magic[2] == UNSIGNED_BYTE && magic[3] == dimensions;
        String unfit =
            "%s holds %d dimensions of type 0x%02X; expected %d of unsigned bytes (0x08)";
        require(fits, unfit, file, magic[3] & 0xff, magic[2], dimensions);
        byte[] sizes = in.readNBytes(4 * dimensions);
        boolean isWhole = sizes.length == 4 * dimensions;
        require(isWhole, "%s ends inside its header; it is cut off", file);
        int[] shape = new int[dimensions];
        ByteBuffer.wrap(sizes).asIntBuffer().get(shape);
        String shown = Arrays.toString(shape);
        int expected = 1;
        for (int size : shape) {
          boolean isSound = size >= 1 && size <= MAX_BYTES / expected;
          String claims = "%s claims the shape %s; expected 1 to %d values";
          require(isSound, claims, file, shown, MAX_BYTES);
          expected *= size;
        }
        byte[] bytes = in.readNBytes(expected);
        int images = bytes.length / (expected / shape[0]);
        String cut = "%s, record %d: the file ends after %d of %d values; it is cut off";
        require(bytes.length == expected, cut, file, images, bytes.length, expected);
        String more = "%s goes on after the %d values of its shape %s";
        require(in.read() < 0, more, file, expected, shown);
        return new Idx(shape, bytes);
      } catch (IOException e) {
        throw DataFile.unreadable(file, e);
      }
    }
  }

  /**
   * Where MNIST has the labels of images: {@code train-images-idx3-ubyte} has {@code
   * train-labels-idx1-ubyte} beside it, gzipped or not. The file need not exist.
   */
  public static Path labelsBeside(Path images) {
    String name = images.getFileName().toString();
    String labels = name.replace("images", "labels").replace("idx3", "idx1");
    Path beside = images.resolveSibling(labels);
    String other = labels.endsWith(".gz") ? labels.replaceAll(".gz$", "") : labels + ".gz";
    Path packed = images.resolveSibling(other);
    return !Files.exists(beside) && Files.exists(packed) ? packed : beside;
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
    Label label = labels == null ? Label.NONE : new Label.Category(labels[(int) index]);
    return new Example(tokens, label);
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
    String shares = "%s: images are %s; with an array 'levels' expected whole numbers";
    require(!isShare || mayBeShares, shares, file, type.label());
    double[] values = images.doubles();
    byte[] pixels = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      double value = values[i];
      if (!(value >= 0 && value <= (isShare ? 1 : own - 1))) {
        String shown = isShare ? value + "" : (long) value + "";
        String expected = isShare ? "0..1 (or use uint8 from 0 to 255)" : "0.." + (own - 1);
        long image = i / (values.length / images.shape()[0]);
        String wrong = "%s: image %d has the value %s; expected %s";
        throw new PerformerException(wrong.formatted(file, image, shown, expected));
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
    boolean fits = array.shape().length == 1 && labels.length == images;
    String shape = Arrays.toString(array.shape());
    require(fits, "%s: labels has shape %s; expected [%d]", file, shape, images);
    int least = Arrays.stream(labels).min().orElse(0);
    require(least >= 0, "%s: label %d; expected whole numbers from 0", file, least);
    return labels;
  }
}
