package dev.performer.distill;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.data.NpyArray;
import dev.performer.model.FavorConversion;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;

/** A small BERT with exact attention, and the same with FAVOR+. */
public final class TinyBert {
  public static final int VOCABULARY = 13;
  public static final int LONGEST = 12;
  public static final int HEAD_SIZE = 8;

  private TinyBert() {}

  /** Two heads of 8, two layers, padding 0. */
  public static PerformerConfig config(String task) {
    var keys = JsonNodeFactory.instance.objectNode();
    keys.put("preset", "bert").put("vocabularySize", VOCABULARY).put("maxLength", LONGEST);
    keys.put("hiddenSize", 16).put("layers", 2).put("heads", 2).put("task", task).put("padId", 0);
    return PerformerConfig.of(keys, "test");
  }

  /** Any weights, with queries and keys short enough for FAVOR+. */
  public static Map<String, NpyArray> weights(PerformerConfig config, long seed) {
    Random random = new Random(seed);
    Map<String, NpyArray> weights = new LinkedHashMap<>();
    Performer.shapes(config)
        .forEach(
            (name, shape) -> {
              float[] values = new float[(int) shape.size()];
              double deviation = name.contains("/query/") || name.contains("/key/") ? 0.08 : 0.3;
              for (int i = 0; i < values.length; i++) {
                values[i] =
                    (float) (deviation * random.nextGaussian()) + (name.endsWith("scale") ? 1 : 0);
              }
              weights.put(name, NpyArray.of(values, shape.asArray()));
            });
    return weights;
  }

  /** What its ids mean. */
  public static ModelCard.Vocabulary vocabulary() {
    List<String> tokens =
        IntStream.range(0, VOCABULARY)
            .mapToObj(i -> i == 0 ? "<pad>" : i == 12 ? "<mask>" : "" + (char) ('A' + i - 1))
            .toList();
    return new ModelCard.Vocabulary(null, tokens, 0, 12, null, null);
  }

  /** Writes a model. */
  public static Path write(PerformerConfig config, Map<String, NpyArray> weights, Path target) {
    ModelCard card =
        ModelCard.of(
            config.attentionOf(0),
            vocabulary(),
            PerformerModels.languageModel(config, new ModelCard.Masking(0.15, 0.8, 0.1, null)),
            null);
    PerformerModels.write(config, weights, card, target, false);
    return target;
  }

  /** The same model with few features, so that there is something to learn. */
  public static FavorConversion.Converted favor(
      PerformerConfig config, Map<String, NpyArray> weights) {
    return new FavorConversion(
            FavorConfig.builder()
                .kernel(Kernel.HYPERBOLIC)
                .features(4)
                .lengths(Lengths.SQRT_D)
                .seed(3L)
                .exactHeads(0)
                .build(),
            Set.of())
        .apply(config, weights);
  }
}
