package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The bindings of a gin configuration: {@code scope/module.Name.parameter = value}. A later binding
 * of the same parameter wins, as in gin. Files that it includes are read in their place.
 *
 * @param file where it was read, for messages
 * @param bindings values by full key: {@link Long}, {@link Double}, {@link Boolean}, {@link
 *     String}, {@link List}, {@link Map}, {@link Reference}, {@link Macro} or {@link #NONE}
 * @param skipped imports, which name Python's modules and are not followed
 * @see <a href="https://github.com/google/gin-config">gin-config</a>
 */
record GinConfig(Path file, Map<String, Object> bindings, List<String> skipped) {
  private static final long MAX_BYTES = 4_000_000;
  private static final int MAX_MACROS = 20;
  private static final Pattern KEY =
      Pattern.compile("(?:(.*)/)?(?:[^/]*\\.)?([^./]*)\\.([^./]*)", Pattern.DOTALL);

  private enum Literal {
    None
  }

  /** Python's None. */
  static final Object NONE = Literal.None;

  static final GinConfig EMPTY = new GinConfig(Path.of("config.gin"), Map.of(), List.of());

  /** {@code @scope/name} without modules, or with {@code ()} its result. */
  record Reference(String scope, String name, boolean called) {
    @Override
    public String toString() {
      return "@" + (scope.isEmpty() ? "" : scope + "/") + name + (called ? "()" : "");
    }
  }

  /** {@code %name}. */
  record Macro(String name) {
    @Override
    public String toString() {
      return "%" + name;
    }
  }

  /** Reads a file. @throws PerformerException that names file and line */
  static GinConfig read(Path file) {
    return parse(file, text(file));
  }

  static String text(Path file) {
    try {
      RegularFiles.require(file);
      require(Files.size(file) <= MAX_BYTES, "%s is too large for a gin configuration", file);
      return RegularFiles.readString(file);
    } catch (CharacterCodingException e) {
      throw new PerformerException(file + " is no text in UTF-8", e);
    } catch (IOException e) {
      throw WeightFile.unreadable(file, e);
    }
  }

  /** Parses a text. @throws PerformerException that names file and line */
  static GinConfig parse(Path file, String text) {
    var config = new GinConfig(file, new LinkedHashMap<>(), new ArrayList<>());
    new GinParser(file, text, config, new GinIncludes(file)).parse();
    return config;
  }

  /**
   * The value of a parameter of a configurable, whatever module it is given with, as bound in
   * exactly that scope or else in none; macros are resolved.
   */
  Optional<Object> value(String scope, String name, String parameter) {
    return Optional.ofNullable(values(scope, name).get(parameter)).map(this::resolved);
  }

  /** What is bound without a scope. */
  GinParameters of(String name) {
    return new GinParameters(this, "", name, name);
  }

  /** The parameters that a configurable has bindings for in a scope or in none, in order. */
  Set<String> parameters(String scope, String name) {
    return values(scope, name).keySet();
  }

  private Map<String, Object> values(String scope, String name) {
    Map<String, Object> values = new TreeMap<>();
    for (String place : List.of("", scope)) {
      bindings.forEach(
          (key, value) -> {
            Matcher parts = KEY.matcher(key);
            boolean isBound = parts.matches() && parts.group(2).equals(name);
            if (isBound && place.equals(Optional.ofNullable(parts.group(1)).orElse(""))) {
              values.put(parts.group(3), value);
            }
          });
    }
    return values;
  }

  /** Whether it has bindings or is referenced. */
  boolean names(String configurable) {
    String bound = "(.*[/.])?" + Pattern.quote(configurable) + "\\.[^./]*";
    return isReferenced(configurable)
        || bindings.keySet().stream().anyMatch(key -> key.matches(bound));
  }

  /** Whether a reference to it is a whole value. */
  boolean isReferenced(String configurable) {
    return bindings.values().stream()
        .anyMatch(value -> value instanceof Reference r && r.name().equals(configurable));
  }

  private Object resolved(Object value) {
    Object found = value;
    for (int i = 0; found instanceof Macro macro; i++) {
      Object old = bindings.get(macro.name() + "/macro.value");
      found = bindings.getOrDefault(macro.name(), old);
      require(found != null, "%s: the macro %s is defined nowhere in this file", file, macro);
      require(i <= MAX_MACROS, "%s: the macro %s refers to itself", file, macro);
    }
    return found;
  }
}
