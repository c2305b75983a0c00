package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.LetterTokenizer.ResidueEncoder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.zip.CRC32C;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReadersTest {
  private static final ByteTokenizer BYTES = new ByteTokenizer(3);
  private static final TextEncoder ENCODER = BYTES.encoder();

  @TempDir private Path folder;

  @Test
  void readsProteinLmsRecordsAsPythonWroteThem() {
    List<Example> examples = read(tfRecords(resource("protein_lm.tfrecord")));
    int[] lengths = {5, 1, 40, 300};
    assertThat(examples).hasSize(4);
    for (int e = 0; e < 4; e++) {
      int[] expected = new int[lengths[e]];
      for (int i = 0; i < expected.length; i++) {
        expected[i] = (7 * i + lengths[e]) % 29;
      }
      assertThat(examples.get(e).tokens()).isEqualTo(expected);
    }
  }

  @Test
  void readsTextAndLabelsOfGzippedRecords() {
    Path file = resource("labelled.tfrecord.gz");
    for (boolean category : new boolean[] {true, false}) {
      String name = category ? "family" : "stability";
      List<Example> examples =
          read(
              new TfRecordExamples(
                  List.of(file, file),
                  "sequence",
                  Optional.of(new TfRecordExamples.LabelFeature(name, category)),
                  29,
                  ENCODER));
      assertThat(examples).hasSize(6);
      for (int i = 0; i < 6; i++) {
        assertThat(BYTES.decode(examples.get(i).tokens()))
            .isEqualTo(List.of("MKV", "ACDEF", "WW").get(i % 3));
        assertThat(examples.get(i).label())
            .isEqualTo(category ? new Label.Category(i % 3 % 2) : new Label.Value(i % 3 - 0.5f));
      }
    }
    assertFails(
        new TfRecordExamples(List.of(file), "seq", Optional.empty(), 29, ENCODER),
        file + ", record 1: no feature 'seq'; it has [family, id, sequence, stability]");
    assertFails(
        new TfRecordExamples(List.of(file), "stability", Optional.empty(), 29, ENCODER),
        "record 1: feature 'stability' holds 0 texts and 2 floats");
    assertFails(
        new TfRecordExamples(
            List.of(file),
            "sequence",
            Optional.of(new TfRecordExamples.LabelFeature("id", true)),
            29,
            ENCODER),
        "record 1: label 'id' holds bytes; expected an integer");
  }

  @Test
  void tokensOutsideTheVocabularyAreRefused() {
    Path file = resource("protein_lm.tfrecord");
    assertFails(
        new TfRecordExamples(List.of(file), "sequence", Optional.empty(), 20, ENCODER),
        "record 1: token 26 is outside 0..19");
  }

  @Test
  void recordsThatWereCutOrChangedAnywhereAreErrors() throws IOException {
    byte[] whole = Files.readAllBytes(resource("protein_lm.tfrecord"));
    int first = 16 + 25;
    for (int length = 0; length < first + 37; length++) {
      Path cut = write("cut", Arrays.copyOf(whole, length));
      if (length == first) {
        assertThat(read(tfRecords(cut))).hasSize(1);
      } else {
        String expected =
            length == 0 ? " holds no record" : length < first ? ", record 1: " : ", record 2: ";
        assertFails(tfRecords(cut), cut + expected);
      }
    }
    for (int i = 0; i < first; i++) {
      byte[] changed = whole.clone();
      changed[i] ^= 0x10;
      assertFails(tfRecords(write("changed", changed)), ", record 1: the checksum of its ");
    }
    assertFails(tfRecords(folder), "is a directory; expected a TFRecord file");
    assertFails(tfRecords(folder.resolve("absent")), "does not exist; expected a TFRecord file");
  }

  @Test
  void claimsOfLengthAllocateNothing() throws IOException {
    byte[] header = {0, 0, 0, 0x3f, 0, 0, 0, 0}; // 1 GB with a right checksum
    byte[] file = withChecksum(header);
    assertFails(
        tfRecords(write("claim", file)),
        "record 1: it claims 1056964608 bytes where 0 are left; it is cut off");
    assertFails(
        tfRecords(write("claim.gz", gzip(file))),
        "record 1: the file ends after 0 of its 1056964608 bytes; it is cut off");
    byte[] huge = withChecksum(new byte[] {0, 0, 0, 0, 0, 0, 0, (byte) 0x80});
    assertFails(tfRecords(write("huge", huge)), "record 1: it claims 9223372036854775808 bytes");
  }

  @Test
  void aRecordThatIsNoExampleIsNamed() throws IOException {
    byte[] data = {0x0a, 0x7f, 1, 2};
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(withChecksum(new byte[] {4, 0, 0, 0, 0, 0, 0, 0}));
    out.write(withChecksum(data));
    assertFails(tfRecords(write("junk", out.toByteArray())), "record 1: no tf.train.Example: ");
  }

  /** A length whose low bytes are gzip's: the checksum tells. */
  @Test
  void aLengthThatLooksLikeGzipIsNone() throws IOException {
    byte[] data = new byte[0x8b1f];
    data[0] = 0x12; // a field that Example does not have, which is passed over
    data[1] = (byte) 0x9b;
    data[2] = (byte) 0x96;
    data[3] = 0x02; // 0x8b1f - 4 bytes
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(withChecksum(new byte[] {0x1f, (byte) 0x8b, 0, 0, 0, 0, 0, 0}));
    out.write(withChecksum(data));
    assertFails(
        tfRecords(write("f", out.toByteArray())), "record 1: no feature 'sequence'; it has []");
  }

  @Test
  void readsProteinLmsLines() throws IOException {
    ResidueEncoder encoder = new ResidueEncoder(ProteinVocabulary.google());
    Path file = write("x.csv", "P1,MKV\nP2,ACD\n\nP3,W\n");
    List<Example> examples = read(TableExamples.proteinLm(file, encoder));
    assertThat(examples.stream().map(e -> ProteinVocabulary.google().decode(e.tokens())))
        .containsExactly("MKV", "ACD", "W");
    assertFails(
        TableExamples.proteinLm(write("y.csv", "P1,MKV\nP2\n"), encoder),
        "row 2 (line 2): 1 fields; expected 2 as in the first row");
  }

  @Test
  void readsQuotesTabsMarksAndLabels() throws IOException {
    Path csv = write("a.csv", "\uFEFFtext,class\r\n\"a, \"\"b\"\"\nc\",pos\r\nüñ,neg\r\nx,pos\r\n");
    TableFile table = TableFile.of(csv);
    List<String> names = LabelColumns.names(table, "", new LabelColumns.Class("class", List.of()));
    assertThat(names).containsExactly("neg", "pos");
    List<Example> examples =
        read(new TableExamples(table, "text", classes("class", names), ENCODER));
    assertThat(examples.stream().map(e -> BYTES.decode(e.tokens())))
        .containsExactly("a, \"b\"\nc", "üñ", "x");
    assertThat(examples.stream().map(Example::label))
        .containsExactly(new Label.Category(1), new Label.Category(0), new Label.Category(1));

    Path tsv =
        write("b.tsv", gzip("y\tt\n1.5\tsay \"hi\n-2e3\tb\n".getBytes(StandardCharsets.UTF_8)));
    TableFile byTabs = new TableFile(tsv, '\t', true);
    examples = read(new TableExamples(byTabs, "t", numbers("y"), ENCODER));
    assertThat(BYTES.decode(examples.get(0).tokens())).isEqualTo("say \"hi");
    assertThat(examples.stream().map(Example::label))
        .containsExactly(new Label.Value(1.5f), new Label.Value(-2000));
    assertThat(TableFile.of(Path.of("x.tsv.gz")).delimiter()).isEqualTo('\t');
    assertThat(
            LabelColumns.names(
                new TableFile(write("c", "n\n10\n9\n1\n"), ',', true),
                "",
                new LabelColumns.Class("n", List.of())))
        .containsExactly("1", "9", "10");
  }

  @Test
  void brokenTablesAreErrorsOfOneLine() throws IOException {
    Function<Path, ExampleSource> texts =
        file ->
            new TableExamples(new TableFile(file, ',', true), "text", Optional.empty(), ENCODER);
    assertFails(texts.apply(write("1", "")), "is empty; expected a table of text");
    assertFails(
        texts.apply(write("2", "id,sequence\n1,2\n")),
        "has no column 'text'; its first row names id, sequence");
    assertFails(texts.apply(write("3", "text\n")), "has a header and no row; nothing can be used");
    assertFails(
        texts.apply(write("4", "text,b\nx,1\n\"never closed,2\n")),
        ", row 3: cannot be read as a table: ");
    assertFails(texts.apply(write("5", "text\n\"a\"b\n")), ", row 2: cannot be read as a table: ");
    assertFails(
        texts.apply(write("6", new byte[] {'t', 'e', 'x', 't', '\n', (byte) 0xff, '\n'})),
        "holds bytes that are no UTF-8");
    byte[] gz = gzip("text\nabc\n".repeat(9000).getBytes(StandardCharsets.UTF_8));
    assertFails(
        texts.apply(write("7", Arrays.copyOf(gz, gz.length / 2))),
        "ends inside its gzip stream: it is cut off");
    Path file = write("8", "text,label\na,x\n");
    TableFile table = TableFile.of(file);
    assertFails(
        new TableExamples(table, "text", numbers("label"), ENCODER),
        "row 2 (line 2): label 'x' is not a finite number");
    assertFails(
        new TableExamples(table, "text", classes("label", List.of("y")), ENCODER),
        "row 2 (line 2): class 'x' is not among the 1 known");
    assertFails(
        new TableExamples(new TableFile(file, ',', false), "text", Optional.empty(), ENCODER),
        "has 2 columns and no header; give a column's number, not 'text'");
  }

  @Test
  void aQuoteThatIsNeverClosedDoesNotFillTheMemory() throws IOException {
    Path bomb = folder.resolve("bomb.csv.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(bomb))) {
      out.write("text\n\"".getBytes(StandardCharsets.UTF_8));
      byte[] block = new byte[1 << 20];
      Arrays.fill(block, (byte) 'a');
      for (int i = 0; i < 160; i++) {
        out.write(block);
      }
    }
    assertFails(
        new TableExamples(new TableFile(bomb, ',', true), "text", Optional.empty(), ENCODER),
        "row 2: cannot be read as a table: a row of over 134217728 characters; is a quote not closed?");
  }

  @Test
  void textIsCutIntoPiecesThatAreTheWhole() throws IOException {
    byte[] text = "Grüße aus Zürich, ".repeat(60).getBytes(StandardCharsets.UTF_8);
    for (byte[] stored : List.of(text, gzip(text))) {
      Path file = write("t", stored);
      for (int length : new int[] {1, 7, 100, 5000}) {
        TextChunks chunks = TextChunks.read(file, BYTES, length);
        assertThat(chunks.size()).isEqualTo((text.length + length - 1) / length);
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (Example chunk : read(chunks)) {
          for (int id : chunk.tokens()) {
            all.write(id - 3);
          }
        }
        assertThat(all.toByteArray()).isEqualTo(text);
      }
      TextChunks overlapping = TextChunks.read(file, BYTES, 100, 40);
      List<Example> pieces = read(overlapping);
      assertThat(pieces.get(2).tokens()[0]).isEqualTo((text[80] & 0xff) + 3);
      int end = (pieces.size() - 1) * 40 + pieces.get(pieces.size() - 1).tokens().length;
      assertThat(end).isEqualTo(text.length);
      assertThat((pieces.size() - 2) * 40 + 100).isLessThan(text.length);
      TextChunks train = TextChunks.read(file, BYTES, 50).part(0, 0.9);
      TextChunks rest = TextChunks.read(file, BYTES, 50).part(0.9, 1);
      assertThat(
              read(train).stream().mapToInt(e -> e.tokens().length).sum()
                  + read(rest).stream().mapToInt(e -> e.tokens().length).sum())
          .isEqualTo(text.length);
    }
    Path empty = write("empty", "");
    assertThatThrownBy(() -> TextChunks.read(empty, BYTES, 4))
        .isInstanceOf(PerformerException.class)
        .hasMessage(empty + " is empty; expected a text file");
  }

  @Test
  void documentsAreFilesOrLines() throws IOException {
    Path docs = Files.createDirectory(folder.resolve("docs"));
    Files.writeString(docs.resolve("b.txt"), "second\n");
    Files.write(docs.resolve("a.txt.gz"), gzip("first".getBytes(StandardCharsets.UTF_8)));
    Files.writeString(docs.resolve(".hidden"), "no");
    assertThat(texts(new TextDocuments(docs, ENCODER))).containsExactly("first", "second\n");
    assertThat(texts(new TextDocuments(write("lines", "one\r\n\n  \nzwölf\nlast"), ENCODER)))
        .containsExactly("one", "zwölf", "last");
    assertFails(
        new TextDocuments(Files.createDirectory(folder.resolve("e")), ENCODER), "holds no file");
    assertFails(
        new TextDocuments(write("bad", new byte[] {'a', (byte) 0xc3}), ENCODER), "no UTF-8");
    Files.write(docs.resolve("c.txt"), new byte[] {(byte) 0xff});
    assertFails(
        new TextDocuments(docs, ENCODER), docs.resolve("c.txt") + " holds bytes that are no UTF-8");
  }

  private static Optional<LabelColumns> classes(String column, List<String> names) {
    return Optional.of(new LabelColumns.Class(column, names));
  }

  private static Optional<LabelColumns> numbers(String column) {
    return Optional.of(new LabelColumns.Number(column));
  }

  private List<String> texts(ExampleSource source) {
    return read(source).stream().map(e -> BYTES.decode(e.tokens())).toList();
  }

  private static TfRecordExamples tfRecords(Path file) {
    return new TfRecordExamples(
        List.of(file), TfRecordExamples.SEQUENCE, Optional.empty(), 29, ENCODER);
  }

  private static List<Example> read(ExampleSource source) {
    List<Example> examples = new ArrayList<>();
    try (var stream = source.open()) {
      stream.forEachRemaining(examples::add);
    }
    return examples;
  }

  private static void assertFails(ExampleSource source, String message) {
    assertThatThrownBy(() -> read(source))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  private Path write(String name, String text) throws IOException {
    return write(name, text.getBytes(StandardCharsets.UTF_8));
  }

  private Path write(String name, byte[] bytes) throws IOException {
    return Files.write(folder.resolve(name), bytes);
  }

  static byte[] gzip(byte[] bytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream gzip = new GZIPOutputStream(out)) {
      gzip.write(bytes);
    }
    return out.toByteArray();
  }

  private static byte[] withChecksum(byte[] bytes) {
    var crc = new CRC32C();
    crc.update(bytes);
    int value = Integer.rotateRight((int) crc.getValue(), 15) + 0xa282ead8;
    byte[] result = Arrays.copyOf(bytes, bytes.length + 4);
    ByteBuffer.wrap(result).order(ByteOrder.LITTLE_ENDIAN).putInt(bytes.length, value);
    return result;
  }

  private static Path resource(String name) {
    return Path.of("src/test/resources/data", name);
  }
}
