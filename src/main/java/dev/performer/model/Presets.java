package dev.performer.model;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.Labels;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;

/** The presets beside this class, JSON with comments, and how keys of a user replace theirs. */
final class Presets {
  static final List<String> NAMES =
      List.of("protein-lm", "kernel-encoder", "lra-encoder", "bert", "performer");

  /** The keys that name a kind of attention other than FAVOR+. */
  private static final List<String> OTHERS =
      List.of("exact", "modelGarden", "reformer", "linformer");

  private static final ObjectReader COMMENTED =
      JsonMapper.builder().enable(JsonReadFeature.ALLOW_JAVA_COMMENTS).build().reader();

  private Presets() {}

  /** All keys of a preset. */
  static ObjectNode tree(String name) {
    String known = Labels.find("preset", name, NAMES, n -> n);
    try (InputStream in = Presets.class.getResourceAsStream("preset-" + known + ".json")) {
      return (ObjectNode) COMMENTED.readTree(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Keys of a user over the preset that they name. */
  static ObjectNode merged(JsonNode keys, String source) {
    ObjectNode own = object(keys, source).deepCopy();
    JsonNode preset = own.remove("preset");
    boolean isText = preset == null || preset.isTextual();
    require(isText, "%s: key preset: expected a string in quotes", source);
    return merged(tree(preset == null ? "performer" : preset.textValue()), own, source);
  }

  /** Keys of a user over all keys of a configuration. */
  static ObjectNode merged(JsonNode base, JsonNode keys, String source) {
    ObjectNode result = object(base, source).deepCopy();
    replace(result, object(keys, source));
    boolean causal = result.path("task").asText().equals("causal-lm");
    JsonNode attention = result.path("attention");
    Iterable<JsonNode> entries = attention.isArray() ? attention : List.of(attention);
    entries.forEach(entry -> setCausality(entry, causal));
    setCausality(result.path("decoderAttention"), true);
    return result;
  }

  private static void setCausality(JsonNode entry, boolean causal) {
    if (entry instanceof ObjectNode keys && !keys.has("causal") && !keys.has("modelGarden")) {
      keys.put("causal", causal);
    }
  }

  private static ObjectNode object(JsonNode node, String source) {
    boolean isObject = node instanceof ObjectNode;
    require(isObject, "%s: expected an object with the keys of a model", source);
    return (ObjectNode) node;
  }

  private static void replace(ObjectNode base, ObjectNode keys) {
    for (var field : keys.properties()) {
      if (base.get(field.getKey()) instanceof ObjectNode old
          && field.getValue() instanceof ObjectNode replacing
          && isSameKind(old, replacing)) {
        replace(old, replacing);
      } else {
        base.set(field.getKey(), field.getValue());
      }
    }
  }

  /** Kinds of attention share no keys but {@code causal}; FAVOR+ is what names no other. */
  private static boolean isSameKind(ObjectNode old, ObjectNode replacing) {
    if (old.has("kernel")) {
      return OTHERS.stream().noneMatch(replacing::has);
    }
    var kind = OTHERS.stream().filter(old::has).findFirst();
    boolean isCausality = replacing.has("causal") && replacing.size() == 1;
    return kind.isEmpty()
        || replacing.has(kind.get())
        || isCausality && !kind.get().equals("modelGarden");
  }
}
