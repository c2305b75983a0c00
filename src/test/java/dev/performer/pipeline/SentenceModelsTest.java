package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.data.NpyArray;
import dev.performer.model.TextEmbedding;
import dev.performer.model.TextEmbedding.Pooling;
import dev.performer.savedmodel.ReferenceModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What sentence-transformers' files beside a checkpoint make of the vectors of texts. */
class SentenceModelsTest {
  private static final Path BERT = Path.of("savedmodels/checkpoints/bert_exact");
  private static final List<String> TEXTS = List.of("MKTAYIAKQR", "WY", "ACDEFGHIKLMNPQRSTVWY");

  @TempDir Path folder;

  private Importer.Outcome imported(String modules, String pooling) throws Exception {
    Path checkpoint = folder.resolve("checkpoint");
    ReferenceModels.copy(BERT, checkpoint);
    Files.writeString(checkpoint.resolve("modules.json"), modules);
    Files.createDirectories(checkpoint.resolve("1_Pooling"));
    Files.writeString(checkpoint.resolve("1_Pooling/config.json"), pooling);
    Files.writeString(
        checkpoint.resolve("sentence_bert_config.json"),
        "{\"max_seq_length\": 12, \"do_lower_case\": false}");
    return Importer.of(checkpoint).write(folder.resolve("model"), false);
  }

  private static String modules(String... kinds) {
    var all = new StringBuilder();
    for (int i = 0; i < kinds.length; i++) {
      String path = i == 0 ? "" : i + "_" + kinds[i];
      String type = "sentence_transformers.models." + kinds[i];
      all.append(i == 0 ? "" : ",")
          .append("{\"idx\": %d, \"path\": \"%s\", \"type\": \"%s\"}".formatted(i, path, type));
    }
    return "[" + all + "]";
  }

  @ParameterizedTest
  @CsvSource({
    "pooling_mode_mean_tokens,MEAN",
    "pooling_mode_cls_token,CLS",
    "pooling_mode_max_tokens,MAX",
    "pooling_mode_lasttoken,LAST",
    "pooling_mode_mean_sqrt_len_tokens,MEAN_SQRT",
    "pooling_mode_weightedmean_tokens,WEIGHTED_MEAN"
  })
  void theFilesDecide(String flag, Pooling pooling) throws Exception {
    String config = "{\"word_embedding_dimension\": 32, \"%s\": true}".formatted(flag);
    Path path = imported(modules("Transformer", "Pooling", "Normalize"), config).model();
    Model model = Model.open(path);
    assertThat(model.card().orElseThrow().embedding())
        .isEqualTo(new TextEmbedding(pooling, true, 12));
    var raw = new EmbeddingSpec.Options(null, pooling, false);
    try (Embedder embedder = Embedder.load(model);
        Embedder plain = Embedder.load(EmbeddingSpec.of(model, raw, false));
        Predictor predictor = Predictor.load(model.with(ModelOptions.DEFAULT))) {
      assertThat(embedder.input().limit()).isEqualTo(12);
      List<float[]> vectors = embedder.embed(TEXTS);
      List<float[]> unscaled = plain.embed(TEXTS);
      NpyArray tokens =
          embedder.embed(embedder.input().encode(TEXTS), 8).get("tokens"); // as it was cropped
      float[] graph =
          predictor.predict("embed", Map.of("tokens", tokens)).get("embedding").floats();
      for (int r = 0; r < TEXTS.size(); r++) {
        double length = 0;
        for (float x : unscaled.get(r)) {
          length += (double) x * x;
        }
        int size = vectors.get(r).length;
        for (int c = 0; c < size; c++) {
          double expected = unscaled.get(r)[c] / Math.sqrt(length);
          assertThat((double) vectors.get(r)[c]).isCloseTo(expected, within(1e-6));
          assertThat((double) graph[r * size + c]).isCloseTo(expected, within(1e-5));
        }
      }
    }
  }

  @Test
  void whatIsNotFollowedIsNamed() throws Exception {
    String mean = "{\"pooling_mode\": \"mean\"}";
    var dense = imported(modules("Transformer", "Pooling", "Dense"), mean);
    assertThat(dense.notes()).anyMatch(n -> n.contains("the module Dense is not followed"));
    assertThat(Model.open(dense.model()).card().orElseThrow().embedding()).isNull();
  }

  @Test
  void severalPoolingsAreNotFollowed() throws Exception {
    var two =
        imported(modules("Transformer", "Pooling"), "{\"pooling_mode\": [\"mean\", \"max\"]}");
    assertThat(two.notes()).anyMatch(n -> n.contains("[mean, max]"));
  }
}
