package dev.performer.server.models;

import static dev.performer.PerformerException.require;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads protobuf's text form as a tree: a field that comes once is its value, one that comes more
 * often an array; numbers stay texts.
 *
 * @see <a href="https://protobuf.dev/reference/protobuf/textformat-spec/">the text format</a>
 */
final class TextProto {
  private static final int DEEPEST = 32;
  private static final Pattern SPACE = Pattern.compile("(?:\\s|#[^\\n]*)*+");
  private static final Pattern TOKEN =
      Pattern.compile(
          "\"((?:[^\"\\\\\\n]|\\\\.)*+)\"|'((?:[^'\\\\\\n]|\\\\.)*+)'|[A-Za-z0-9_.+-]++|[{}<>\\[\\]:,;]");
  private static final Pattern ESCAPE =
      Pattern.compile("\\\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))");
  private static final Map<String, String> ESCAPED = Map.of("n", "\n", "t", "\t", "r", "\r");
  private static final String END = "the end of the file";

  private final String text;
  private int place;
  private String token;
  private boolean isString;

  private TextProto(String text) {
    this.text = text;
    next();
  }

  /** Reads a message. @throws PerformerException that names the line that is not of this form */
  static ObjectNode read(String text) {
    return new TextProto(text).message(END, 0);
  }

  private void next() {
    Matcher space = SPACE.matcher(text).region(place, text.length());
    place = space.lookingAt() ? space.end() : place;
    Matcher found = TOKEN.matcher(text).region(place, text.length());
    if (place == text.length()) {
      token = END;
      isString = false;
      return;
    }
    if (!found.lookingAt()) {
      token = text.substring(place, place + 1);
      throw unexpected("a field");
    }
    place = found.end();
    String string = found.group(1) != null ? found.group(1) : found.group(2);
    isString = string != null;
    token = isString ? unescaped(string) : found.group();
  }

  /** Escapes are bytes of UTF-8. */
  private static String unescaped(String string) {
    String bytes = new String(string.getBytes(UTF_8), ISO_8859_1);
    String plain = ESCAPE.matcher(bytes).replaceAll(TextProto::unescaped);
    return new String(plain.getBytes(ISO_8859_1), UTF_8);
  }

  private static String unescaped(MatchResult escape) {
    String other = escape.group(3);
    String plain =
        other != null
            ? ESCAPED.getOrDefault(other, other)
            : escape.group(1) != null
                ? "" + (char) Integer.parseInt(escape.group(1), 8)
                : "" + (char) Integer.parseInt(escape.group(2), 16);
    return Matcher.quoteReplacement(plain);
  }

  private boolean is(String sign) {
    return !isString && token.equals(sign);
  }

  private boolean skip(String sign) {
    boolean is = is(sign);
    if (is) {
      next();
    }
    return is;
  }

  private PerformerException unexpected(String wanted) {
    long line = text.substring(0, place).chars().filter(c -> c == '\n').count() + 1;
    String found = "line %d: '%s' where %s is expected";
    return new PerformerException(found.formatted(line, Excerpt.of(token), wanted));
  }

  private ObjectNode message(String end, int depth) {
    require(depth < DEEPEST, "messages lie more than %d deep in each other", DEEPEST);
    ObjectNode message = JsonNodeFactory.instance.objectNode();
    while (!is(end)) {
      if (isString || !token.matches("[A-Za-z_][A-Za-z0-9_]*")) {
        throw unexpected("the name of a field");
      }
      String name = token;
      next();
      boolean hasColon = skip(":");
      if (skip("[")) {
        while (!skip("]")) {
          add(message, name, value(hasColon, depth));
          if (!skip(",") && !is("]")) {
            throw unexpected("]");
          }
        }
      } else {
        add(message, name, value(hasColon, depth));
      }
      if (!skip(",")) {
        skip(";");
      }
    }
    if (!end.equals(END)) {
      next();
    }
    return message;
  }

  private JsonNode value(boolean hasColon, int depth) {
    if (skip("{")) {
      return message("}", depth + 1);
    } else if (skip("<")) {
      return message(">", depth + 1);
    } else if (!hasColon) {
      throw unexpected(": or {");
    }
    StringBuilder value = new StringBuilder(token);
    if (!isString && !token.matches("[A-Za-z0-9_.+-]+")) {
      throw unexpected("a value");
    }
    boolean isText = isString;
    next();
    while (isText && isString) { // strings behind each other are one
      value.append(token);
      next();
    }
    return JsonNodeFactory.instance.textNode(value.toString());
  }

  private static void add(ObjectNode message, String name, JsonNode value) {
    JsonNode before = message.get(name);
    if (before == null) {
      message.set(name, value);
    } else if (before instanceof ArrayNode array) {
      array.add(value);
    } else {
      message.putArray(name).add(before).add(value);
    }
  }
}
