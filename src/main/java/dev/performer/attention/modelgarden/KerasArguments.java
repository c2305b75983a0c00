package dev.performer.attention.modelgarden;

import dev.performer.PerformerException;
import java.util.Map;
import java.util.OptionalDouble;

/** The arguments of a Keras layer by name; null is Python's None. */
record KerasArguments(Map<String, ?> values) {

  /** A string; {@code absent} if there is none. */
  String text(String key, String absent) {
    Object value = values.get(key);
    if (value == null) {
      return absent;
    }
    if (value instanceof String text) {
      return text;
    }
    throw wrong(key, value, "a string");
  }

  /** A flag; false if there is none. */
  boolean flag(String key) {
    Object value = values.get(key);
    if (value == null) {
      return false;
    }
    if (value instanceof Boolean flag) {
      return flag;
    }
    throw wrong(key, value, "true or false");
  }

  /** A whole number; {@code absent} if there is none. */
  long whole(String key, long absent) {
    Object value = values.get(key);
    if (value == null) {
      return absent;
    }
    if (value instanceof Number number && number.doubleValue() == number.longValue()) {
      return number.longValue();
    }
    throw wrong(key, value, "a whole number");
  }

  /** A whole number in int32's range; {@code absent} if there is none. */
  int count(String key, int absent) {
    long value = whole(key, absent);
    if (value != (int) value) {
      throw wrong(key, value, "a number below " + Integer.MAX_VALUE);
    }
    return (int) value;
  }

  /** A finite number, or none. */
  OptionalDouble real(String key) {
    Object value = values.get(key);
    if (value == null) {
      return OptionalDouble.empty();
    }
    if (value instanceof Number number && Double.isFinite(number.doubleValue())) {
      return OptionalDouble.of(number.doubleValue());
    }
    throw wrong(key, value, "a number");
  }

  private static PerformerException wrong(String key, Object value, String expected) {
    return new PerformerException(key + " is " + value + ", but must be " + expected);
  }
}
