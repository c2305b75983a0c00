package dev.performer.data;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The special tokens that the post-processor of a tokenizer.json puts around a single text.
 *
 * @param prefix ids before it
 * @param suffix ids after it
 */
record TokenizerFrame(int[] prefix, int[] suffix) {
  private static final TokenizerFrame NONE = new TokenizerFrame(new int[0], new int[0]);

  /**
   * @param size number of tokens there are
   * @throws PerformerException if it is of a kind that is not known, or its ids are no tokens
   */
  static TokenizerFrame of(JsonNode processor, int size, String source) {
    return switch (processor.path("type").asText("")) {
      case "" -> {
        if (processor.isObject()) {
          throw broken(source, "has no type");
        }
        yield NONE;
      }
      case "ByteLevel" -> NONE;
      case "BertProcessing", "RobertaProcessing" ->
          new TokenizerFrame(
              ids(processor.path("cls").path(1), size, source),
              ids(processor.path("sep").path(1), size, source));
      case "TemplateProcessing" -> template(processor, size, source);
      case "Sequence" -> {
        TokenizerFrame all = NONE;
        for (JsonNode part : processor.path("processors")) {
          TokenizerFrame one = of(part, size, source);
          // A later one puts its tokens around those of the earlier.
          all = new TokenizerFrame(joined(one.prefix, all.prefix), joined(all.suffix, one.suffix));
        }
        yield all;
      }
      default ->
          throw broken(
              source, "type " + Excerpt.of(processor.path("type").toString()) + " is not known");
    };
  }

  private static TokenizerFrame template(JsonNode processor, int size, String source) {
    List<int[]> prefix = new ArrayList<>();
    List<int[]> suffix = new ArrayList<>();
    boolean isBehind = false;
    for (JsonNode piece : processor.path("single")) {
      if (piece.has("Sequence") && !isBehind) {
        isBehind = true;
        continue;
      }
      JsonNode name = piece.path("SpecialToken").path("id");
      JsonNode token = processor.path("special_tokens").path(name.asText());
      if (!name.isTextual() || !token.path("ids").isArray()) {
        throw broken(
            source,
            "single has "
                + Excerpt.of(piece.toString())
                + ", which special_tokens does not explain");
      }
      for (JsonNode id : token.path("ids")) {
        (isBehind ? suffix : prefix).add(ids(id, size, source));
      }
    }
    if (!isBehind) {
      throw broken(source, "single has no sequence");
    }
    return new TokenizerFrame(
        joined(prefix.toArray(int[][]::new)), joined(suffix.toArray(int[][]::new)));
  }

  private static int[] ids(JsonNode id, int size, String source) {
    if (!id.isInt() || id.intValue() < 0 || id.intValue() >= size) {
      throw broken(
          source, "the id " + Excerpt.of(id.toString()) + " is no token; there are " + size);
    }
    return new int[] {id.intValue()};
  }

  private static int[] joined(int[]... parts) {
    return Arrays.stream(parts).flatMapToInt(Arrays::stream).toArray();
  }

  private static PerformerException broken(String source, String what) {
    return new PerformerException(source + ": key post_processor: " + what);
  }
}
