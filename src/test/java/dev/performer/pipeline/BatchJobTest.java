package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.RowSource.Columns;
import dev.performer.pipeline.BatchJob.Options;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Rows by windows, batches and parts give what each row gives alone, whatever comes between. */
class BatchJobTest {
  private static final Path MODEL = Path.of("savedmodels/protein-mlm/saved_model");
  private static final int ROWS = 150;
  private static final Options SMALL = Options.DEFAULT.withBatch(16, 200).withWindow(40);
  private static Embedder embedder;
  private static List<String> texts;
  private static List<float[]> alone;

  @TempDir private Path folder;

  @BeforeAll
  static void load() {
    embedder = Embedder.load(MODEL);
    SplittableRandom random = new SplittableRandom(1);
    texts = new ArrayList<>();
    for (int i = 0; i < ROWS; i++) {
      StringBuilder text = new StringBuilder("M");
      for (int n = random.nextInt(i % 10 == 0 ? 60 : 12); n > 0; n--) {
        text.append("ACDEFGHIKLMNPQRSTVWY".charAt(random.nextInt(20)));
      }
      texts.add(text.toString());
    }
    alone = texts.stream().map(embedder::embed).toList();
  }

  @AfterAll
  static void close() {
    embedder.close();
  }

  private Path csv(String name, int from, int to) {
    StringBuilder rows = new StringBuilder("\uFEFFlabel,text,id\r\n");
    for (int i = from; i < to; i++) {
      rows.append("\"l,\"\"" + i + "\",\"" + texts.get(i) + "\",r" + i + "\r\n");
    }
    return write(name, rows.toString());
  }

