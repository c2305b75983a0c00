package dev.performer.data;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.List;

/**
 * The ids of special tokens that the post-processor of a tokenizer.json puts before and after a
 * single text.
 */
record TokenizerFrame(int[] prefix, int[] suffix) {
  /** Refuses what is of no known kind, and ids that are none of so many tokens. */
  static TokenizerFrame of(JsonNode processor, int size) {
    List<Integer> prefix = new ArrayList<>();
    List<Integer> suffix = new ArrayList<>();
    surround(processor, size, prefix, suffix);
    return new TokenizerFrame(
        prefix.stream().mapToInt(i -> i).toArray(), suffix.stream().mapToInt(i -> i).toArray());
  }

  private static void surround(
      JsonNode processor, int size, List<Integer> prefix, List<Integer> suffix) {
    String type = processor.path("type").asText("");
    switch (type) {
      case "" -> require(!processor.isObject(), "key post_processor: has no type");
      case "ByteLevel" -> {}
      case "BertProcessing", "RobertaProcessing" -> {
        prefix.add(0, id(processor.path("cls").path(1), size));
        suffix.add(id(processor.path("sep").path(1), size));
      }
      case "TemplateProcessing" -> fill(processor, size, prefix, suffix);
      // A later one puts its tokens around those of the earlier.
      case "Sequence" ->
          processor.path("processors").forEach(part -> surround(part, size, prefix, suffix));
      default ->
          throw new PerformerException(
              "key post_processor: type '%s' is not known".formatted(Excerpt.of(type)));
    }
  }

  private static void fill(
      JsonNode template, int size, List<Integer> prefix, List<Integer> suffix) {
    int before = 0;
    boolean isBehind = false;
    for (JsonNode piece : template.path("single")) {
      if (piece.has("Sequence") && !isBehind) {
        isBehind = true;
        continue;
      }
      JsonNode name = piece.path("SpecialToken").path("id");
      JsonNode ids = template.path("special_tokens").path(name.asText()).path("ids");
      require(
          name.isTextual() && ids.isArray(),
          "key post_processor: single has %s, which special_tokens does not explain",
          Excerpt.of(piece.toString()));
      for (JsonNode id : ids) {
        if (isBehind) {
          suffix.add(id(id, size));
        } else {
          prefix.add(before++, id(id, size));
        }
      }
    }
    require(isBehind, "key post_processor: single has no sequence");
  }

  private static int id(JsonNode id, int size) {
    String shown = Excerpt.of(id.toString());
    boolean isToken = id.isInt() && id.intValue() >= 0 && id.intValue() < size;
    require(isToken, "key post_processor: the id %s is no token; there are %d", shown, size);
    return id.intValue();
  }
}
