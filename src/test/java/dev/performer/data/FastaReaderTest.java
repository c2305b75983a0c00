package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FastaReaderTest {
  @TempDir Path directory;

  @Test
  void readsIdDescriptionAndWrappedLines() throws IOException {
    assertThat(read(">sp|P1|A_B some protein OS=x\nMKV\nLA*\n>second\n\nAC-GT\n"))
        .containsExactly(
            new ProteinSequence("sp|P1|A_B", "some protein OS=x", "MKVLA*"),
            new ProteinSequence("second", "", "AC-GT"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"\n", "\r\n", "\r"})
  void takesAnyLineEnds(String end) throws IOException {
    String text =
        String.join(end, "", "; comment", ">a  b ", "MK", "", "; comment", "v L", ">a", "A");
    assertThat(read(text))
        .containsExactly(new ProteinSequence("a", "b", "MKvL"), new ProteinSequence("a", "", "A"));
  }

  @Test
  void takesByteOrderMarkEmptyRecordsAndNonAsciiHeaders() throws IOException {
    assertThat(read("\uFEFF>\n>é ü\nMK>A\n>end"))
        .containsExactly(
            new ProteinSequence("", "", ""),
            new ProteinSequence("é", "ü", "MK>A"),
            new ProteinSequence("end", "", ""));
  }

  @Test
  void readsOneHundredThousandLettersInOneLine() throws IOException {
    String residues = "ACDEFGHIKL".repeat(10_000);
    assertThat(read(">titin\n" + residues + "\n"))
        .containsExactly(new ProteinSequence("titin", "", residues));
  }

  @Test
  void knowsGzipByItsBytes() throws IOException {
    Path file = directory.resolve("named.fasta");
    Files.write(file, gzip(">a\nMK\n>b\nLL\n"));
    assertThat(all(file)).extracting(ProteinSequence::residues).containsExactly("MK", "LL");
  }

  @Test
  void readsTheShippedProteins() {
    List<ProteinSequence> valid = all(Path.of("training/data/valid.fasta.gz"));
    assertThat(valid).hasSize(500);
    assertThat(valid).allSatisfy(p -> assertThat(p.residues().length()).isBetween(50, 512));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "\n\r\n  \n", "; only a comment\n"})
  void refusesFilesWithoutASequence(String text) {
    assertThatThrownBy(() -> read(text))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("test.fasta")
        .hasMessageContaining("no sequence");
  }

  @Test
  void refusesTextBeforeTheFirstHeader() {
    assertThatThrownBy(() -> read("\nMKV\n>a\nMK"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("line 2")
        .hasMessageContaining("before the first '>'");
  }

  @Test
  void refusesBinaryBytesWhereverTheyAre() {
    for (String text : List.of("\0\1\2", ">a\nMK\0", ">a\0b\nMK", ">a\nMKé", ";\1\n>a\nMK")) {
      assertThatThrownBy(() -> read(text))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("does not belong in FASTA");
    }
    assertThatThrownBy(() -> all(bytes(">a\nMK\n".getBytes(StandardCharsets.UTF_16LE))))
        .isInstanceOf(PerformerException.class);
  }

  @Test
  void refusesTruncatedAndDamagedGzip() throws IOException {
    byte[] whole = gzip(">a\n" + "MKVLAARND".repeat(1000) + "\n>b\nMK\n");
    for (int length = 2; length < whole.length; length += 7) {
      Path file = bytes(Arrays.copyOf(whole, length));
      assertThatThrownBy(() -> all(file))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("gzip");
    }
    byte[] damaged = whole.clone();
    damaged[whole.length / 2] ^= 0x55;
    assertThatThrownBy(() -> all(bytes(damaged)))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("gzip");
  }

  /** Files made of what FASTA files are made of, and of what they are not. */
  @Test
  void anyFileIsReadOrRefusedInOneLine() throws IOException {
    Random random = new Random(11);
    byte[][] pieces = {
      {'>'},
      {'\n'},
      {'\r', '\n'},
      {';'},
      {'A', 'c', '-', '*'},
      {' ', '\t'},
      {0},
      {(byte) 0xEF},
      {(byte) 0xEF, (byte) 0xBB, (byte) 0xBF},
      {0x1f, (byte) 0x8b},
      {0x7f},
      {'>', 'i', 'd', ' ', '1'}
    };
    int read = 0;
    for (int i = 0; i < 900; i++) {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      // Binary pieces in one of three files only, so that many are read to their end.
      int kinds = i % 3 == 0 ? pieces.length : 6;
      for (int n = random.nextInt(12); n > 0; n--) {
        bytes.writeBytes(pieces[random.nextInt(kinds)]);
      }
      try {
        assertThat(all(bytes(bytes.toByteArray()))).isNotEmpty();
        read++;
      } catch (PerformerException e) {
        assertThat(e.getMessage()).contains("test.fasta").doesNotContain("\n");
      }
    }
    assertThat(read).isBetween(90, 810);
  }

  @Test
  void refusesMissingFilesAndDirectories() {
    assertThatThrownBy(() -> FastaReader.open(directory.resolve("none.fasta")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("does not exist");
    assertThatThrownBy(() -> FastaReader.open(directory))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("is a directory");
  }

  private List<ProteinSequence> read(String text) throws IOException {
    return all(bytes(text.getBytes(StandardCharsets.UTF_8)));
  }

  private Path bytes(byte[] content) throws IOException {
    return Files.write(directory.resolve("test.fasta"), content);
  }

  private static List<ProteinSequence> all(Path file) {
    List<ProteinSequence> all = new ArrayList<>();
    try (var reader = FastaReader.open(file)) {
      reader.forEachRemaining(all::add);
    }
    return all;
  }

  private static byte[] gzip(String text) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream out = new GZIPOutputStream(bytes)) {
      out.write(text.getBytes(StandardCharsets.UTF_8));
    }
    return bytes.toByteArray();
  }
}
