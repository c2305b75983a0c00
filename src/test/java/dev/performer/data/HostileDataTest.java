package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.testing.ErrorMessages;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalInt;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Data that somebody else made, and did not mean well. */
class HostileDataTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "(1,)*100000",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (DIMS), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (x,DIMS), }",
        "{'descr': '<fDIGITS', 'fortran_order': False, 'shape': (1,), }"
      })
  void npzHeadersAreNotQuotedWhole(String header) throws IOException {
    String text =
        header.replace("DIMS", "1,".repeat(100_000)).replace("DIGITS", "7".repeat(100_000));
    Path file = npz("x", text, 0);
    assertThat(ErrorMessages.of(() -> Npz.read(file), file.toString())).hasSizeLessThan(1000);
  }

  /** Deflated a thousandfold, the arrays of a few megabytes would fill any heap. */
  @Test
  void theArraysOfAnNpzHaveABudget() throws IOException {
    Path file = folder.resolve("bomb.npz");
    Npz.write(
        file,
        Map.of("a", NpyArray.of(new float[200_000], 200_000), "b", NpyArray.of(new int[5], 5)));
    assertThat(Files.size(file)).isLessThan(10_000);
    assertThat(Npz.read(file, 1_601_000)).containsOnlyKeys("a", "b");
    assertThat(ErrorMessages.of(() -> Npz.read(file, 1_600_000), file.toString()))
        .contains("bytes of arrays")
        .contains("at most 1600000 together fit into Java's memory");
  }

  @Test
  void tokensOfAnImpossibleShapeAreRefused() throws IOException {
    for (String shape : new String[] {"(0, 4294967296)", "(4294967297, 0)", "(4294967296, 0)"}) {
      Path file =
          npz("tokens", "{'descr': '<i4', 'fortran_order': False, 'shape': " + shape + ", }", 0);
      assertThat(ErrorMessages.of(() -> TokenRows.npz(file, OptionalInt.empty()), file.toString()))
          .contains("holds no sequence");
    }
  }

  @Test
  @Timeout(60)
  void aPipeIsNotWaitedFor() throws Exception {
    Path pipe = folder.resolve("pipe.txt");
    assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    ErrorMessages.of(() -> Npz.read(pipe), pipe.toString());
    ErrorMessages.of(() -> StrictJson.readTree(pipe), pipe.toString());
    ErrorMessages.of(() -> JsonTokenizer.read(pipe), pipe.toString());
    ErrorMessages.of(() -> FastaReader.open(pipe), pipe.toString());
    ErrorMessages.of(() -> SequenceSource.lines(pipe).open(), pipe.toString());
    ErrorMessages.of(() -> TableFile.of(pipe).read(), pipe.toString());
    ErrorMessages.of(() -> DataFile.require(pipe), pipe.toString());
  }

  @Test
  void jsonErrorsAreShort() throws IOException {
    Path file = folder.resolve("performer.json");
    for (String json :
        new String[] {
          "{\"a\": " + "x".repeat(5000) + "}",
          "{\"" + "k".repeat(5000) + "\": 1, \"" + "k".repeat(5000) + "\": 2}",
          "[".repeat(5000),
          "{\"a\": \"\u0001\"}",
          "{\"a\"\n\n: }",
          "null",
          "\"" + "s".repeat(5000) + "\"",
          "",
        }) {
      Files.writeString(file, json);
      assertThat(ErrorMessages.of(() -> StrictJson.readTree(file), file.toString()))
          .hasSizeLessThan(1000);
    }
  }

  private Path npz(String name, String header, int bytes) throws IOException {
    Path file = folder.resolve("x.npz");
    try (OutputStream out = Files.newOutputStream(file);
        ZipOutputStream zip = new ZipOutputStream(out)) {
      zip.putNextEntry(new ZipEntry(name + ".npy"));
      writeHeader(zip, header);
      zip.write(new byte[bytes]);
      zip.closeEntry();
    }
    return file;
  }

  private static void writeHeader(OutputStream out, String header) throws IOException {
    byte[] text = (header + "\n").getBytes(StandardCharsets.US_ASCII);
    out.write(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0});
    for (int shift = 0; shift < 32; shift += 8) {
      out.write(text.length >> shift);
    }
    out.write(text);
  }

  /** It is read again and again like a file, packed or not. */
  @Test
  void theStandardInputIsAFile() throws IOException {
    InputStream before = System.in;
    System.setIn(
        new ByteArrayInputStream(ReadersTest.gzip(">P1 x\nMKV\nAC\n>P2\nWW\n".getBytes())));
    try {
      Path input = Path.of("-");
      DataFile.require(input);
      assertThat(SequenceSource.isLines(input)).isFalse();
      for (int i = 0; i < 2; i++) {
        try (var stream = SequenceSource.file(input).open()) {
          assertThat(stream.next().residues()).isEqualTo("MKVAC");
          assertThat(stream.next().residues()).isEqualTo("WW");
          assertThat(stream.hasNext()).isFalse();
        }
      }
      assertThat(TextChunks.read(input, new ByteTokenizer(0), 4).size()).isEqualTo(5);
    } finally {
      System.setIn(before);
    }
  }
}
