package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import java.nio.file.Path;

/** Builds a configuration: a preset, what a file tells, and the keys that a user gives. */
final class ConfigBuilder {
  private final ObjectNode tree = JsonNodeFactory.instance.objectNode();
  private final WeightMap map;

  /** Begins with vocabulary, lengths, widths and layers, from the shapes of the weights. */
  ConfigBuilder(String preset, WeightMap map) {
    this.map = map;
    int words = map.size("embeddings/token", 2, 0);
    int width = map.size("embeddings/token", 2, 1);
    put("preset", preset, "vocabularySize", words, "hiddenSize", width);
    if (map.has("embeddings/position")) {
      put("maxLength", map.size("embeddings/position", 2, 0));
    }
    put("tokenTypes", map.has("embeddings/type") ? map.size("embeddings/type", 2, 0) : 0);
    map.check(map.layers() > 0, "there are no layers");
    put("layers", map.layers(), "mlpSize", map.size("layer_0/mlp/in/kernel", 2, 1));
  }

  /** Heads and their size, from a kernel {@code [E, H, D]}. */
  ConfigBuilder putHeads() {
    String kernel = "layer_0/attention/query/kernel";
    return put("heads", map.size(kernel, 3, 1), "headSize", map.size(kernel, 3, 2));
  }

  /** Sets keys; one with a dot is inside of an object. @param more keys and values by turns */
  ConfigBuilder put(String key, Object value, Object... more) {
    int dot = key.indexOf('.');
    ObjectNode parent = dot < 0 ? tree : tree.withObject("/" + key.substring(0, dot));
    parent.set(key.substring(dot + 1), StrictJson.tree(value));
    for (int i = 0; i < more.length; i += 2) {
      put((String) more[i], more[i + 1]);
    }
    return this;
  }

  /** The configuration. @param given a file whose keys go before; null for none */
  PerformerConfig build(Path given) {
    var config = map.named(() -> PerformerConfig.of(tree, map.path().toString()));
    return given == null ? config : config.with(StrictJson.readTree(given), given.toString());
  }
}
