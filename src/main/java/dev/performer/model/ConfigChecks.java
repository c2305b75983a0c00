package dev.performer.model;

import dev.performer.PerformerException;

/** What single values of a configuration must be. */
final class ConfigChecks {
  private ConfigChecks() {}

  static void present(String key, Object value) {
    if (value == null) {
      throw new PerformerException("key " + key + " is missing");
    }
  }

  static void positive(String key, int value) {
    if (value < 1) {
      throw new PerformerException("key " + key + " must be 1 or more, not " + value);
    }
  }

  static void atMost(String key, int value, int most) {
    if (value > most) {
      throw new PerformerException("key %s must be at most %d, not %d".formatted(key, most, value));
    }
  }

  /** A matrix must fit into one array. */
  static void matrix(String rowsKey, long rows, String columnsKey, long columns) {
    if (rows * columns > Integer.MAX_VALUE - 16) {
      throw new PerformerException(
          "%s %d times %s %d is more than a matrix can hold; use smaller ones"
              .formatted(rowsKey, rows, columnsKey, columns));
    }
  }

  static void notNegative(String key, int value) {
    if (value < 0) {
      throw new PerformerException("key " + key + " must be 0 or more, not " + value);
    }
  }

  static void token(String key, Integer value, int vocabularySize) {
    if (value != null && (value < 0 || value >= vocabularySize)) {
      throw new PerformerException(
          "key %s is %d, but tokens go from 0 to %d".formatted(key, value, vocabularySize - 1));
    }
  }

  static int divided(int hiddenSize, int heads) {
    if (hiddenSize % heads != 0) {
      throw new PerformerException(
          "hiddenSize %d is no multiple of heads %d; set headSize".formatted(hiddenSize, heads));
    }
    return hiddenSize / heads;
  }

  /** An attention entry; null is none. */
  static void attention(String key, AttentionConfig entry, int heads, int headSize) {
    if (entry == null) {
      return;
    }
    matrix("features", entry.projectionRows(), "headSize", headSize);
    if (entry instanceof AttentionConfig.Favor favor && favor.config().exactHeads() > heads) {
      throw new PerformerException(
          "%s.exactHeads is %d, but there are %d heads"
              .formatted(key, favor.config().exactHeads(), heads));
    }
  }
}
