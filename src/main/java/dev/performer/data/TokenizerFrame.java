package dev.performer.data;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;

/**
 * The special tokens that the post-processor of a tokenizer.json puts before and after a single
 * text.
 */
record TokenizerFrame(int[] prefix, int[] suffix) {
  private static final TokenizerFrame NONE = new TokenizerFrame(new int[0], new int[0]);

  /**
   * @param size number of tokens there are
   */
  static TokenizerFrame of(JsonNode processor, int size) {
    String type = processor.path("type").asText("");
    return switch (type) {
      case "", "ByteLevel" -> {
        require(!type.isEmpty() || !processor.isObject(), "key post_processor: has no type");
        yield NONE;
      }
      case "BertProcessing", "RobertaProcessing" ->
          NONE.around(
              id(processor.path("cls").path(1), size), id(processor.path("sep").path(1), size));
      case "TemplateProcessing" -> template(processor, size);
      case "Sequence" -> {
        TokenizerFrame all = NONE;
        for (JsonNode part : processor.path("processors")) {
          TokenizerFrame one = of(part, size);
          // A later one puts its tokens around those of the earlier.
          all = all.around(IntStream.of(one.prefix), IntStream.of(one.suffix));
        }
        yield all;
      }
      default ->
          throw new PerformerException(
              "key post_processor: type '%s' is not known".formatted(Excerpt.of(type)));
    };
  }

  private static TokenizerFrame template(JsonNode processor, int size) {
    TokenizerFrame all = NONE;
    boolean isBehind = false;
    for (JsonNode piece : processor.path("single")) {
      if (piece.has("Sequence") && !isBehind) {
        isBehind = true;
        continue;
      }
      JsonNode name = piece.path("SpecialToken").path("id");
      JsonNode ids = processor.path("special_tokens").path(name.asText()).path("ids");
      require(
          name.isTextual() && ids.isArray(),
          "key post_processor: single has %s, which special_tokens does not explain",
          Excerpt.of(piece.toString()));
      IntStream more =
          StreamSupport.stream(ids.spliterator(), false).flatMapToInt(id -> id(id, size));
      all =
          isBehind
              ? new TokenizerFrame(all.prefix, joined(IntStream.of(all.suffix), more))
              : new TokenizerFrame(joined(IntStream.of(all.prefix), more), all.suffix);
    }
    require(isBehind, "key post_processor: single has no sequence");
    return all;
  }

  private TokenizerFrame around(IntStream before, IntStream behind) {
    return new TokenizerFrame(
        joined(before, IntStream.of(prefix)), joined(IntStream.of(suffix), behind));
  }

  private static int[] joined(IntStream one, IntStream other) {
    return IntStream.concat(one, other).toArray();
  }

  private static IntStream id(JsonNode id, int size) {
    require(
        id.isInt() && id.intValue() >= 0 && id.intValue() < size,
        "key post_processor: the id %s is no token; there are %d",
        Excerpt.of(id.toString()),
        size);
    return IntStream.of(id.intValue());
  }
}
