package dev.performer.server.models;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.data.StrictJson;
import dev.performer.server.models.ModelConfig.Policy;
import dev.performer.server.models.ModelConfig.Served;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * A model config file of TensorFlow Serving, in protobuf's text form or JSON.
 *
 * @see <a href="https://www.tensorflow.org/tfx/serving/serving_config">its documentation</a>
 */
final class ModelConfigFile {
  private static final String FILE_SCHEME = "file://";

  private final Path file;

  private ModelConfigFile(Path file) {
    this.file = file;
  }

  static List<Served> read(Path file) {
    try {
      byte[] bytes = RegularFiles.readAllBytes(file);
      String text = new String(bytes, StandardCharsets.UTF_8);
      boolean isJson = text.stripLeading().startsWith("{");
      return new ModelConfigFile(file)
          .models(isJson ? StrictJson.readTree(bytes, "" + file) : TextProto.read(text));
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be read: " + AtomicFiles.describe(e), e);
    } catch (PerformerException e) {
      throw e.in(file);
    }
  }

  private List<Served> models(JsonNode all) {
    String custom = "custom_model_config is not supported; give a model_config_list";
    require(!all.has("custom_model_config") && !all.has("customModelConfig"), custom);
    JsonNode list = fields(all, "the file", Set.of("model_config_list")).get("model_config_list");
    require(list != null, "it has no model_config_list");
    JsonNode configs = fields(list, "model_config_list", Set.of("config")).get("config");
    List<Served> models = new ArrayList<>();
    each(configs).forEach(config -> models.add(model(config)));
    return models;
  }

  private Served model(JsonNode config) {
    var known =
        Set.of(
            "name",
            "base_path",
            "model_platform",
            "model_type",
            "model_version_policy",
            "version_labels",
            "logging_config");
    Map<String, JsonNode> fields = fields(config, "a config", known);
    String name = text(fields, "name");
    require(!name.isEmpty(), "a config has no name");
    String platform = text(fields, "model_platform");
    boolean isKnown = platform.isEmpty() || platform.equals("tensorflow");
    require(isKnown, "model %s: the platform %s is not known, only tensorflow", name, platform);
    String base = text(fields, "base_path");
    require(!base.isEmpty(), "model %s: has no base_path", name);
    Path path = Path.of(base.startsWith(FILE_SCHEME) ? base.substring(FILE_SCHEME.length()) : base);
    Path beside = file.toAbsolutePath().resolveSibling(path);
    boolean isBeside = !path.isAbsolute() && !Files.exists(path) && Files.exists(beside);
    try {
      Policy policy = policy(fields.get("model_version_policy"));
      return new Served(
          name, isBeside ? beside : path, policy, labels(fields.get("version_labels")));
    } catch (PerformerException e) {
      throw e.in("model " + name);
    }
  }

  private static Policy policy(JsonNode node) {
    if (node == null) {
      return new Policy.Latest(1);
    }
    String what = "model_version_policy";
    var fields = fields(node, what, Set.of("all", "latest", "specific"));
    require(
        fields.size() <= 1, "%s is one of all, latest, specific, not %s", what, fields.keySet());
    if (fields.containsKey("all")) {
      return new Policy.All();
    } else if (fields.containsKey("specific")) {
      Set<Long> versions = new LinkedHashSet<>();
      var of = fields(fields.get("specific"), "specific", Set.of("versions"));
      each(of.get("versions")).forEach(version -> versions.add(number(version, "versions")));
      require(!versions.isEmpty(), "specific has no versions");
      return new Policy.Specific(versions);
    }
    JsonNode latest = fields.get("latest");
    var of =
        latest == null
            ? Map.<String, JsonNode>of()
            : fields(latest, "latest", Set.of("num_versions"));
    JsonNode count = of.get("num_versions");
    return new Policy.Latest(count == null ? 1 : Math.toIntExact(number(count, "num_versions")));
  }

  /** In JSON an object by label, in text an entry each. */
  private static Map<String, Long> labels(JsonNode node) {
    Map<String, Long> labels = new HashMap<>();
    for (JsonNode entry : each(node)) {
      boolean isEntry = entry.isObject() && entry.has("key");
      if (isEntry) {
        var fields = fields(entry, "version_labels", Set.of("key", "value"));
        require(fields.containsKey("value"), "the label %s has no value", text(fields, "key"));
        labels.put(text(fields, "key"), number(fields.get("value"), "version_labels"));
      } else {
        require(entry.isObject(), "version_labels are labels with their versions, not %s", entry);
        entry
            .fields()
            .forEachRemaining(e -> labels.put(e.getKey(), number(e.getValue(), e.getKey())));
      }
    }
    return labels;
  }

  /** By their names in protobuf, which JSON may have in camel case. */
  private static Map<String, JsonNode> fields(JsonNode node, String what, Set<String> known) {
    require(node.isObject(), "%s is a message with fields, not %s", what, node);
    Map<String, JsonNode> fields = new HashMap<>();
    node.fields()
        .forEachRemaining(
            e -> {
              String name = e.getKey().replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
              String unknown = "%s: unknown field %s; known are %s";
              require(
                  known.contains(name),
                  unknown,
                  what,
                  e.getKey(),
                  known.stream().sorted().toList());
              fields.put(name, e.getValue());
            });
    return fields;
  }

  private static Iterable<JsonNode> each(JsonNode node) {
    return node == null ? List.of() : node.isArray() ? node : List.of(node);
  }

  private static String text(Map<String, JsonNode> fields, String name) {
    JsonNode value = fields.get(name);
    require(value == null || value.isTextual(), "%s is one text, not %s", name, value);
    return value == null ? "" : value.asText();
  }

  private static long number(JsonNode value, String name) {
    boolean isNumber = value.isValueNode() && value.asText().matches("[0-9]{1,18}");
    require(isNumber, "%s: a whole number is expected, not %s", name, value);
    return Long.parseLong(value.asText());
  }
}
