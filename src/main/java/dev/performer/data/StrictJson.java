package dev.performer.data;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.exc.UnrecognizedPropertyException;
import com.fasterxml.jackson.databind.exc.ValueInstantiationException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.type.LogicalType;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import java.io.IOException;
import java.lang.invoke.MethodType;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** JSON bound to records; what a record does not know is an error that names the nearest key. */
public final class StrictJson {
  private static final ObjectMapper MAPPER =
      JsonMapper.builder()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.FAIL_ON_NUMBERS_FOR_ENUMS)
          .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
          .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
          .withCoercionConfig(
              LogicalType.Textual,
              text ->
                  text.setCoercion(CoercionInputShape.Integer, CoercionAction.Fail)
                      .setCoercion(CoercionInputShape.Float, CoercionAction.Fail)
                      .setCoercion(CoercionInputShape.Boolean, CoercionAction.Fail))
          .build();

  /** For values inside of a larger text. */
  private static final ObjectMapper NEXT =
      MAPPER.copy().disable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  /** Loaded at the first use: the library is optional. */
  private static final class Yaml {
    static final ObjectMapper MAPPER =
        YAMLMapper.builder()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(YAMLGenerator.Feature.MINIMIZE_QUOTES)
            .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
            .build();
  }

  /** What the parser's messages tell of itself, in parentheses and behind what is wrong. */
  private static final Pattern PARSER_TERMS =
      Pattern.compile(
          "\\s*\\((start marker|for |bound|of type|from |not recognized)([^()]|\\([^()]*\\))*\\)|: (enable|not allowed) .*`.*");

  private StrictJson() {}

  private static ObjectMapper yamlMapper() {
    OptionalLibrary.YAML.require("YAML");
    return Yaml.MAPPER;
  }

  /** Reads a JSON file; errors name file and key. */
  public static <T> T read(Path file, Class<T> type) {
    return parsed(file.toString(), () -> MAPPER.readValue(RegularFiles.readAllBytes(file), type));
  }

  /** Reads JSON, or YAML if the name ends with {@code .yaml} or {@code .yml}, for {@link #bind}. */
  public static JsonNode readTree(Path file) {
    String name = file.toString();
    ObjectMapper mapper = isYaml(name) ? yamlMapper() : MAPPER;
    return parsed(name, () -> mapper.readTree(RegularFiles.readAllBytes(file)));
  }

  /** Reads the bytes of a JSON file as a tree. @param source how errors name where it came from */
  public static JsonNode readTree(byte[] json, String source) {
    return parsed(source, () -> MAPPER.readTree(json));
  }

  /** Reads YAML as a tree. @param source how errors name where it came from */
  public static JsonNode readYaml(String yaml, String source) {
    return parsed(source, () -> yamlMapper().readTree(yaml));
  }

  /** Binds a tree to a record. */
  public static <T> T bind(JsonNode tree, Class<T> type, String source) {
    return parsed(source, () -> MAPPER.treeToValue(tree, type));
  }

  /** Binds what a parser reads next, and nothing behind it. @param source how errors name it */
  public static <T> T bind(JsonParser parser, Class<T> type, String source) {
    return parsed(source, () -> NEXT.readValue(parser, type));
  }

  /** The tree that {@link #bind} turns into an equal record. */
  public static JsonNode tree(Object value) {
    return MAPPER.valueToTree(value);
  }

  /** A tree as YAML. */
  public static String yaml(JsonNode tree) {
    try {
      return yamlMapper().writeValueAsString(tree);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /** A value as a message has it behind "not": in JSON, or that there is none. */
  public static String shown(JsonNode value) {
    return value.isMissingNode()
        ? "missing"
        : value.isNull() ? "empty" : Excerpt.of(value.toString());
  }

  private interface Parse<T> {
    T run() throws IOException;
  }

  private static <T> T parsed(String file, Parse<T> parse) {
    try {
      T value = parse.run();
      require(value != null, "%s is empty or 'null'; expected an object", file);
      boolean isValue = value instanceof JsonNode node && !node.isContainerNode();
      require(!isValue, "%s holds a single value; expected an object", file);
      return value;
    } catch (IOException e) {
      throw new PerformerException(file + problem(file, e), e);
    } catch (IndexOutOfBoundsException e) { // YAML's reader, where a file ends inside a character
      throw new PerformerException(file + " is not YAML: it is cut off or damaged", e);
    }
  }

  private static String problem(String file, IOException e) {
    if (e instanceof ValueInstantiationException wrong) {
      // With the keys that lead to what is wrong, where the reason does not name them itself.
      String reason = wrong.getCause().getMessage();
      String place = wrong.getPath().isEmpty() ? "" : path(wrong) + ".";
      return reason == null
          ? ": key " + path(wrong) + " is wrong"
          : ": " + (reason.startsWith(place) ? "" : place) + reason;
    }
    if (e instanceof UnrecognizedPropertyException unknown) {
      return ": unknown key " + Excerpt.of(path(unknown)) + nearest(unknown);
    }
    if (e instanceof JsonMappingException at) {
      String what = e instanceof MismatchedInputException other ? expected(other) : reason(e);
      return ": key " + Excerpt.of(path(at)) + ": " + what;
    }
    if (e instanceof JsonProcessingException broken) {
      JsonLocation at = broken.getLocation();
      String line = at == null ? "" : "line " + at.getLineNr() + ": ";
      return (isYaml(file) ? " is not YAML: " : " is not JSON: ") + line + reason(e);
    }
    return " cannot be read: " + AtomicFiles.describe(e);
  }

  private static boolean isYaml(String file) {
    return file.matches("(?i).*\\.ya?ml");
  }

  /** Writes an indented JSON file, whole or not at all. */
  public static void write(Path file, Object value) throws IOException {
    AtomicFiles.write(
        file, (MAPPER.writeValueAsString(value) + "\n").getBytes(StandardCharsets.UTF_8));
  }

  private static String path(JsonMappingException e) {
    String path = "";
    for (var at : e.getPath()) {
      String key = at.getFieldName();
      path += key == null ? "[" + at.getIndex() + "]" : (path.isEmpty() ? "" : ".") + key;
    }
    return path.isEmpty() ? "(the whole file)" : path;
  }

  /** What is wrong with a text that is no JSON, in one short line. */
  public static String reason(IOException e) {
    if ((e + "").contains("CharConversionException")) { // YAML's reader names the class only
      return "it holds bytes that are no UTF-8";
    }
    if (!(e instanceof JsonProcessingException known) || known.getOriginalMessage() == null) {
      return AtomicFiles.describe(e);
    }
    if (e instanceof StreamConstraintsException) {
      return "it is nested too deep, or a number or a name in it is too long";
    }
    String first = known.getOriginalMessage().lines().findFirst().orElse("");
    return Excerpt.of(
        PARSER_TERMS
            .matcher(first)
            .replaceAll("")
            .replaceAll("(?i)unexpected", "misplaced")
            .replaceAll(", got this instead: <.*", ""));
  }

  private static String expected(MismatchedInputException e) {
    Class<?> type = e.getTargetType();
    if (type == null) {
      return reason(e);
    } else if (type.isEnum()) {
      return Arrays.stream(type.getEnumConstants())
          .map(constant -> MAPPER.valueToTree(constant).asText())
          .collect(Collectors.joining(", ", "expected one of ", ""));
    }
    Class<?> boxed = MethodType.methodType(type).wrap().returnType();
    if (boxed == Integer.class || boxed == Long.class) {
      return "expected a whole number";
    } else if (Number.class.isAssignableFrom(boxed)) {
      return "expected a number";
    } else if (boxed == Boolean.class) {
      return "expected true or false";
    } else if (type == String.class) {
      return "expected a string in quotes";
    }
    return Collection.class.isAssignableFrom(type) ? "expected a list" : "expected an object";
  }

  private static String nearest(UnrecognizedPropertyException e) {
    var known = Objects.requireNonNullElse(e.getKnownPropertyIds(), List.of());
    String near = Labels.nearest(e.getPropertyName(), known.stream().map(String::valueOf).toList());
    return near.isEmpty() ? "" : "; did you mean " + near + "?";
  }
}
