package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.checkpoint.ModelWeights;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.StrictJson;
import dev.performer.data.TableFile;
import dev.performer.data.Tokenizer;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.CardTokenizer;
import dev.performer.savedmodel.ModelCard;
import dev.performer.training.ImportedWeights;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Models of words and bytes: their tokenizer travels with them, and commands take texts. */
class TextModelsTest {
  private static final Path TOKENIZERS = Path.of("src/test/resources/tokenizers");
  private static final String SIZES =
      ", hiddenSize: 16, heads: 2, layers: 2, mlpSize: 24, maxLength: 32}";
  private static final List<String> TEXTS =
      List.of("The attention is linear.", "Café", "a Performer estimates the softmax kernel");

  @TempDir static Path shared;
  private static Path bert;

  @TempDir Path folder;
  private Path texts;

  @BeforeEach
  void writeTexts() throws IOException {
    texts = folder.resolve("texts.txt");
    Files.writeString(texts, "\n" + String.join("\n", TEXTS) + "\n\n");
  }

  private static JsonTokenizer tokenizer(String name) {
    return JsonTokenizer.read(TOKENIZERS.resolve(name).resolve("tokenizer.json"));
  }

  /** A model with random weights, large enough that outputs differ. */
  private Path model(String keys, Tokenizer tokenizer) {
    return model(folder, keys, tokenizer);
  }

