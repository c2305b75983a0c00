package dev.performer.checkpoint;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

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
public record GinConfig(Path file, Map<String, Object> bindings, List<String> skipped) {
  private static final long MAX_BYTES = 4_000_000;

  /** Python's None. */
  public static final Object NONE =
      new Object() {
        @Override
        public String toString() {
          return "None";
        }
      };

  /**
   * {@code @scope/name}, or with {@code ()} its result.
   *
   * @param scope empty if there is none
   * @param name without modules
   * @param called whether parentheses follow
   */
  public record Reference(String scope, String name, boolean called) {
    @Override
    public String toString() {
      return "@" + (scope.isEmpty() ? "" : scope + "/") + name + (called ? "()" : "");
    }
  }

  /** {@code %name}. */
  public record Macro(String name) {
    @Override
    public String toString() {
      return "%" + name;
    }
  }

  /** Reads a file. @throws PerformerException that names file and line */
  public static GinConfig read(Path file) {
    return parse(file, text(file));
  }

  static String text(Path file) {
    try {
      RegularFiles.require(file);
      if (Files.size(file) > MAX_BYTES) {
        throw new PerformerException(file + " is too large for a gin configuration");
      }
      return StandardCharsets.UTF_8
          .newDecoder()
          .decode(java.nio.ByteBuffer.wrap(RegularFiles.readAllBytes(file)))
          .toString();
    } catch (CharacterCodingException e) {
      throw new PerformerException(file + " is no text in UTF-8", e);
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  /** Parses a text. @throws PerformerException that names file and line */
  public static GinConfig parse(Path file, String text) {
    return new GinParser(file, text).parse();
  }

  /**
   * The value of a parameter of a configurable, whatever module it is given with; macros are
   * resolved.
   *
   * @param scope only a binding of exactly this scope, or one without any; "" for no scope
   */
  public Optional<Object> value(String scope, String name, String parameter) {
    Object found = null;
    for (Map.Entry<String, Object> binding : bindings.entrySet()) {
      String key = binding.getKey();
      int slash = key.lastIndexOf('/');
      String bound = slash < 0 ? "" : key.substring(0, slash);
      if ((bound.isEmpty() || bound.equals(scope))
          && matches(key.substring(slash + 1), name, parameter)
          && (found == null || !bound.isEmpty() || !scoped(scope, name, parameter))) {
        found = binding.getValue();
      }
    }
    return Optional.ofNullable(found).map(value -> resolve(value, 0));
  }

  private boolean scoped(String scope, String name, String parameter) {
    return !scope.isEmpty()
        && bindings.keySet().stream()
            .anyMatch(
                key ->
                    key.startsWith(scope + "/")
                        && matches(key.substring(scope.length() + 1), name, parameter));
  }

  private static boolean matches(String selector, String name, String parameter) {
    String wanted = name + "." + parameter;
    return selector.equals(wanted) || selector.endsWith("." + wanted);
  }

  /**
   * The parameters that a configurable has bindings for, in order.
   *
   * @param scope as in {@link #value}
   */
  public Set<String> parameters(String scope, String name) {
    Set<String> found = new TreeSet<>();
    for (String key : bindings.keySet()) {
      int slash = key.lastIndexOf('/');
      String selector = key.substring(slash + 1);
      String parameter = selector.substring(selector.lastIndexOf('.') + 1);
      boolean isInScope = slash < 0 || key.substring(0, slash).equals(scope);
      if (isInScope && matches(selector, name, parameter)) {
        found.add(parameter);
      }
    }
    return found;
  }

  /** Names of configurables that have bindings, without modules. */
  public Set<String> configurables() {
    Set<String> names = new TreeSet<>();
    for (String key : bindings.keySet()) {
      String[] parts = key.substring(key.lastIndexOf('/') + 1).split("\\.");
      if (parts.length > 1) {
        names.add(parts[parts.length - 2]);
      }
    }
    return names;
  }

  /** All references that occur as a whole value. */
  public Set<String> referenced() {
    Set<String> names = new TreeSet<>();
    for (Object value : bindings.values()) {
      if (value instanceof Reference reference) {
        names.add(reference.name());
      }
    }
    return names;
  }

  private Object resolve(Object value, int depth) {
    if (!(value instanceof Macro macro)) {
      return value;
    }
    Object bound = bindings.get(macro.name());
    if (bound == null) {
      bound = bindings.get(macro.name() + "/macro.value");
    }
    if (bound == null || depth > 20) {
      throw new PerformerException(
          "%s: the macro %%%s%s"
              .formatted(
                  file,
                  macro.name(),
                  bound == null ? " is defined nowhere in this file" : " refers to itself"));
    }
    return resolve(bound, depth + 1);
  }

  static GinConfig of(Path file, Map<String, Object> bindings, List<String> skipped) {
    return new GinConfig(file, new LinkedHashMap<>(bindings), List.copyOf(skipped));
  }
}
