package dev.performer.model;

import static dev.performer.PerformerException.require;

import dev.performer.nn.RotaryScaling;
import dev.performer.nn.RotaryScaling.Kind;
import java.util.List;

/** Checks of single keys of a {@link PerformerConfig}, whose errors name the key. */
final class ConfigChecks {
  private ConfigChecks() {}

  static void present(String key, Object value) {
    require(value != null, "key %s is missing", key);
  }

  static void atLeast(int least, String key, int value) {
    require(value >= least, "key %s must be %d or more, not %d", key, least, value);
  }

  static void atMost(int most, String key, int value) {
    require(value <= most, "key %s must be at most %d, not %d", key, most, value);
  }

  /** A matrix must fit into one array. */
  static void matrix(String rowsKey, long rows, String columnsKey, long columns) {
    String product = "%s %d times %s %d".formatted(rowsKey, rows, columnsKey, columns);
    boolean fits = rows * columns <= Integer.MAX_VALUE - 16;
    require(fits, "%s is more than a matrix can hold; use smaller ones", product);
  }

  static void token(String key, Integer value, int vocabularySize) {
    boolean isToken = value == null || value >= 0 && value < vocabularySize;
    require(isToken, "key %s is %d, but tokens go from 0 to %d", key, value, vocabularySize - 1);
  }

  static void rotary(
      boolean isRotary, int headSize, RotaryScaling scaling, List<Double> frequencies) {
    boolean isOdd = isRotary && headSize % 2 != 0;
    require(!isOdd, "rotary positions need an even headSize, not %d", headSize);
    require(isRotary || scaling == null, "rotaryScaling needs positions: rotary");
    boolean hasSlow = scaling == null || scaling.kind() != Kind.NTK || headSize > 2;
    require(hasSlow, "rotaryScaling ntk needs a headSize of at least 4, not %d", headSize);
    require(isRotary || frequencies == null, "rotaryFrequencies need positions: rotary");
    String half = "rotaryFrequencies must be headSize / 2 = %d positive numbers";
    boolean fits =
        frequencies == null
            || frequencies.size() == headSize / 2
                && frequencies.stream().allMatch(f -> f > 0 && Double.isFinite(f));
    require(fits, half, headSize / 2);
  }

  /** An attention entry; null is none. */
  static void checked(String key, AttentionConfig entry, int heads, int headSize, int maxLength) {
    matrix("features", entry == null ? 0 : entry.projectionRows(), "headSize", headSize);
    int rank = entry instanceof AttentionConfig.Linformer linformer ? linformer.rank() : 0;
    matrix("maxLength", 1L + maxLength, key + ".linformer.rank", rank);
    int exact = entry instanceof AttentionConfig.Favor favor ? favor.config().exactHeads() : 0;
    require(exact <= heads, "%s.exactHeads is %d, but there are %d heads", key, exact, heads);
  }
}
