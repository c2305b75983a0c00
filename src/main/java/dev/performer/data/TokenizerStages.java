package dev.performer.data;

import static dev.performer.PerformerException.require;

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

  static void requireSafe(JsonNode json) {
    for (String key : new String[] {"normalizer", "pre_tokenizer", "decoder"}) {
      requireSafe(json.path(key), "key " + key + ": ");
    }
  }

  /** By its fields, as the library guesses the type of a stage that has none. */
  private static void requireSafe(JsonNode stage, String at) {
    String type = stage.path("type").asText("");
    require(
        !type.equals("Precompiled") && !stage.has("precompiled_charsmap"),
        at + "Precompiled, as SentencePiece has it, cannot be read");
    require(
        !type.equals("FixedLength") || stage.path("length").asLong(1) > 0,
        at + "FixedLength needs a length of at least 1");
    require(
        stage.path("stop").asLong(0) == 0,
        at + "Strip can cut at the start of a token only (stop 0)");
    require(
        !stage.has("prepend") || !stage.path("prepend").asText("").isEmpty(),
        at + "Prepend needs a text to put in front");
    if (stage.has("pattern") && stage.has("content")) {
      requireWidth(stage.path("pattern"), at);
    }
    stage.forEach(part -> requireSafe(part, at));
  }

  /** A pattern that is replaced must match something, never nothing. */
  private static void requireWidth(JsonNode pattern, String at) {
    boolean isEmpty = pattern.path("String").asText("x").isEmpty();
    if (pattern.has("Regex")) {
      try {
        Pattern regex = Pattern.compile(pattern.path("Regex").asText());
        isEmpty =
            SAMPLES.stream()
                .flatMap(text -> regex.matcher(text).results())
                .anyMatch(match -> match.start() == match.end());
      } catch (PatternSyntaxException e) {
        throw new PerformerException(
            at + "Replace has a pattern that is no regular expression: " + e.getDescription(), e);
      }
    }
    require(!isEmpty, at + "Replace has a pattern that matches an empty text");
  }
}
