package dev.performer.model;

import static dev.performer.PerformerException.require;

import dev.performer.model.PerformerConfig.Positions;
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

  static void rescaling(MaskRescaling of, Task task, boolean classToken, int vocabularySize) {
    token("maskRescaling.token", of == null ? null : of.token(), vocabularySize);
    boolean isWhole = task != Task.CAUSAL_LM && !task.hasDecoder() && !classToken;
    String sees =
        "maskRescaling counts masks of a whole sequence: not in causal-lm, sequence-to-sequence or with a classToken";
    require(of == null || isWhole, sees);
  }

  /** An attention entry; null is none. */
  static void checked(String key, AttentionConfig entry, int heads, int headSize, int maxLength) {
    matrix("features", entry == null ? 0 : entry.projectionRows(), "headSize", headSize);
    int rank = entry instanceof AttentionConfig.Linformer linformer ? linformer.rank() : 0;
    matrix("maxLength", 1L + maxLength, key + ".linformer.rank", rank);
    int exact = entry instanceof AttentionConfig.Favor favor ? favor.config().exactHeads() : 0;
    require(exact <= heads, "%s.exactHeads is %d, but there are %d heads", key, exact, heads);
  }

  /** One attention entry for all layers, or one each. */
  static void entries(
      List<AttentionConfig> attention, int layers, int heads, int headSize, int maxLength) {
    int entries = attention.size();
    String message = "attention has %d entries for %d layers; give one, or one each";
    require(entries == 1 || entries == layers, message, entries, layers);
    attention.forEach(entry -> checked("attention", entry, heads, headSize, maxLength));
  }

  static void classifier(Task task, int classes, List<Integer> sizes) {
    sizes.forEach(size -> atLeast(1, "classifierSizes", size));
    require(classes > 0 || !task.hasLabels(), "key classes is missing, the number of classes");
    require(classes > 0 || sizes.isEmpty(), "classifierSizes needs classes above 0");
  }

  static void classToken(Task task, boolean classToken) {
    boolean hasWhole = !classToken || !task.hasTokenLogits();
    require(hasWhole, "classToken needs a task without logits of tokens");
  }

  /** A decoder stands where the task has one. @param isAlone whether no attention is given it */
  static void decoder(Task task, int decoderLayers, boolean isAlone) {
    boolean isPair = task.hasDecoder();
    String pair = "task sequence-to-sequence";
    require(!isPair || decoderLayers > 0, "%s needs decoderLayers above 0", pair);
    require(isPair || decoderLayers <= 0, "decoderLayers needs %s; set it to 0", pair);
    require(isPair || isAlone, "decoderAttention and crossAttention need %s", pair);
  }

  /** Of a decoder; null for the encoder's. */
  static void decoderAttention(
      AttentionConfig encoder, AttentionConfig own, AttentionConfig cross) {
    if (own == null) {
      encoder.withCausality(true); // or refuses
    }
    String message =
        "reformer and attention with a window attend to their own sequence only; set crossAttention to another";
    require((cross == null ? encoder : cross).takesOtherKeys(), message);
  }

  static void padding(Positions positions, Integer padId, boolean classToken) {
    boolean skipsPadding = positions == Positions.LEARNED_BEHIND_PADDING;
    String behind = "positions learned-behind-padding need padId, and no classToken";
    require(!skipsPadding || padId != null && !classToken, behind);
  }
}
