package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import javax.imageio.ImageIO;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PixelsTest {
  @TempDir private Path folder;

  @Test
  void npzOfBytesAndOfFractionsAndWithLevels() {
    byte[] grey = {0, 127, (byte) 128, (byte) 255, 16, 15};
    PixelExamples bytes =
        npz(256, Map.of("images", new NpyArray(NpyType.UINT8, new long[] {1, 2, 3}, grey)));
    assertThat(bytes.get(0).tokens()).containsExactly(0, 127, 128, 255, 16, 15);
    assertThat(bytes.get(0).label()).isEqualTo(Label.NONE);
    PixelExamples fewer =
        npz(16, Map.of("images", new NpyArray(NpyType.UINT8, new long[] {1, 2, 3}, grey)));
    assertThat(fewer.get(0).tokens()).containsExactly(0, 7, 8, 15, 1, 0);

    PixelExamples fractions =
        npz(
            4,
            Map.of(
                "images", NpyArray.of(new float[] {0, 0.24f, 0.26f, 1, 0.5f, 0.75f}, 3, 1, 1, 2),
                "labels", NpyArray.of(new int[] {4, 0, 2}, 3)));
    assertThat(fractions.size()).isEqualTo(3);
    assertThat(fractions.channels()).isEqualTo(2);
    assertThat(fractions.classes()).isEqualTo(5);
    assertThat(fractions.get(0).tokens()).containsExactly(0, 0);
    assertThat(fractions.get(1).tokens()).containsExactly(1, 3);
    assertThat(fractions.get(2).tokens()).containsExactly(2, 2);
    assertThat(fractions.get(2).label()).isEqualTo(new Label.Category(2));

    PixelExamples own =
        npz(
            256,
            Map.of(
                "images", NpyArray.of(new int[] {0, 16, 8, 1}, 1, 2, 2),
                "levels", NpyArray.of(new int[] {17})));
    assertThat(own.levels()).isEqualTo(17);
    assertThat(own.get(0).tokens()).containsExactly(0, 16, 8, 1);
    assertThat(PixelExamples.vocabulary(17).size()).isEqualTo(19);
  }

  @Test
  void npzThatWillNotDo() {
    NpyArray images = NpyArray.of(new int[] {0, 300}, 1, 1, 2);
    assertFails(() -> npz(9, Map.of("x", images)), "has no array 'images'; it has [x]");
    assertFails(
        () -> npz(9, Map.of("images", images)), ": image 0 has the value 300; expected 0..255");
    assertFails(
        () -> npz(9, Map.of("images", NpyArray.of(new int[] {0, -1}, 2, 1, 1))),
        ": image 1 has the value -1");
    assertFails(
        () -> npz(9, Map.of("images", NpyArray.of(new float[] {Float.NaN}, 1, 1, 1))),
        "image 0 has the value NaN");
    assertFails(
        () -> npz(9, Map.of("images", NpyArray.of(new float[4], 2, 2))),
        "images has shape [2, 2]; expected [N, H, W]");
    assertFails(
        () -> npz(9, Map.of("images", NpyArray.of(new float[0], 0, 2, 2))),
        "images has shape [0, 2, 2]");
    NpyArray two = NpyArray.of(new int[2], 2, 1, 1);
    assertFails(
        () -> npz(9, Map.of("images", two, "labels", NpyArray.of(new int[3], 3))),
        "labels has shape [3]; expected [2]");
    assertFails(
        () -> npz(9, Map.of("images", two, "labels", NpyArray.of(new int[] {0, -2}, 2))),
        "label -2; expected whole numbers from 0");
    assertFails(
        () -> npz(9, Map.of("images", two, "levels", NpyArray.of(new int[] {1}))),
        "levels must be one number from 2 to 256");
  }

  @Test
  void idxPlainAndGzippedWithLabels() throws IOException {
    byte[] images = idx(3, new int[] {2, 2, 2}, 0, 255, 128, 64, 1, 2, 3, 4);
    byte[] labels = idx(1, new int[] {2}, 7, 1);
    for (boolean packed : new boolean[] {false, true}) {
      Path i = Files.write(folder.resolve("i"), packed ? ReadersTest.gzip(images) : images);
      Path l = Files.write(folder.resolve("l"), packed ? ReadersTest.gzip(labels) : labels);
      PixelExamples pixels = PixelExamples.idx(i, Optional.of(l), 4);
      assertThat(pixels.get(0).tokens()).containsExactly(0, 3, 2, 1);
      assertThat(pixels.get(0).label()).isEqualTo(new Label.Category(7));
      assertThat(pixels.get(1).tokens()).containsExactly(0, 0, 0, 0);
      assertThat(pixels.height() * 100 + pixels.width()).isEqualTo(202);
    }
    Path i = Files.write(folder.resolve("i"), images);
    for (int length = 0; length < images.length; length++) {
      Path cut = Files.write(folder.resolve("cut"), Arrays.copyOf(images, length));
      assertFails(
          () -> PixelExamples.idx(cut, Optional.empty(), 4),
          length < 4
              ? cut + " is no IDX file"
              : length < 16
                  ? "ends inside its header"
                  : ", record " + (length - 16) / 4 + ": the file ends after");
    }
    assertFails(
        () -> PixelExamples.idx(i, Optional.of(i), 4),
        "holds 3 dimensions of type 0x08; expected 1");
    Path other = Files.write(folder.resolve("o"), idx(1, new int[] {3}, 1, 2, 3));
    assertFails(() -> PixelExamples.idx(i, Optional.of(other), 4), "has 3 labels for 2 images");
    Path claim = Files.write(folder.resolve("c"), idx(3, new int[] {1 << 30, 1 << 30, 4}));
    assertFails(
        () -> PixelExamples.idx(claim, Optional.empty(), 4), "claims the shape [1073741824, ");
    Path near = Files.write(folder.resolve("n"), idx(3, new int[] {1 << 28, 2, 2}, 1, 2));
    assertFails(
        () -> PixelExamples.idx(near, Optional.empty(), 4),
        "record 0: the file ends after 2 of 1073741824");
    Path more = Files.write(folder.resolve("m"), Arrays.copyOf(images, images.length + 1));
    assertFails(() -> PixelExamples.idx(more, Optional.empty(), 4), "goes on after the 8 values");
    assertFails(
        () -> PixelExamples.idx(folder.resolve("absent"), Optional.empty(), 4), "does not exist");
  }

  @Test
  void pngLevelsAreAsStored() throws IOException {
    BufferedImage grey = new BufferedImage(256, 1, BufferedImage.TYPE_BYTE_GRAY);
    for (int x = 0; x < 256; x++) {
      grey.getRaster().setSample(x, 0, 0, x);
    }
    save(grey, "grey.png");
    int[] tokens = ImageFolder.open(folder, 1, 256, null).get(0).tokens();
    for (int x = 0; x < 256; x++) {
      assertThat(tokens[x]).isEqualTo(x);
    }
    assertThat(ImageFolder.open(folder, 3, 256, null).get(0).tokens()[3 * 200 + 1]).isEqualTo(200);
    Files.delete(folder.resolve("grey.png"));

    BufferedImage colour = new BufferedImage(2, 1, BufferedImage.TYPE_INT_ARGB);
    colour.setRGB(0, 0, 0xff102030);
    colour.setRGB(1, 0, 0xffff8000);
    save(colour, "b/colour.png");
    save(colour, "a/colour.PNG");
    save(colour, "b/other.png");
    ImageFolder images = ImageFolder.open(folder, 3, 256, null);
    assertThat(images.classes()).containsExactly("a", "b");
    assertThat(images.size()).isEqualTo(3);
    assertThat(images.get(0).tokens()).containsExactly(0x10, 0x20, 0x30, 0xff, 0x80, 0);
    assertThat(images.get(0).label()).isEqualTo(new Label.Category(0));
    assertThat(images.get(2).label()).isEqualTo(new Label.Category(1));
    save(colour, "loose.png");
    assertFails(() -> ImageFolder.open(folder, 3, 256, null), "holds images and folders of images");
  }

  @Test
  void damagedImagesAreNamed() throws IOException {
    assertFails(() -> ImageFolder.open(folder, 1, 4, null), "holds no file ending in .png");
    assertFails(() -> ImageFolder.open(folder.resolve("absent"), 1, 4, null), "is no folder");
    BufferedImage image = new BufferedImage(30, 30, BufferedImage.TYPE_INT_RGB);
    for (int i = 0; i < 900; i++) {
      image.setRGB(i % 30, i / 30, i * 7919);
    }
    save(image, "x.png");
    Path file = folder.resolve("x.png");
    byte[] whole = Files.readAllBytes(file);
    for (int length = 0; length < whole.length - 20; length += 13) {
      Files.write(file, Arrays.copyOf(whole, length));
      assertFails(() -> ImageFolder.open(folder, 1, 4, null).get(0), file.toString());
    }
    byte[] bomb = whole.clone();
    ByteBuffer.wrap(bomb).putInt(16, 60_000).putInt(20, 60_000);
    Files.write(file, bomb);
    assertFails(
        () -> ImageFolder.open(folder, 1, 4, null).get(0),
        "claims 3600000000 pixels; at most 16777216");
  }

  private void save(BufferedImage image, String name) throws IOException {
    Path file = folder.resolve(name);
    Files.createDirectories(file.getParent());
    ImageIO.write(image, "png", file.toFile());
  }

  private PixelExamples npz(int levels, Map<String, NpyArray> arrays) {
    Path file = folder.resolve("x.npz");
    Npz.write(file, new LinkedHashMap<>(arrays));
    return PixelExamples.npz(file, levels);
  }

  private static byte[] idx(int dimensions, int[] shape, int... values) {
    ByteBuffer file = ByteBuffer.allocate(4 + 4 * shape.length + values.length);
    file.put(new byte[] {0, 0, 8, (byte) dimensions});
    for (int size : shape) {
      file.putInt(size);
    }
    for (int value : values) {
      file.put((byte) value);
    }
    return file.array();
  }

  private static void assertFails(ThrowingCallable call, String message) {
    assertThatThrownBy(call)
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}
