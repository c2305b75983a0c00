package dev.performer.model;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.Labels;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;

/**
 * The presets, which lie beside this class as JSON with comments, and how keys of a user replace
 * theirs.
 */
final class Presets {
  static final List<String> NAMES =
      List.of("protein-lm", "kernel-encoder", "lra-encoder", "bert", "performer");

  private static final String BASE = "performer";

  private static final ObjectReader COMMENTED =
      JsonMapper.builder().enable(JsonReadFeature.ALLOW_JAVA_COMMENTS).build().reader();

  private Presets() {}

  /** All keys of a preset. */
  static ObjectNode tree(String name) {
    if (!NAMES.contains(name)) {
      throw Labels.unknown("preset", name, NAMES);
    }
    String file = "preset-" + name + ".json";
    try (InputStream in = Presets.class.getResourceAsStream(file)) {
      return (ObjectNode) COMMENTED.readTree(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Keys of a user over the preset that they name. */
  static ObjectNode merged(JsonNode keys, String source) {
    ObjectNode own = object(keys, source).deepCopy();
    JsonNode preset = own.remove("preset");
    if (preset != null && !preset.isTextual()) {
      throw new PerformerException(source + ": key preset: expected a string in quotes");
    }
    return merged(tree(preset == null ? BASE : preset.textValue()), own, source);
  }

  /** Keys of a user over all keys of a configuration. */
  static ObjectNode merged(JsonNode base, JsonNode keys, String source) {
    ObjectNode result = object(base, source).deepCopy();
    replace(result, object(keys, source));
    boolean causal = result.path("task").asText().equals("causal-lm");
    for (JsonNode entry : entries(result.path("attention"))) {
      if (entry instanceof ObjectNode attention
          && !attention.has("causal")
          && !attention.has("modelGarden")) {
        attention.put("causal", causal);
      }
    }
    if (result.path("decoderAttention") instanceof ObjectNode attention
        && !attention.has("causal")
        && !attention.has("modelGarden")) {
      attention.put("causal", true);
    }
    return result;
  }

  private static Iterable<JsonNode> entries(JsonNode attention) {
    return attention.isArray() ? attention : List.of(attention);
  }

  private static ObjectNode object(JsonNode node, String source) {
    if (node instanceof ObjectNode object) {
      return object;
    }
    throw new PerformerException(source + ": expected an object with the keys of a model");
  }

  private static void replace(ObjectNode base, ObjectNode keys) {
    keys.fields()
        .forEachRemaining(
            field -> {
              JsonNode old = base.get(field.getKey());
              if (old instanceof ObjectNode oldObject
                  && field.getValue() instanceof ObjectNode newObject
                  && isSameKind(oldObject, newObject)) {
                replace(oldObject, newObject);
              } else {
                base.set(field.getKey(), field.getValue());
              }
            });
  }

  /** Exact, FAVOR+ and Model Garden's attention share no keys. */
  private static boolean isSameKind(ObjectNode old, ObjectNode replacing) {
    boolean oldFavor = old.has("kernel");
    boolean isAttention = oldFavor || old.has("exact") || old.has("modelGarden");
    if (!isAttention) {
      return true;
    }
    return oldFavor
        ? !replacing.has("exact") && !replacing.has("modelGarden")
        : old.has("exact")
            ? replacing.has("exact") || replacing.has("causal") && replacing.size() == 1
            : replacing.has("modelGarden");
  }
}
