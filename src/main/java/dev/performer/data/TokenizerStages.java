package dev.performer.data;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import java.util.List;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Refuses the stages of a tokenizer.json that would end the process, as a panic of the native
 * library does; whatever else is wrong, the library reports itself.
 */
final class TokenizerStages {
  private static final List<String> SAMPLES =
      List.of(
          "",
          "a",
          IntStream.range(1, 0x180).mapToObj(Character::toString).collect(Collectors.joining()),
          "The cafe\u0301, 12 \u6771\u4eac.\n\n  It's \uD83D\uDC4D!\t");

  private TokenizerStages() {}

  /**
   * @throws PerformerException naming source and key
   */
  static void require(JsonNode json, String source) {
    for (String key : new String[] {"normalizer", "pre_tokenizer", "decoder"}) {
      walk(json.path(key), key, source);
    }
  }

  private static void walk(JsonNode stage, String key, String source) {
    if (stage.isObject()) {
      requireSafe(stage, key, source);
    }
    for (JsonNode part : stage) {
      walk(part, key, source);
    }
  }

  /** By its fields, as the library guesses the type of a stage that has none. */
  private static void requireSafe(JsonNode stage, String key, String source) {
    String type = stage.path("type").asText("");
    if (type.equals("Precompiled") || stage.has("precompiled_charsmap")) {
      throw broken(source, key, "Precompiled, as SentencePiece has it, cannot be read");
    }
    if (type.equals("FixedLength") && stage.path("length").asLong(1) < 1) {
      throw broken(source, key, "FixedLength needs a length of at least 1");
    }
    if (stage.path("stop").asLong(0) != 0) {
      throw broken(source, key, "Strip can cut at the start of a token only (stop 0)");
    }
    if (stage.has("prepend") && stage.path("prepend").asText("").isEmpty()) {
      throw broken(source, key, "Prepend needs a text to put in front");
    }
    if (stage.has("pattern") && stage.has("content")) {
      requireWidth(stage.path("pattern"), key, source);
    }
  }

  /** A pattern that is replaced must match something, never nothing. */
  private static void requireWidth(JsonNode pattern, String key, String source) {
    boolean isEmpty = pattern.path("String").asText("x").isEmpty();
    if (pattern.has("Regex")) {
      try {
        Pattern regex = Pattern.compile(pattern.path("Regex").asText());
        isEmpty =
            SAMPLES.stream()
                .flatMap(text -> regex.matcher(text).results())
                .anyMatch(match -> match.start() == match.end());
      } catch (PatternSyntaxException e) {
        throw broken(
            source,
            key,
            "Replace has a pattern that is no regular expression: " + e.getDescription());
      }
    }
    if (isEmpty) {
      throw broken(source, key, "Replace has a pattern that matches an empty text");
    }
  }

  private static PerformerException broken(String source, String key, String what) {
    return new PerformerException(source + ": key " + key + ": " + what);
  }
}
