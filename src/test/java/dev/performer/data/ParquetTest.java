package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.RowSource.Columns;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Parquet as pyarrow writes it (src/test/python/make_parquet.py), and as we do. */
class ParquetTest {
  private static final Path FILES = Path.of("src/test/resources/parquet");
  private static final int ROWS = 300;

  @TempDir private Path folder;

  private static List<Row> read(Path file, Columns columns, long behind) {
    RowSource source = RowSource.of(List.of(file), columns, OptionalInt.of(0));
    List<Row> all = new ArrayList<>();
    try (RowSource.Rows rows = source.open(behind)) {
      for (Row row = rows.next(); row != null; row = rows.next()) {
        all.add(row);
      }
      assertThat(rows.fraction()).isEqualTo(1);
    }
    return all;
  }

  private static Columns keep(String... names) {
    return Columns.DEFAULT.keeping(List.of(names));
  }

  @ParameterizedTest
  @ValueSource(strings = {"none", "snappy", "gzip", "zstd", "lz4", "v2", "pages"})
  void readsWhatPythonWrites(String name) {
    Columns columns = keep("family", "weight", "is_real", "small", "tokens");
    List<Row> rows = read(FILES.resolve(name + ".parquet"), columns, 0);
    assertThat(rows).hasSize(ROWS);
    for (int i = 0; i < ROWS; i++) {
      Row row = rows.get(i);
      assertThat(row.name()).isEqualTo("" + (1000 + i));
      String text = "MKT" + ("" + "ACDEFGHIKL".charAt(i % 10)).repeat(i % 13);
      assertThat(row.text()).isEqualTo(text);
      Object[] kept = row.kept();
      assertThat(kept[0]).isEqualTo(i % 3 == 0 ? "globin" : i % 3 == 1 ? "kinase" : null);
      Double weight = ((NpyArray) kept[1]).doubles()[0];
      Double expected = i % 7 == 0 ? Double.NaN : i / 4.0;
      assertThat(weight).isEqualTo(expected);
      assertThat(((NpyArray) kept[2]).longs()).containsExactly(i % 2 == 0 ? 1 : 0);
      assertThat(((NpyArray) kept[3]).longs()).containsExactly(i % 100 - 50);
      if (i == 5) {
        assertThat(kept[4]).isNull();
      } else {
        int[] ids = ((NpyArray) kept[4]).ints();
        assertThat(ids).hasSize(Math.max(0, i % 9 - 1));
        assertThat(ids.length == 0 || ids[0] == 1).isTrue();
      }
    }
    for (int behind : new int[] {1, 128, 129, 299, 300}) {
      List<Row> rest = read(FILES.resolve(name + ".parquet"), columns, behind);
      assertThat(rest.stream().map(Row::name))
          .isEqualTo(rows.stream().skip(behind).map(Row::name).toList());
    }
  }

  @Test
  void readsTokenIdsAndFindsMissingOnes() {
    Columns tokens = new Columns("tokens", null, List.of(), List.of());
    List<Row> rows = read(FILES.resolve("spark.parquet"), tokens, 0);
    assertThat(rows.get(5).fault()).endsWith("spark.parquet, row 6: has no text");
    assertThat(rows.get(8).ids()).containsExactly(1, 2, 3, 4, 5, 6, 7);
    assertThat(rows.get(8).id()).isEqualTo("9");
    assertThat(read(FILES.resolve("empty.parquet"), Columns.DEFAULT, 0)).isEmpty();
  }

  @Test
  void refusesWhatItDoesNotRead() throws IOException {
    Path file = FILES.resolve("snappy.parquet");
    refused(file, keep("made"), "column 'made' is optional int64 made (TIMESTAMP");
    refused(file, keep("parts"), "column 'parts' is optional group parts");
    refused(file, keep("nothing"), "has no column 'nothing'; it has [id, sequence");
    refused(file, new Columns("text", null, List.of(), List.of()), "has no column 'text'");
    refused(file, new Columns("weight", null, List.of(), List.of()), "'weight' is float64");
    refused(FILES.resolve("brotli.parquet"), Columns.DEFAULT, "are packed by BROTLI");
    Path text = Files.writeString(folder.resolve("t.parquet"), "id,text\n1,a\n");
    refused(text, Columns.DEFAULT, "t.parquet: is no Parquet file, or cut off");
  }

  @Test
  void damageIsOneLine() throws IOException {
    byte[] whole = Files.readAllBytes(FILES.resolve("snappy.parquet"));
    Path file = folder.resolve("d.parquet");
    SplittableRandom random = new SplittableRandom(1);
    int failed = 0;
    for (int i = 0; i < 150; i++) {
      byte[] bytes = Arrays.copyOf(whole, i % 3 == 0 ? random.nextInt(whole.length) : whole.length);
      for (int k = 0; k < 3 && bytes.length > 0; k++) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      Files.write(file, bytes);
      try {
        read(file, keep("weight"), 0);
      } catch (PerformerException e) {
        failed++;
        assertThat(e.getMessage()).contains("d.parquet").doesNotContain("\n");
      }
    }
    assertThat(failed).isGreaterThan(50);
  }

  private static void refused(Path file, Columns columns, String text) {
    assertThatThrownBy(() -> read(file, columns, 0))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(text);
  }

  /** Two parts as one file, which comes back as it was. */
  @Test
  void partsBecomeOneFile() throws IOException {
    List<Field> fields =
        List.of(
            Field.text("id"),
            Field.number("n", NpyType.INT16),
            Field.number("f", NpyType.BOOL),
            Field.numbers("v", NpyType.FLOAT32, 1, 3, false),
            Field.text("text"));
    List<Object[]> rows = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      NpyArray v = NpyArray.of(new float[] {i, -i, Float.NaN}, 3);
      NpyArray n = new NpyArray(NpyType.INT16, new long[0], new byte[] {(byte) i, (byte) -1});
      NpyArray f = new NpyArray(NpyType.BOOL, new long[0], new byte[] {(byte) (i % 2)});
      rows.add(new Object[] {"é" + i, n, f, v, i == 3 ? null : "t" + i});
    }
    Path target = folder.resolve("y.parquet");
    RowSink sink = RowSink.of(target, fields, List.of(), 0);
    List<Path> parts = List.of(folder.resolve("a"), folder.resolve("b"), folder.resolve("c"));
    sink.part(parts.get(0), rows.subList(0, 30));
    sink.part(parts.get(1), List.of());
    sink.part(parts.get(2), rows.subList(30, 100));
    try (OutputStream out = Files.newOutputStream(target)) {
      sink.join(parts, out);
    }
    List<Row> back = read(target, keep("n", "f", "v"), 0);
    assertThat(back).hasSize(100);
    for (int i = 0; i < 100; i++) {
      assertThat(back.get(i).id()).isEqualTo("é" + i);
      assertThat(back.get(i).kept()).containsExactly(Arrays.copyOfRange(rows.get(i), 1, 4));
      assertThat(back.get(i).fault() == null).isEqualTo(i != 3);
    }
  }
}
