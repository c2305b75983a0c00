package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import dev.performer.model.PerformerConfig;
import java.util.List;

/** Builds a configuration: a preset, what a file tells, and the keys that a user gives. */
final class ConfigBuilder {
  private final ObjectNode tree = JsonNodeFactory.instance.objectNode();
  private final WeightFile file;

  ConfigBuilder(WeightFile file, String preset) {
    this.file = file;
    tree.put("preset", preset);
  }

  ConfigBuilder put(String key, Object value) {
    tree.set(key, StrictJson.tree(value));
    return this;
  }

  /** Vocabulary, lengths, widths and layers, from the shapes of the weights. */
  ConfigBuilder putSizes(WeightMap map) {
    put("vocabularySize", map.size("embeddings/token", 2, 0));
    put("hiddenSize", map.size("embeddings/token", 2, 1));
    if (map.has("embeddings/position")) {
      put("maxLength", map.size("embeddings/position", 2, 0));
    }
    put("tokenTypes", map.has("embeddings/type") ? map.size("embeddings/type", 2, 0) : 0);
    if (map.layers() == 0) {
      throw new PerformerException(file.path() + " has no layers");
    }
    put("layers", map.layers());
    return put("mlpSize", map.size("layer_0/mlp/in/kernel", 2, 1));
  }

  /** Heads and their size, from a kernel {@code [E, H, D]}. */
  ConfigBuilder putHeads(WeightMap map) {
    put("heads", map.size("layer_0/attention/query/kernel", 3, 1));
    return put("headSize", map.size("layer_0/attention/query/kernel", 3, 2));
  }

  /** One attention per layer. */
  ConfigBuilder putAttention(List<AttentionConfig> layers) {
    return put("attention", layers);
  }

  /** The same attention in all layers. */
  ConfigBuilder putAttention(AttentionConfig attention) {
    return put("attention", attention);
  }

  /** The configuration, with the keys of the user's file over it. */
  PerformerConfig config(ImportOptions options) {
    PerformerConfig config;
    try {
      config = PerformerConfig.of(tree, file.path().toString());
    } catch (PerformerException e) {
      throw e.getMessage().startsWith(file.path().toString())
          ? e
          : new PerformerException(file.path() + ": " + e.getMessage(), e);
    }
    return options.config() == null
        ? config
        : config.with(StrictJson.readTree(options.config()), options.config().toString());
  }
}
