package dev.performer.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import java.io.ByteArrayInputStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * Settings of a command line, {@code a.b=c}, over those of a recipe. Values are YAML: {@code 3},
 * {@code 1e-3}, {@code true}, {@code [1, 2]}, {@code {exact: true}}, {@code null}, or text. A path
 * goes through objects, which are made where they lack, and through lists by numbers from 0.
 *
 * @param settings in their order; a later one wins
 */
public record Overrides(List<String> settings) {

  /** Copies the settings; null is none. */
  public Overrides {
    settings = settings == null ? List.of() : List.copyOf(settings);
  }

  /**
   * Reads a recipe and lays the settings over it.
   *
   * @param recipe YAML, or JSON by its name
   * @throws PerformerException that names the file, or the setting that does not fit it
   */
  public JsonNode read(Path recipe) {
    return over(StrictJson.readTree(recipe));
  }

  /**
   * Lays the settings over a tree. Whether the keys are known shows when it is bound to a record
   * ({@link StrictJson#bind}).
   *
   * @return a new tree
   * @throws PerformerException that names the setting that is no {@code a.b=c} or does not fit
   */
  public JsonNode over(JsonNode tree) {
    JsonNode result = tree.deepCopy();
    for (String setting : settings) {
      int at = setting.indexOf('=');
      List<String> path = at < 0 ? List.of() : List.of(setting.substring(0, at).split("\\.", -1));
      if (path.isEmpty() || path.stream().anyMatch(String::isBlank)) {
        throw wrong(setting, "expected KEY=VALUE with dots between keys, such as a.b=3");
      }
      JsonNode inner = result;
      for (int i = 0; i + 1 < path.size(); i++) {
        inner = step(inner, path.get(i), setting);
      }
      set(inner, path.get(path.size() - 1), value(setting.substring(at + 1), setting), setting);
    }
    return result;
  }

  /** How messages call what was read: the recipe, and the settings where there are any. */
  public String source(String recipe) {
    return settings.isEmpty() ? recipe : recipe + " with " + String.join(" and ", settings);
  }

  private static JsonNode step(JsonNode in, String key, String setting) {
    if (in instanceof ArrayNode list) {
      return list.get(index(list, key, setting));
    }
    JsonNode next = object(in, key, setting).get(key);
    return next == null || next.isNull() ? ((ObjectNode) in).putObject(key) : next;
  }

  private static void set(JsonNode in, String key, JsonNode value, String setting) {
    if (in instanceof ArrayNode list) {
      list.set(index(list, key, setting), value);
    } else {
      object(in, key, setting).set(key, value);
    }
  }

  private static ObjectNode object(JsonNode in, String key, String setting) {
    if (in instanceof ObjectNode object) {
      return object;
    }
    throw wrong(setting, "there is no " + key + " in " + in + ", which is no object");
  }

  private static int index(ArrayNode list, String key, String setting) {
    int index = key.matches("\\d{1,6}") ? Integer.parseInt(key) : -1;
    if (index < 0 || index >= list.size()) {
      throw wrong(setting, key + " is no place in a list of " + list.size());
    }
    return index;
  }

  /** YAML 1.1 takes 1e-3 for text, which nobody means. */
  private static JsonNode value(String text, String setting) {
    String number = text.strip();
    if (number.matches("[-+]?\\d+[eE][-+]?\\d{1,4}")) {
      return JsonNodeFactory.instance.numberNode(new BigDecimal(number).doubleValue());
    }
    OptionalLibrary.YAML.require("the setting " + setting);
    String document = "value: " + text; // a scalar alone is no document for StrictJson
    var in = new ByteArrayInputStream(document.getBytes(StandardCharsets.UTF_8));
    JsonNode tree;
    try {
      tree = StrictJson.readYaml(in, "setting " + setting);
    } catch (PerformerException e) {
      throw wrong(setting, "the value is not YAML; put text with special characters in quotes");
    }
    Set<String> keys = new TreeSet<>();
    tree.fieldNames().forEachRemaining(keys::add);
    if (!keys.equals(Set.of("value"))) {
      throw wrong(setting, "the value is more than one line");
    }
    return tree.get("value");
  }

  private static PerformerException wrong(String setting, String why) {
    return new PerformerException("setting " + setting + ": " + why).settledBy("set");
  }
}