  private static Path model(Path folder, String keys, Tokenizer tokenizer) {
    String json = "{" + keys + SIZES;
    PerformerConfig config = PerformerConfig.of(StrictJson.readYaml(json, "config"), "config");
    ModelWeights none =
        new ModelWeights(
            "none",
            config,
            Map.of(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            List.of());
    ImportedWeights drawn = ImportedWeights.of(none, folder, true);
    SplittableRandom random = new SplittableRandom(7);
    Map<String, NpyArray> weights = new LinkedHashMap<>(drawn.weights());
    weights.replaceAll(
        (name, w) ->
            name.endsWith("/projection") || name.endsWith("/scale")
                ? w
                : NpyArray.of(floats(random, (int) w.size()), w.shape()));
    Path target = folder.resolve("model-" + random.nextInt() + keys.hashCode());
    new ImportedWeights(none, weights, List.of(), folder, Optional.empty(), Optional.empty())
        .withTokenizer(tokenizer)
        .write(target, false);
    return target;
  }

  private static float[] floats(SplittableRandom random, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) (random.nextDouble() - 0.5);
    }
    return values;
  }

  private Path bert() {
    if (bert == null) {
      String keys = "preset: bert, task: masked-lm, vocabularySize: 300, padId: 0";
      bert = model(shared, keys, tokenizer("wordpiece"));
    }
    return bert;
  }

  @Test
  void embedsTextsWithTheirSpecialTokens() {
    Path model = bert();
    Path none = folder.resolve("none.npz");
    CommandLineRun.of("embed", model, "--inputs", texts, "--output", none, "--pool", "none").done();
    Map<String, NpyArray> all = Npz.read(none);
    JsonTokenizer tokenizer = tokenizer("wordpiece");
    Map<String, float[]> vectors = new LinkedHashMap<>();
    for (String pool : List.of("mean", "max", "sum", "cls")) {
      Path out = folder.resolve(pool + ".npz");
      CommandLineRun.of(
              "embed", model, "--inputs", texts, "--output", out, "--pool", pool, "--batch", 2)
          .done();
      vectors.put(pool, Npz.read(out).get("embedding").floats());
    }
    for (int r = 0; r < TEXTS.size(); r++) {
      int[] ids = tokenizer.framed(tokenizer.encoder().encode(TEXTS.get(r)), 99).ids();
      int width = (int) all.get("tokens").shape()[1];
      double[] row = all.get("tokens").doubles();
      assertThat(all.get("lengths").doubles()[r]).isEqualTo(ids.length);
      for (int i = 0; i < width; i++) {
        assertThat(row[r * width + i]).isEqualTo(i < ids.length ? ids[i] : 0);
      }
      for (String pool : List.of("mean", "max", "sum", "cls")) {
        float[] vector = vectors.get(pool);
        float[] states = all.get("embeddings").floats();
        for (int c = 0; c < 16; c++) {
          double expected = pool.equals("max") ? -1e9 : 0;
          for (int i = 0; i < (pool.equals("cls") ? 1 : ids.length); i++) {
            double x = states[(r * width + i) * 16 + c];
            expected =
                pool.equals("max")
                    ? Math.max(expected, x)
                    : expected + (pool.equals("mean") ? x / ids.length : x);
          }
          assertThat((double) vector[r * 16 + c]).isCloseTo(expected, within(2e-4));
        }
      }
    }
  }

  @Test
  void writesCsvOfSequencesAndTokens() throws IOException {
    Path model = bert();
    Path csv = folder.resolve("in.csv");
    Files.writeString(csv, "text,id\n\"Hello, \"\"world\"\"\",\"a,b\"\nCafé,2\n");
    Path out = folder.resolve("out.csv");
    CommandLineRun.of("embed", model, "--inputs", csv, "--output", out).done();
    List<Map<String, String>> table = TableFile.of(out).read();
    assertThat(table.get(0).keySet()).hasSize(17).startsWith("id", "e0");
    assertThat(column(out, "id")).containsExactly("a,b", "2");
    Path npz = folder.resolve("out.npz");
    CommandLineRun.of("embed", model, "--inputs", csv, "--output", npz).done();
    assertThat(Float.parseFloat(table.get(1).get("e3")))
        .isEqualTo(Npz.read(npz).get("embedding").floats()[16 + 3]);
    CommandLineRun.of("embed", model, "--inputs", csv, "--output", out, "--pool", "none").done();
    assertThat(TableFile.of(out).read().get(0).keySet())
        .startsWith("id", "position", "token", "e0");
    assertThat(column(out, "token")).startsWith("[CLS]").contains("[SEP]", ",");
    assertThat(TableFile.field("a\"b")).isEqualTo("\"a\"\"b\"");
    assertThat(TableFile.field("#")).isEqualTo("#");
    Path byTabs = folder.resolve("in.tsv");
    Files.writeString(byTabs, "id\ttext\na,b\tHello, \"world\"\n2\tCafé\n");
    Path same = folder.resolve("same.npz");
    CommandLineRun.of("embed", model, "--inputs", byTabs, "--output", same).done();
    assertThat(Npz.read(same).get("embedding").floats())
        .isEqualTo(Npz.read(npz).get("embedding").floats());
    Files.writeString(byTabs, "id\twords\na\tb\n");
    CommandLineRun.of("embed", model, "--inputs", byTabs, "--output", same)
        .failed(1, "in.tsv: has columns [id, words]; expected one named sequence or text");
    Files.writeString(csv, "text,id\n\"Hello\n");
    CommandLineRun.of("score", model, "--inputs", csv).failed(1, "in.csv");
  }

  private static List<String> column(Path table, String name) {
    return TableFile.of(table).read().stream().map(row -> row.get(name)).toList();
  }

  @Test
  void cropsWhatIsTooLongAndSaysSo() throws IOException {
    Path model = bert();
    Path file = Files.writeString(folder.resolve("long.txt"), "word ".repeat(100));
    Path out = folder.resolve("out.npz");
    CommandLineRun run =
        CommandLineRun.of("embed", model, "--inputs", file, "--output", out, "--pool", "none")
            .done();
    assertThat(run.err()).contains("1 of 1 sequences were cropped to 32 tokens");
    double[] ids = Npz.read(out).get("tokens").doubles();
    assertThat(ids).hasSize(32).startsWith(2).endsWith(3);
    CommandLineRun.of("embed", model, "--inputs", file, "--output", out, "--length", 33)
        .failed(1, "at most 32 tokens, not 33");
  }

  @Test
  void scoresTextsByMaskingEachToken() {
    Path model = bert();
    Path out = folder.resolve("s.npz");
    JsonNode json =
        CommandLineRun.of(
                "score", model, "--inputs", texts, "--output", out, "--batch", 5, "--json")
            .done()
            .json();
    Map<String, NpyArray> scores = Npz.read(out);
    int width = (int) scores.get("tokens").shape()[1];
    double[] tokens = scores.get("tokens").doubles();
    double total = 0;
    for (int r = 0; r < TEXTS.size(); r++) {
      int length = (int) scores.get("lengths").doubles()[r];
      float[] logits = logitsUnderMasks(model, tokens, r * width, length);
      double sum = 0;
      for (int i = 0; i < width; i++) {
        boolean counts = i > 0 && i < length - 1;
        int id = (int) tokens[r * width + i];
        double expected = counts ? logProbability(logits, i * length + i, id) : 0;
        assertThat((double) scores.get("log_probabilities").floats()[r * width + i])
            .isCloseTo(expected, within(1e-4));
        sum += expected;
      }
      assertThat(json.get("results").get(r).get("tokens").asInt()).isEqualTo(length - 2);
      assertThat(json.get("results").get(r).get("logProbability").asDouble())
          .isCloseTo(sum, within(1e-3));
      assertThat(json.get("results").get(r).get("perplexity").asDouble())
          .isCloseTo(Math.exp(-sum / (length - 2)), within(0.05));
      total += sum;
    }
    assertThat(json.get("logProbability").asDouble()).isCloseTo(total, within(3e-3));
  }

  /** Row i has the mask at i. */
  private float[] logitsUnderMasks(Path model, double[] tokens, int from, int length) {
    int[] hidden = new int[length * length];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = i % length == i / length ? 4 : (int) tokens[from + i % length];
    }
    Path in = folder.resolve("x.npz");
    Npz.write(in, Map.of("tokens", NpyArray.of(hidden, length, length)));
    Path out = folder.resolve("y.npz");
    CommandLineRun.of("predict", model, "--inputs", in, "--output", out).done();
    return Npz.read(out).get("logits").floats();
  }

  private static double logProbability(float[] logits, int position, int id) {
    int from = position * 300;
    double sum = 0;
    for (int v = 0; v < 300; v++) {
      sum += Math.exp(logits[from + v]);
    }
    return logits[from + id] - Math.log(sum);
  }

  @Test
  void fineTunesAndEvaluatesOnTextAndKeepsTheTokenizer() throws IOException {
    Path model = bert();
    Path data = folder.resolve("data.txt");
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      lines.add("random features are drawn once, number " + i);
    }
    Files.write(data, lines);
    Path run = folder.resolve("run");
    JsonNode json =
        CommandLineRun.of(
                "fine-tune",
                model,
                "--data",
                data,
                "--output",
                run,
                "--steps",
                20,
                "--warmup",
                2,
                "--learning-rate",
                0.01,
                "--length",
                24,
                "--batch-tokens",
                480,
                "--json")
            .done()
            .json();
    assertThat(json.get("perplexityAfter").asDouble())
        .isLessThan(json.get("perplexityBefore").asDouble());
    Path tuned = run.resolve("model");
    assertThat(tuned.resolve(ModelCard.TOKENIZER_FILE)).exists();
    assertThat(CardTokenizer.of(ModelCard.read(tuned).orElseThrow().vocabulary()).label())
        .isEqualTo("WordPiece");
    CommandLineRun.of("evaluate", tuned, "--data", data, "--length", 24).done();
    Path converted = folder.resolve("converted");
    CommandLineRun.of(
            "convert", tuned, "--attention", "favor", "--features", 8, "--output", converted)
        .done();
    Path exported = folder.resolve("exported");
    CommandLineRun.of("export", converted, "--output", exported).done();
    assertThat(exported.resolve(ModelCard.TOKENIZER_FILE))
        .hasSameTextualContentAs(TOKENIZERS.resolve("wordpiece/tokenizer.json"));
    assertThat(CommandLineRun.of("inspect", exported).done().out())
        .contains("tokenizer    WordPiece, 300 tokens");
    Files.delete(exported.resolve(ModelCard.TOKENIZER_FILE));
    CommandLineRun.of("score", exported, "--inputs", texts).failed(1, "tokenizer.json");
  }

  @Test
  void bytesNeedNoFile() {
    Path model =
        model("task: causal-lm, vocabularySize: 259, padId: 0", ByteTokenizer.named("bytes"));
    Path out = folder.resolve("s.csv");
    CommandLineRun.of("score", model, "--inputs", texts, "--output", out, "--per-token").done();
    assertThat(column(out, "token"))
        .startsWith("T", "h", "e", "<0x20>")
        .contains("<0xC3>", "<0xA9>", "</s>");
    CommandLineRun run =
        CommandLineRun.of("generate", model, "--prompt", "Café", "--tokens", 8, "--greedy").done();
    assertThat(run.out()).startsWith("Café");
  }

  @Test
  void aClassTokenStandsBeforeTheTokens() {
    Path model =
        model(
            "preset: lra-encoder, vocabularySize: 300, classToken: true, pooling: cls, classes: 2,"
                + " classifierSizes: [8], padId: 0",
            ByteTokenizer.named("bytes:1"));
    Path none = folder.resolve("none.npz");
    CommandLineRun.of("embed", model, "--inputs", texts, "--output", none, "--pool", "none").done();
    Map<String, NpyArray> all = Npz.read(none);
    int width = (int) all.get("tokens").shape()[1];
    assertThat(all.get("embeddings").shape()).containsExactly(3, width, 16);
    Path in = folder.resolve("x.npz");
    Path out = folder.resolve("y.npz");
    Map<String, float[]> pooled = new LinkedHashMap<>();
    for (String pool : List.of("cls", "mean")) {
      CommandLineRun.of("embed", model, "--inputs", texts, "--output", out, "--pool", pool).done();
      pooled.put(pool, Npz.read(out).get("embedding").floats());
    }
    float[] tokens = all.get("embeddings").floats();
    int[] ids = all.get("tokens").ints();
    for (int r = 0; r < 3; r++) {
      int length = all.get("lengths").ints()[r];
      int padded = Math.max(32, length); // it sees padding, and was built for that length
      int[] own = Arrays.copyOfRange(ids, r * width, r * width + padded);
      Npz.write(in, Map.of("tokens", NpyArray.of(own, 1, padded)));
      CommandLineRun.of("predict", model, "--inputs", in, "--output", out, "--signature", "embed")
          .done();
      float[] states = Npz.read(out).get("embeddings").floats(); // [1, padded + 1, 16]
      for (int c = 0; c < 16; c++) {
        double mean = 0;
        for (int i = 0; i < width; i++) {
          float state = i < length ? states[(1 + i) * 16 + c] : 0;
          assertThat(tokens[(r * width + i) * 16 + c]).isCloseTo(state, within(1e-5f));
          mean += state / length;
        }
        assertThat((double) pooled.get("mean")[r * 16 + c]).isCloseTo(mean, within(1e-5));
        assertThat(pooled.get("cls")[r * 16 + c]).isCloseTo(states[c], within(1e-5f));
      }
    }
  }

  @Test
  void idsNeedNoTokenizer() throws IOException {
    Path weights = folder.resolve("model.safetensors");
    writeBert(weights);
    Path target = folder.resolve("imported");
    CommandLineRun.of("import", weights, "--output", target, "--heads", 2).done();
    Path in = folder.resolve("x.npz");
    Npz.write(in, Map.of("tokens", NpyArray.of(new int[] {5, 6, 7, 8, 9, 0}, 2, 3)));
    Path out = folder.resolve("e.csv");
    CommandLineRun.of("embed", target, "--inputs", in, "--output", out, "--pool", "none").done();
    assertThat(column(out, "token")).containsExactly("5", "6", "7", "8", "9");
    CommandLineRun.of("embed", target, "--inputs", texts, "--output", out)
        .failed(1, "does not say what its token ids mean", "--vocabulary");
    CommandLineRun.of(
            "embed",
            target,
            "--inputs",
            texts,
            "--output",
            out,
            "--vocabulary",
            TOKENIZERS.resolve("wordpiece/tokenizer.json"))
        .done();
  }

  @Test
  void importFindsTheTokenizerBesideTheWeights() throws IOException {
    Path weights = folder.resolve("model.safetensors");
    writeBert(weights);
    Path target = folder.resolve("imported");
    Files.copy(TOKENIZERS.resolve("wordpiece/vocab.txt"), folder.resolve("vocab.txt"));
    JsonNode json =
        CommandLineRun.of("import", weights, "--output", target, "--heads", 2, "--json")
            .done()
            .json();
    assertThat(json.get("tokenizer").asText()).isEqualTo("WordPiece");
    Path out = folder.resolve("e.npz");
    CommandLineRun.of("embed", target, "--inputs", texts, "--output", out).done();
    assertThat(Npz.read(out).get("embedding").shape()).containsExactly(3, 8);
    CommandLineRun.of(
            "import",
            weights,
            "--output",
            folder.resolve("other"),
            "--heads",
            2,
            "--tokenizer",
            "bytes:45")
        .failed(1, "the model has 300 tokens", "bytes:45 has 301");
    Path broken = folder.resolve("tokenizer.json");
    Files.writeString(broken, "{\"model\": {\"type\": \"BPE\"");
    CommandLineRun.of(
            "import", weights, "--output", folder.resolve("no"), "--heads", 2, "--replace")
        .failed(1, "tokenizer.json", "not JSON");
    assertThat(folder.resolve("no")).doesNotExist();
  }

  /** One layer of width 8, 300 tokens, as Hugging Face names it. */
  private static void writeBert(Path file) throws IOException {
    Map<String, int[]> shapes = new LinkedHashMap<>();
    shapes.put("embeddings.word_embeddings.weight", new int[] {300, 8});
    shapes.put("embeddings.position_embeddings.weight", new int[] {16, 8});
    shapes.put("embeddings.token_type_embeddings.weight", new int[] {2, 8});
    String layer = "encoder.layer.0.";
    for (String dense :
        List.of(
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense")) {
      dense(shapes, layer + dense, 8, 8);
    }
    dense(shapes, layer + "intermediate.dense", 12, 8);
    dense(shapes, layer + "output.dense", 8, 12);
    dense(shapes, "pooler.dense", 8, 8);
    for (String norm : List.of("embeddings.", layer + "attention.output.", layer + "output.")) {
      shapes.put(norm + "LayerNorm.weight", new int[] {8});
      shapes.put(norm + "LayerNorm.bias", new int[] {8});
    }
    Map<String, Object> header = new LinkedHashMap<>();
    int at = 0;
    for (Map.Entry<String, int[]> e : shapes.entrySet()) {
      int bytes = 4 * Arrays.stream(e.getValue()).reduce(1, (a, b) -> a * b);
      header.put(
          e.getKey(),
          Map.of(
              "dtype", "F32", "shape", e.getValue(), "data_offsets", new int[] {at, at + bytes}));
      at += bytes;
    }
    byte[] json = StrictJson.tree(header).toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer out = ByteBuffer.allocate(8 + json.length + at).order(ByteOrder.LITTLE_ENDIAN);
    out.putLong(json.length).put(json);
    SplittableRandom random = new SplittableRandom(3);
    while (out.hasRemaining()) {
      out.putFloat((float) random.nextDouble());
    }
    Files.write(file, out.array());
  }

  private static void dense(Map<String, int[]> shapes, String name, int out, int in) {
    shapes.put(name + ".weight", new int[] {out, in});
    shapes.put(name + ".bias", new int[] {out});
  }
}
