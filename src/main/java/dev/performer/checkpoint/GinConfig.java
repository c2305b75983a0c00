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
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.DoublePredicate;
import java.util.function.LongPredicate;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The bindings of a gin configuration: {@code scope/module.Name.parameter = value}. A later binding
 * of the same parameter wins, as in gin. Files that it includes are read in their place.
 *
 * @param file where it was read, for messages
 * @param bindings each a {@link Long}, {@link Double}, {@link Boolean}, {@link String}, {@link
 *     List}, {@link Map}, {@link Reference}, {@link Macro} or {@link #NONE}
 * @param skipped imports, which name Python's modules and are not followed
 * @see <a href="https://github.com/google/gin-config">gin-config</a>
 */
record GinConfig(Path file, Map<Key, Object> bindings, List<String> skipped) {
  private static final long MAX_BYTES = 4_000_000;
  private static final int MAX_MACROS = 20;

  private enum Literal {
    None
  }

  /** Python's None. */
  static final Object NONE = Literal.None;

  static final GinConfig EMPTY = new GinConfig(Path.of("config.gin"), Map.of(), List.of());

  /** What is bound, whatever the module; {@code x = 1} is gin's {@code x/macro.value = 1}. */
  record Key(String scope, String name, String parameter) {
    private static final Pattern WRITTEN =
        Pattern.compile("(?:(.*)/)?(?:[^/]*\\.)?([^./]*)\\.([^./]*)");

    static Key of(String written) {
      Matcher parts = WRITTEN.matcher(written);
      return parts.matches()
          ? new Key(Objects.toString(parts.group(1), ""), parts.group(2), parts.group(3))
          : macro(written);
    }

    static Key macro(String name) {
      return new Key(name, "macro", "value");
    }
  }

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

  /** The words of a text, in order. */
  static Set<String> words(String text) {
    return new TreeSet<>(List.of(text.strip().split("\\s+")));
  }

  /** Reads a file. @throws PerformerException that names file and line */
  static GinConfig read(Path file) {
    return parse(file, text(file));
  }

  static String text(Path file) {
    try {
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
    new GinParser(file, text, config, new GinParser.Includes(file)).parse();
    return config;
  }

  /** A parameter as bound in exactly that scope or else in none; macros are resolved. */
  Optional<Object> value(String scope, String name, String parameter) {
    Object anywhere = bindings.get(new Key("", name, parameter));
    Object value = bindings.getOrDefault(new Key(scope, name, parameter), anywhere);
    return Optional.ofNullable(value).map(this::resolved);
  }

  private Object resolved(Object value) {
    Object found = value;
    for (int i = 0; found instanceof Macro macro; i++) {
      found = bindings.get(Key.macro(macro.name()));
      require(found != null, "%s: the macro %s is defined nowhere in this file", file, macro);
      require(i <= MAX_MACROS, "%s: the macro %s refers to itself", file, macro);
    }
    return found;
  }

  /** What is bound without a scope. */
  Parameters of(String name) {
    return new Parameters(this, "", name, name);
  }

  /** Whether it has bindings or is referenced. */
  boolean names(String configurable) {
    return isReferenced(configurable)
        || bindings.keySet().stream().anyMatch(key -> key.name().equals(configurable));
  }

  /** Whether a reference to it is a whole value. */
  boolean isReferenced(String configurable) {
    return bindings.values().stream()
        .anyMatch(value -> value instanceof Reference r && r.name().equals(configurable));
  }

  /** Parameters of a configurable by type. @param parent whose it inherits; itself for none */
  record Parameters(GinConfig gin, String scope, String name, String parent) {
    /** The value of a parameter; empty where the default holds. */
    Optional<Object> value(String key) {
      return gin.value(scope, name, key).or(() -> gin.value(scope, parent, key));
    }

    Object value(String key, Object absent) {
      return value(key).orElse(absent);
    }

    private <T> T typed(
        Class<T> type, String key, Object absent, Predicate<T> condition, String expected) {
      Object value = value(key, absent);
      if (type.isInstance(value) && condition.test(type.cast(value))) {
        return type.cast(value);
      }
      throw wrong(key, value, expected);
    }

    boolean bool(String key, boolean absent) {
      return typed(Boolean.class, key, absent, x -> true, "True or False");
    }

    double number(String key, double absent, DoublePredicate range, String expected) {
      return typed(Number.class, key, absent, x -> range.test(x.doubleValue()), expected)
          .doubleValue();
    }

    long whole(String key, long absent, LongPredicate range, String expected) {
      return typed(Long.class, key, absent, range::test, expected);
    }

    /** Those that have bindings, in order. */
    Set<String> bound() {
      Set<String> bound = new TreeSet<>();
      for (Key key : gin.bindings.keySet()) {
        if (key.name.equals(name) && (key.scope.isEmpty() || key.scope.equals(scope))) {
          bound.add(key.parameter);
        }
      }
      return bound;
    }

    /** What a configurable does not take would change nothing here, and is a mistake. */
    void requireOnly(Set<String> known) {
      for (String key : bound()) {
        boolean isKnown = known.contains(key);
        require(isKnown, "%s: %s has no parameter %s; it has %s", gin.file, name, key, known);
      }
    }

    PerformerException wrong(String key, Object value, String expected) {
      return new PerformerException(
          "%s: %s.%s is %s; expected %s".formatted(gin.file, name, key, value, expected));
    }
  }
}
