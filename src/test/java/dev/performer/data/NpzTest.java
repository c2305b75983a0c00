package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NpzTest {
  @TempDir Path folder;

  @Test
  void readsBackWhatItWrote() {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    arrays.put("q", NpyArray.of(new float[] {1, -2, 3.5f, Float.NaN, 5, 6}, 2, 3));
    arrays.put("in0/tokens", NpyArray.of(new int[] {1, 2}, 2, 1));
    arrays.put("scalar", NpyArray.of(new double[] {Math.PI}));
    arrays.put("empty", NpyArray.of(new float[0], 0, 7));
    Path file = folder.resolve("a.npz");
    Npz.write(file, arrays);
    assertThat(Npz.read(file)).isEqualTo(arrays);
    assertThat(folder.toFile().list()).containsExactly("a.npz");
  }

  @ParameterizedTest
  @CsvSource({
    "<f4, False, '(2,)', 8",
    "<i8, False, '()', 8",
    "|b1, False, '(3,)', 3",
    "<f8, False, '(1, 2)', 16",
    "|u1, False, '(0,)', 0"
  })
  void readsHeadersAsNumpyWritesThem(String descr, String fortran, String shape, int bytes)
      throws IOException {
    Path file = npy(header(descr, fortran, shape), new byte[bytes]);
    assertThat(Npz.read(file).get("x").bytes()).hasSize(bytes);
  }

  @Test
  void bigEndianAndColumnMajorBecomeOurOrder() throws IOException {
    // [[1, 2, 3], [4, 5, 6]] as big-endian int16 in column-major order.
    byte[] columns = {0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6};
    Path file = npy(header(">i2", "True", "(2, 3)"), columns);
    assertThat(Npz.read(file).get("x").ints()).containsExactly(1, 2, 3, 4, 5, 6);
  }

  @Test
  void textAndObjectsAreSkipped() throws IOException {
    assertThat(Npz.read(npy(header("|O", "False", "(1,)"), new byte[4]))).isEmpty();
    assertThat(Npz.read(npy(header("<U3", "False", "(1,)"), new byte[12]))).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "<f4; (3,); 8; truncated",
        "<f4; (1,); 8; more bytes",
        "<f4; (1000000000000,); 8; more than the 2 GiB",
        "<f4; (9223372036854775807, 9); 8; impossible shape",
        "<f4; (-1,); 8; impossible shape",
        "<f4; (zz,); 8; impossible shape",
        "<f4; (null, 3); 8; dimension 'null' is no whole number",
        "<f4; null; 8; has no readable 'shape'",
        "<c8; (1,); 8; not supported",
        "<f4; (400000000,); 8; truncated"
      })
  void brokenArraysEndInOneLine(String descr, String shape, int bytes, String expected)
      throws IOException {
    Path file = npy(header(descr, "False", shape), new byte[bytes]);
    assertThatThrownBy(() -> Npz.read(file))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(expected)
        .hasMessageContaining("x.npz, array 'x'");
  }

  @Test
  void missingFileAndNoZip() throws IOException {
    assertThatThrownBy(() -> Npz.read(folder.resolve("none.npz")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no such file");
    Path text = Files.writeString(folder.resolve("t.npz"), "not a zip");
    assertThatThrownBy(() -> Npz.read(text))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("not an .npz");
  }

  @Test
  void mutatedFilesAreReadOrRefused() throws IOException {
    Path good = folder.resolve("good.npz");
    Npz.write(good, Map.of("x", NpyArray.of(new float[] {1, 2, 3, 4}, 2, 2)));
    byte[] bytes = Files.readAllBytes(good);
    Random random = new Random(1);
    for (int i = 0; i < 2000; i++) {
      byte[] mutant = bytes.clone();
      for (int n = random.nextInt(4); n >= 0; n--) {
        mutant[random.nextInt(mutant.length)] = (byte) random.nextInt();
      }
      Path file = Files.write(folder.resolve("mutant.npz"), mutant);
      try {
        Npz.read(file);
      } catch (PerformerException e) {
        assertThat(e.getMessage()).contains("mutant.npz");
      }
    }
  }

  @Test
  void anUnwritableTargetIsOneLine() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    assertThatThrownBy(() -> Npz.write(file.resolve("x.npz"), Map.of()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("cannot be written");
  }

  private static String header(String descr, String fortran, String shape) {
    return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  }

  private Path npy(String header, byte[] data) throws IOException {
    Path file = folder.resolve("x.npz");
    try (OutputStream out = Files.newOutputStream(file);
        ZipOutputStream zip = new ZipOutputStream(out)) {
      zip.putNextEntry(new ZipEntry("x.npy"));
      byte[] text = (header + "\n").getBytes(StandardCharsets.US_ASCII);
      zip.write(
          new byte[] {
            (byte) 0x93,
            'N',
            'U',
            'M',
            'P',
            'Y',
            1,
            0,
            (byte) text.length,
            (byte) (text.length >> 8)
          });
      zip.write(text);
      zip.write(data);
      zip.closeEntry();
    }
    return file;
  }
}
