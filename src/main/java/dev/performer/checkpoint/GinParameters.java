package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.util.Optional;
import java.util.Set;
import java.util.function.DoublePredicate;

/**
 * The parameters of a configurable, with the types that they must have.
 *
 * @param parent whose parameters it inherits; itself for none
 */
record GinParameters(GinConfig gin, String scope, String name, String parent) {

  /** The value of a parameter; empty where the default holds. */
  Optional<Object> value(String key) {
    return gin.value(scope, name, key).or(() -> gin.value(scope, parent, key));
  }

  Object value(String key, Object absent) {
    return value(key).orElse(absent);
  }

  boolean bool(String key, boolean absent) {
    Object value = value(key, absent);
    if (value instanceof Boolean flag) {
      return flag;
    }
    throw wrong(key, value, "True or False");
  }

  double number(String key, double absent, DoublePredicate condition, String expected) {
    Object value = value(key, absent);
    if (value instanceof Number n && condition.test(n.doubleValue())) {
      return n.doubleValue();
    }
    throw wrong(key, value, expected);
  }

  long whole(String key, long absent) {
    Object value = value(key, absent);
    if (value instanceof Long n) {
      return n;
    }
    throw wrong(key, value, "a whole number");
  }

  /** What a configurable does not take would change nothing here, and is a mistake. */
  void requireOnly(Set<String> known) {
    for (String key : gin.parameters(scope, name)) {
      boolean isKnown = known.contains(key);
      require(isKnown, "%s: %s has no parameter %s; it has %s", gin.file(), name, key, known);
    }
  }

  PerformerException wrong(String key, Object value, String expected) {
    return new PerformerException(
        "%s: %s.%s is %s; expected %s".formatted(gin.file(), name, key, value, expected));
  }
}
