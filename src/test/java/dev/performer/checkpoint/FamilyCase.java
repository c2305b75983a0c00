package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.checkpoint.ImportedOutputs.Fed;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.StrictJson;
import dev.performer.model.Performer.Outputs;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * A folder of {@code make_families.py} or {@code make_torch_families.py}: a checkpoint, and what
 * Python computes from it.
 */
record FamilyCase(Path folder, Map<String, NpyArray> expected) {
  private static final double TOLERANCE = 1e-5;
  private static final Map<String, ImportedOutputs.Part> PARTS =
      Map.of(
          "sequence", Outputs::sequence,
          "pooled", Outputs::pooled,
          "logits", Outputs::logits,
          "class_logits", Outputs::classLogits);

  static FamilyCase of(Path folder) {
    return new FamilyCase(folder, Npz.read(folder.resolve("expected.npz")));
  }

  static List<FamilyCase> all(Path root) throws IOException {
    try (Stream<Path> folders = Files.list(root)) {
      return folders.filter(Files::isDirectory).sorted().map(FamilyCase::of).toList();
    }
  }

  Path checkpoint() {
    Path archive = folder.resolve("model.keras");
    return Files.exists(archive) ? archive : folder;
  }

  ModelWeights load() {
    return Checkpoints.load(checkpoint(), ImportOptions.NONE);
  }

  /** Compares all that there is. @return the naming scheme */
  String check() {
    ModelWeights model = load();
    assertOutputs(model);
    if (expected.containsKey("greedy")) {
      assertGreedy(model);
    }
    if (Files.exists(folder.resolve("texts.json"))) {
      assertTokens();
    }
    return model.scheme();
  }

  /** All outputs at all positions, padding included. */
  private void assertOutputs(ModelWeights model) {
    Map<String, ImportedOutputs.Part> parts = new LinkedHashMap<>(PARTS);
    parts.keySet().retainAll(expected.keySet());
    var fed = new Fed(expected.get("tokens"), expected.get("mask"), expected.get("types"));
    var own = parts.values().toArray(ImportedOutputs.Part[]::new);
    List<float[]> found = ImportedOutputs.run(model, List.of(fed), own);
    int next = 0;
    for (String name : parts.keySet()) {
      assertClose(name, found.get(next++), expected.get(name).floats());
    }
  }

  /** But where Python's is NaN, which stands for padding of which a model here makes another. */
  private void assertClose(String name, float[] found, float[] right) {
    assertThat(found).as("%s %s", folder, name).hasSameSizeAs(right);
    int[] known = IntStream.range(0, right.length).filter(i -> !Float.isNaN(right[i])).toArray();
    double scale = IntStream.of(known).mapToDouble(i -> Math.abs(right[i])).max().orElseThrow();
    double worst = // and NaN, which is greater than all, where one is found
        IntStream.of(known).mapToDouble(i -> Math.abs(found[i] - right[i])).max().orElseThrow();
    assertThat(worst / scale).as("%s %s", folder, name).isLessThan(TOLERANCE);
  }

  /** The most likely token after each, as often as Python. */
  private void assertGreedy(ModelWeights model) {
    int[] row = expected.get("prompt").ints();
    int size = model.config().vocabularySize();
    for (int token : expected.get("greedy").ints()) {
      NpyArray tokens = NpyArray.of(row, 1, row.length);
      float[] logits = ImportedOutputs.run(model, tokens, null, null, Outputs::logits);
      int last = (row.length - 1) * size;
      int best =
          IntStream.range(0, size).reduce(0, (a, b) -> logits[last + b] > logits[last + a] ? b : a);
      assertThat(best).as("%s after %s", folder, Arrays.toString(row)).isEqualTo(token);
      row = Arrays.copyOf(row, row.length + 1);
      row[row.length - 1] = token;
    }
  }

  /** Ids of all texts, framed as Python frames them. */
  private void assertTokens() {
    JsonTokenizer tokenizer = JsonTokenizer.beside(checkpoint()).orElseThrow();
    for (JsonNode text : StrictJson.readTree(folder.resolve("texts.json"))) {
      String written = text.path("text").asText();
      int[] content = tokenizer.encoder().encode(written);
      int[] ids = tokenizer.framed(content, Integer.MAX_VALUE).ids();
      boolean isFramed = text.has("ids");
      int[] right = StrictJson.bind(text.path(isFramed ? "ids" : "content"), int[].class, "ids");
      assertThat(isFramed ? ids : content).as("%s: '%s'", folder, written).isEqualTo(right);
    }
  }
}