  private Path write(String name, String text) {
    try {
      Path file = folder.resolve(name);
      Files.createDirectories(file.getParent());
      return Files.writeString(file, text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private BatchJob job(Path input, String output) {
    Columns columns =
        Columns.DEFAULT.keeping(output.endsWith("npz") ? List.of() : List.of("label"));
    return BatchJob.of(embedder.rows(), List.of(input), columns)
        .withOutput(folder.resolve(output))
        .with(SMALL);
  }

  private static BatchJob.Result run(BatchJob job) {
    return job.run(BatchProgress.silent());
  }

  @Test
  void everyFormatHasEachRowsVector() throws IOException {
    csv("parts/b.csv", 70, ROWS);
    csv("parts/a.csv", 0, 70);
    write("parts/_SUCCESS", "");
    write("parts/.a.csv.crc", "no rows");
    Path parts = folder.resolve("parts");
    assertThat(run(job(parts, "y.npz")).rows()).isEqualTo(ROWS);
    float[] all = Npz.read(folder.resolve("y.npz")).get("embedding").floats();
    for (int i = 0; i < ROWS; i++) {
      float[] own = alone.get(i);
      for (int c = 0; c < own.length; c++) {
        assertThat(all[i * own.length + c]).isCloseTo(own[c], within(2e-5f)); // of 2.5
      }
    }
    run(job(folder.resolve("parts/*.csv"), "y.parquet"));
    Columns labels = new Columns("label", "id", List.of("embedding"), List.of());
    var kept = BatchJob.of(embedder.rows(), List.of(folder.resolve("y.parquet")), labels);
    assertThat(kept.source().fields().get(1).rank()).isEqualTo(1);
    assertThatThrownBy(() -> run(kept.withOutput(folder.resolve("twice.parquet"))))
        .hasMessageContaining("two columns of the output are named 'embedding'");
    run(job(parts, "y.csv"));
    List<String> lines = Files.readAllLines(folder.resolve("y.csv"));
    assertThat(lines).hasSize(ROWS + 1);
    assertThat(lines.get(0)).startsWith("id,label,e0,e1,");
    assertThat(lines.get(72)).startsWith("r71,\"l,\"\"71\"," + all[71 * alone.get(0).length]);
    try (var left = Files.list(folder)) {
      assertThat(left.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrder("parts", "y.npz", "y.parquet", "y.csv");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"y.csv", "y.parquet", "y.npz", "y.tsv.gz"})
  void whatEndsEarlyGoesOnToTheSameBytes(String name) throws IOException {
    Path input = csv("x.csv", 0, ROWS);
    Path output = folder.resolve(name);
    run(job(input, name));
    byte[] whole = Files.readAllBytes(output);
    Files.delete(output);
    Path parts = folder.resolve(name + ".parts");
    int[] calls = new int[1];
    for (int stop : new int[] {1, 2}) {
      calls[0] = 0;
      BatchJob job = job(input, name).with(SMALL.withResume(true));
      assertThatThrownBy(
              () ->
                  job.run(
                      BatchProgress.silent(),
                      (fields, items, values) -> {
                        if (++calls[0] == stop) {
                          throw new IllegalStateException("ends here");
                        }
                      }))
          .hasMessage("ends here");
      assertThat(output).doesNotExist();
      Files.write(parts.resolve("writing"), new byte[] {1, 2});
    }
    Files.writeString(
        parts.resolve("journal"),
        Files.readString(parts.resolve("journal")) + "{\"read\":40,\"ro"); // torn by a power cut
    refused(job(input, name), "holds", "rows of a run that did not end");
    refused(job(input, name).with(SMALL.withBatch(8, 200).withResume(true)), "another options");
    Path other = csv("x2.csv", 0, ROWS);
    refused(job(other, name).with(SMALL.withResume(true)), "begun with another input");
    BatchJob.Result result = run(job(input, name).with(SMALL.withResume(true)));
    assertThat(result.rows()).isEqualTo(ROWS);
    assertThat(result.resumed()).isBetween(80L, 149L);
    assertThat(Files.readAllBytes(output)).isEqualTo(whole);
    assertThat(parts).doesNotExist();
  }

  private static void refused(BatchJob job, String... texts) {
    assertThatThrownBy(() -> run(job))
        .isInstanceOf(PerformerException.class)
        .satisfies(e -> assertThat(e.getMessage()).contains(texts).doesNotContain("\n"));
  }

  @Test
  void badRowsAreNamedOrLeftOut() throws IOException {
    int[] ids = new int[3 * 40];
    Arrays.fill(ids, 5);
    ids[7] = -4; // row 3
    Path arrays = folder.resolve("x.npz");
    Npz.write(arrays, Map.of("tokens", NpyArray.of(ids, 40, 3)));
    refused(job(arrays, "y.npz"), "x.npz, row 3: tokens hold -4, which is no id");
    ids[7] = 5;
    ids[20] = 99_999; // row 7; only the model knows that
    Npz.write(arrays, Map.of("tokens", NpyArray.of(ids, 40, 3)));
    refused(job(arrays, "y.npz"), "x.npz, row 7");
    BatchJob.Result result = run(job(arrays, "y.npz").with(SMALL.withSkipBad(true)));
    assertThat(List.of(result.rows(), result.skipped())).containsExactly(39L, 1L);
    assertThat(Npz.read(folder.resolve("y.npz")).get("embedding").shape()[0]).isEqualTo(39);
    Path table = write("x.csv", "id,text,label\na,MK,1\nb,MK\nc,MKV,NaN\n");
    refused(job(table, "y.csv"), "x.csv, row 3", "2 fields; expected 3");
    result = run(job(table, "y.csv").with(SMALL.withSkipBad(true)));
    assertThat(List.of(result.rows(), result.skipped())).containsExactly(2L, 1L);
    assertThat(Files.readString(result.skippedFile())).contains("row 3").contains("2 fields");
    assertThat(Files.readAllLines(folder.resolve("y.csv")).get(2)).startsWith("c,NaN,");
    refused(job(write("e.csv", "id,text,label\n"), "y.csv"), "e.csv: holds no sequence");
    Path wrong = write("w.csv", "id,texts,label\na,MK,1\n");
    assertThatThrownBy(() -> job(wrong, "y.csv")).hasMessageContaining("named sequence or text");
    refused(job(write("q.csv", "id,text,label\na,\"MK,1\n"), "y.csv"), "q.csv, row 2");
    try (var left = Files.list(folder)) {
      assertThat(left.filter(f -> f.toString().endsWith(".parts"))).isEmpty();
    }
  }

  /** Vectors of tokens, and likelihoods: the padding of a batch is in no result. */
  @Test
  void tokensOfRowsAreWhatTheyAreAlone() throws IOException {
    Path lines = write("x.txt", String.join("\n", texts.subList(0, 50)));
    Path output = folder.resolve("t.npz");
    Model model = Model.open(MODEL);
    try (Predictor predictor = Predictor.load(model)) {
      BatchJob job = BatchJob.of(predictor.rows(model.input()), List.of(lines), Columns.DEFAULT);
      run(job.withOutput(output).with(SMALL));
      Map<String, NpyArray> all = Npz.read(output);
      float[] logits = all.get("logits").floats(); // up to 10
      int length = (int) all.get("tokens").shape()[1];
      int size = (int) all.get("logits").shape()[2];
      for (int r = 0; r < 50; r += 3) {
        float[] own = predictor.predict(List.of(texts.get(r))).get("logits").floats();
        for (int i = 0; i < length * size; i++) {
          float expected = i < own.length ? own[i] : 0;
          assertThat(logits[r * length * size + i]).isCloseTo(expected, within(1e-4f));
        }
      }
    }
    Path scores = folder.resolve("s.npz");
    try (Scorer scorer = Scorer.load(MODEL)) {
      BatchJob job = BatchJob.of(scorer.rows(false), List.of(lines), Columns.DEFAULT);
      BatchJob.Result result = run(job.withOutput(scores).with(SMALL).withLength(12));
      double[] sums = Npz.read(scores).get("log_probability").doubles();
      for (int r = 0; r < 50; r += 7) {
        String text = texts.get(r);
        if (text.length() < 11) {
          assertThat(sums[r]).isCloseTo(scorer.score(text).sum(), within(1e-4));
        }
      }
      assertThat(result.sums()[1]).isCloseTo(Arrays.stream(sums).sum(), within(1e-6));
    }
  }
}
