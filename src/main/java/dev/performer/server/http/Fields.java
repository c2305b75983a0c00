package dev.performer.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.Excerpt;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/**
 * The parameters of a request, which are the keys of a JSON object. One that is null counts as
 * absent. What is wrong becomes a {@link Refusal} of status 400 that names the parameter and has a
 * code, worded as OpenAI's clients know it.
 */
public final class Fields {
  private final JsonNode object;

  /** Of a request. @param known all parameters that there are */
  public Fields(JsonNode request, Collection<String> known) {
    if (!request.isObject()) {
      String text = "Invalid type for the request: expected an object, but got %s instead.";
      throw new Refusal(400, text.formatted(kind(request)), "invalid_type", null);
    }
    object = request;
    Set<String> names = new HashSet<>(known);
    for (var field : request.properties()) {
      if (!names.contains(field.getKey())) {
        String name = Excerpt.of(field.getKey());
        String text = "Unknown parameter: '%s'.".formatted(name);
        throw new Refusal(400, text, "unknown_parameter", name);
      }
    }
  }

  /** A parameter as it is; missing where it is absent or null. */
  public JsonNode get(String name) {
    JsonNode value = object.path(name);
    return value.isNull() ? object.path("") : value;
  }

  /** Whether a parameter is there, and not null. */
  public boolean has(String name) {
    return object.hasNonNull(name);
  }

  /** A parameter that has to be there. */
  public JsonNode required(String name) {
    if (!has(name)) {
      String text = "Missing required parameter: '%s'.".formatted(name);
      throw new Refusal(400, text, "missing_required_parameter", name);
    }
    return object.get(name);
  }

  /** A text; null where it is absent. */
  public String text(String name) {
    return has(name) ? text(name, object.get(name)) : null;
  }

  private static String text(String name, JsonNode value) {
    if (!value.isTextual()) {
      throw type(name, "a string", value);
    }
    return value.textValue();
  }

  /** True or false. */
  public boolean flag(String name, boolean otherwise) {
    if (has(name) && !object.get(name).isBoolean()) {
      throw type(name, "a boolean", object.get(name));
    }
    return has(name) ? object.get(name).booleanValue() : otherwise;
  }

  /** A whole number within bounds. */
  public OptionalInt integer(String name, int least, int most) {
    return has(name)
        ? OptionalInt.of((int) integer(name, object.get(name), least, most))
        : OptionalInt.empty();
  }

  /** A whole number of 64 bits. */
  public OptionalLong whole(String name) {
    return has(name)
        ? OptionalLong.of(integer(name, object.get(name), Long.MIN_VALUE, Long.MAX_VALUE))
        : OptionalLong.empty();
  }

  private static long integer(String name, JsonNode value, long least, long most) {
    if (!value.isIntegralNumber()) {
      throw type(name, "an integer", value);
    }
    boolean isLong = value.canConvertToLong();
    boolean isLow = isLong ? value.longValue() < least : value.bigIntegerValue().signum() < 0;
    if (isLow || !isLong || value.longValue() > most) {
      throw range(name, "integer", value, isLow, "" + (isLow ? least : most));
    }
    return value.longValue();
  }

  /** A number within bounds. */
  public double number(String name, double otherwise, double least, double most) {
    return has(name) ? number(name, object.get(name), least, most) : otherwise;
  }

  private static double number(String name, JsonNode value, double least, double most) {
    if (!value.isNumber()) {
      throw type(name, "a decimal", value);
    }
    double number = value.doubleValue();
    if (!(number >= least && number <= most)) {
      boolean isLow = number < least;
      throw range(name, "decimal", value, isLow, shown(isLow ? least : most));
    }
    return number;
  }

  private static String shown(double bound) {
    return bound == Math.rint(bound) && Math.abs(bound) < 1e15 ? "" + (long) bound : "" + bound;
  }

  /** One text, or up to so many of them, none of which is empty. */
  public List<String> texts(String name, int most) {
    JsonNode value = get(name);
    if (value.isMissingNode()) {
      return List.of();
    } else if (!value.isTextual() && !value.isArray()) {
      throw type(name, "a string or an array of strings", value);
    }
    List<String> all = new ArrayList<>();
    for (JsonNode one : value.isTextual() ? List.of(value) : value) {
      all.add(text(name, one));
    }
    requireLength(name, all.size(), most);
    if (all.contains("")) {
      throw invalid(name, "a string is empty");
    }
    return all;
  }

