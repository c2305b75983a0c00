package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.AtomicFiles;
import dev.performer.attention.FavorKeys;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * What attention with a window or sinks beside features consists of; a model that ignores one of
 * both loses nothing where that is switched off (arXiv 2510.05901).
 */
public enum AttentionBranch {
  /** The features, which stand for all keys where window and sinks are off. */
  LINEAR("without window and sinks") {
    @Override
    FavorKeys alone(FavorKeys keys) {
      return keys.window(0).sinks(List.of());
    }
  },
  /** The exact weights, where keys that features stand for have none. */
  EXACT("without the linear part") {
    @Override
    FavorKeys alone(FavorKeys keys) {
      return keys.linear(false);
    }
  };

  private final String label;

  AttentionBranch(String label) {
    this.label = label;
  }

  abstract FavorKeys alone(FavorKeys keys);

  /** What is switched off. */
  @Override
  public String toString() {
    return label;
  }

  /** Whether there is something to switch off, whichever branch it is. */
  static boolean hasBoth(PerformerConfig config) {
    return Stream.of(values()).noneMatch(branch -> branch.alone(config).equals(config));
  }

  /**
   * What comes of a model with each branch alone, and the same weights.
   *
   * @throws dev.performer.PerformerException if no layer has both
   */
  public static <T> Map<AttentionBranch, T> each(
      Path path, ModelOptions options, Function<Model, T> evaluated) {
    PerformerModels.Saved model = PerformerModels.load(ModelLocation.savedModel(path));
    Path folder = folder();
    try {
      Map<AttentionBranch, T> results = new LinkedHashMap<>();
      for (AttentionBranch branch : values()) {
        PerformerConfig alone = branch.alone(model.config());
        String text =
            "%s: no layer has features beside a window or sinks; there is nothing to switch off";
        require(!alone.equals(model.config()), text, path);
        Path written = folder.resolve(branch.name());
        PerformerModels.write(alone, model.weights(), model.card(), written, false);
        results.put(branch, evaluated.apply(Model.open(written, options)));
      }
      return results;
    } finally {
      AtomicFiles.discard(folder);
    }
  }

  private static Path folder() {
    try {
      return Files.createTempDirectory("performer-branches");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The same model with this branch alone. */
  PerformerConfig alone(PerformerConfig config) {
    var keys = JsonNodeFactory.instance.objectNode();
    keys.set("attention", StrictJson.tree(entries(config.layers(), config::attentionOf)));
    if (config.decoderLayers() > 0) {
      keys.set("decoderAttention", StrictJson.tree(alone(config.decoderAttentionOf(0))));
      keys.set("crossAttention", StrictJson.tree(alone(config.crossAttentionOf(0))));
    }
    return config.with(keys, "branches");
  }

  private List<AttentionConfig> entries(int layers, IntFunction<AttentionConfig> of) {
    return IntStream.range(0, layers).mapToObj(of).map(this::alone).toList();
  }

  private AttentionConfig alone(AttentionConfig entry) {
    return entry instanceof AttentionConfig.Favor favor && favor.config().hasBand()
        ? new AttentionConfig.Favor(alone(favor.config().toBuilder()).build())
        : entry;
  }
}
