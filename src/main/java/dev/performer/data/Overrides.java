package dev.performer.data;

import static dev.performer.PerformerException.require;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.List;

/**
 * Settings of a command line, {@code a.b=c}, over those of a recipe; a later one wins. Values are
 * YAML: {@code 3}, {@code 1e-3}, {@code true}, {@code [1, 2]}, {@code {exact: true}}, {@code null},
 * or text. A path goes through objects, made where they lack, and lists, by numbers from 0.
 */
public record Overrides(List<String> settings) {
  /** Copies the settings; null is none. */
  public Overrides {
    settings = settings == null ? List.of() : List.copyOf(settings);
  }

  /** Reads a recipe, YAML or JSON by its name, and lays the settings over it. */
  public JsonNode read(Path recipe) {
    return over(StrictJson.readTree(recipe));
  }

  /** A copy of a tree with the settings laid over it; which keys it may have is not checked. */
  public JsonNode over(JsonNode tree) {
    JsonNode result = tree.deepCopy();
    for (String setting : settings) {
      try {
        apply(setting, result);
      } catch (PerformerException e) {
        throw e.in("setting " + setting).settledBy("set");
      }
    }
    return result;
  }

  /** How messages call what was read: the recipe, and the settings where there are any. */
  public String source(String recipe) {
    return settings.isEmpty() ? recipe : recipe + " with " + String.join(" and ", settings);
  }

  private static void apply(String setting, JsonNode tree) {
    int at = setting.indexOf('=');
    List<String> path = at < 0 ? List.of() : List.of(setting.substring(0, at).split("\\.", -1));
    boolean isSetting = !path.isEmpty() && path.stream().noneMatch(String::isBlank);
    require(isSetting, "expected KEY=VALUE with dots between keys, such as a.b=3");
    JsonNode in = tree;
    for (String key : path.subList(0, path.size() - 1)) {
      if (in instanceof ArrayNode list) {
        in = list.get(index(list, key));
      } else {
        JsonNode next = object(in, key).get(key);
        in = next == null || next.isNull() ? object(in, key).putObject(key) : next;
      }
    }
    String key = path.get(path.size() - 1);
    JsonNode value = value(setting.substring(at + 1));
    if (in instanceof ArrayNode list) {
      list.set(index(list, key), value);
    } else {
      object(in, key).set(key, value);
    }
  }

  private static ObjectNode object(JsonNode in, String key) {
    require(in instanceof ObjectNode, "there is no %s in %s, which is no object", key, in);
    return (ObjectNode) in;
  }

  private static int index(ArrayNode list, String key) {
    int index = key.matches("\\d{1,6}") ? Integer.parseInt(key) : -1;
    require(index >= 0 && index < list.size(), "%s is no place in a list of %d", key, list.size());
    return index;
  }

  /** YAML 1.1 takes 1e-3 for text, which nobody means; plain values need no library. */
  private static JsonNode value(String text) {
    String plain = text.strip();
    if (plain.matches("[-+]?\\d+[eE][-+]?\\d{1,4}")) {
      return DoubleNode.valueOf(new BigDecimal(plain).doubleValue());
    } else if (plain.matches("true|false|0|-?[1-9]\\d{0,17}|-?(0|[1-9]\\d{0,8})\\.\\d{1,9}")) {
      return StrictJson.readTree(("[" + plain + "]").getBytes(UTF_8), "value").get(0);
    }
    OptionalLibrary.YAML.require("a value");
    JsonNode tree;
    try {
      tree = StrictJson.readYaml("value: " + text, "value"); // a scalar alone is no document
    } catch (PerformerException e) {
      throw new PerformerException(
          "the value is not YAML; put text with special characters in quotes", e);
    }
    require(tree.size() == 1 && tree.has("value"), "the value is more than one line");
    return tree.get("value");
  }
}