  /** Fails where an array has more elements than are allowed. */
  public static void requireLength(String name, int length, int most) {
    if (length > most) {
      String text =
          "Invalid '%s': array too long. Expected an array with maximum length %d, but got an array with length %d instead.";
      String message = text.formatted(name, most, length);
      throw new Refusal(400, message, "array_above_max_length", name);
    }
  }

  /** From token ids, which are keys, to numbers within bounds. */
  public Map<Integer, Double> numbersOfIds(String name, double least, double most) {
    Map<Integer, Double> numbers = new LinkedHashMap<>();
    if (has(name) && !object.get(name).isObject()) {
      throw type(name, "an object", object.get(name));
    }
    for (var entry : get(name).properties()) {
      try {
        int id = Integer.parseInt(entry.getKey());
        numbers.put(id, number(name + "." + id, entry.getValue(), least, most));
      } catch (NumberFormatException e) {
        throw invalid(name, "the key '%s' is no token id".formatted(Excerpt.of(entry.getKey())));
      }
    }
    return numbers;
  }

  /**
   * A text, or token ids.
   *
   * @param text null where it is ids
   * @param ids null where it is text
   */
  public record Prompt(String text, List<Integer> ids) {}

  /** A text, several, token ids, or several lists of ids; whichever is there, in its order. */
  public List<Prompt> prompts(String name, int most) {
    JsonNode value = required(name);
    if (value.isTextual()) {
      return List.of(new Prompt(value.textValue(), null));
    }
    String expected = "a string, an array of strings, an array of token ids, or an array of these";
    if (!value.isArray()) {
      throw type(name, expected, value);
    } else if (value.isEmpty()) {
      throw invalid(name, "the array is empty");
    } else if (value.get(0).isNumber()) {
      return List.of(new Prompt(null, ids(name, value)));
    }
    requireLength(name, value.size(), most);
    List<Prompt> all = new ArrayList<>();
    for (int i = 0; i < value.size(); i++) {
      JsonNode one = value.get(i);
      if (one.isTextual() == value.get(0).isTextual() && (one.isTextual() || one.isArray())) {
        all.add(
            one.isTextual()
                ? new Prompt(one.textValue(), null)
                : new Prompt(null, ids(name + "[" + i + "]", one)));
      } else {
        throw type(name + "[" + i + "]", value.get(0).isTextual() ? "a string" : "token ids", one);
      }
    }
    return all;
  }

  private static List<Integer> ids(String name, JsonNode array) {
    List<Integer> ids = new ArrayList<>(array.size());
    for (int i = 0; i < array.size(); i++) {
      ids.add((int) integer(name + "[" + i + "]", array.get(i), 0, Integer.MAX_VALUE));
    }
    return ids;
  }

  /** A failure of type. */
  public static Refusal type(String name, String expected, JsonNode found) {
    String text = "Invalid type for '%s': expected %s, but got %s instead.";
    String message = text.formatted(name, expected, kind(found));
    return new Refusal(400, message, "invalid_type", name);
  }

  /** A failure of value. @param why in a few words */
  public static Refusal invalid(String name, String why) {
    return new Refusal(400, "Invalid '%s': %s.".formatted(name, why), "invalid_value", name);
  }

  private static Refusal range(
      String name, String kind, JsonNode value, boolean isLow, String bound) {
    String text = "Invalid '%s': %s %s value. Expected a value %s %s, but got %s instead.";
    String way = isLow ? "below minimum" : "above maximum";
    String sign = isLow ? ">=" : "<=";
    String found = Excerpt.of(value.asText());
    String message = text.formatted(name, kind, way, sign, bound, found);
    String code = "%s_%s_value".formatted(kind, isLow ? "below_min" : "above_max");
    return new Refusal(400, message, code, name);
  }

  private static String kind(JsonNode value) {
    return switch (value.getNodeType()) {
      case STRING -> "a string";
      case NUMBER -> value.isIntegralNumber() ? "an integer" : "a decimal";
      case BOOLEAN -> "a boolean";
      case ARRAY -> "an array";
      case OBJECT -> "an object";
      default -> "null";
    };
  }
}
