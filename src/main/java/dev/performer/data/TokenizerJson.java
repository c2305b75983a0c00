package dev.performer.data;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The text of a tokenizer.json, checked before native code sees it.
 *
 * @param type WordPiece, BPE or WordLevel
 * @param text without cropping, padding and the tokens around it, which are put there here
 * @param tokens the token of each id; ids that no token has are filled up
 * @param unknown the token that stands for what the vocabulary lacks, or null
 */
record TokenizerJson(
    String source, String type, String text, List<String> tokens, Frame frame, String unknown) {
  private static final int MOST_BYTES = 256 << 20;
  private static final int LARGEST_ID = 4_000_000;
  private static final List<String> TYPES = List.of("BPE", "WordLevel", "WordPiece");

  static TokenizerJson of(byte[] bytes, String source) {
    try {
      require(bytes.length <= MOST_BYTES, "has more than %d bytes", MOST_BYTES);
      JsonNode json = StrictJson.readTree(bytes, source);
      JsonNode model = json.path("model");
      require(
          model.isObject(),
          "key model: expected an object, as Hugging Face's tokenizers write it; is this a tokenizer.json?");
      String type = type(model);
      TreeMap<Integer, String> byId = vocabulary(model.path("vocab"));
      Set<String> known = new HashSet<>(byId.values());
      if (type.equals("BPE")) {
        requireMerges(model, known);
      }
      putAdded(json.path("added_tokens"), byId, known);
      require(!byId.isEmpty(), "key model.vocab: has no token");
      for (String key : new String[] {"normalizer", "pre_tokenizer", "decoder"}) {
        Stages.requireSafe(json.path(key), "key " + key + ": ");
      }
      List<String> tokens = filled(byId);
      Frame frame = Frame.of(json.path("post_processor"), tokens.size());
      List.of("truncation", "padding", "post_processor").forEach(((ObjectNode) json)::putNull);
      String unknown = model.path("unk_token").textValue();
      return new TokenizerJson(source, type, json.toString(), tokens, frame, unknown);
    } catch (PerformerException e) {
      throw e.in(source);
    }
  }

  /** Old files lack it; merges are a mark of BPE, a prefix inside of words one of WordPiece. */
  private static String type(JsonNode model) {
    JsonNode given = model.path("type");
    String type = given.asText();
    if (!given.isTextual()) {
      String other = model.has("continuing_subword_prefix") ? "WordPiece" : "";
      type = model.has("merges") ? "BPE" : other;
    }
    String shown = StrictJson.shown(given);
    require(TYPES.contains(type), "key model.type is %s; expected one of %s", shown, TYPES);
    return type;
  }

  private static TreeMap<Integer, String> vocabulary(JsonNode vocabulary) {
    boolean isObject = vocabulary.isObject();
    require(isObject, "key model.vocab: expected an object that gives each token's id");
    TreeMap<Integer, String> byId = new TreeMap<>();
    for (var entry : vocabulary.properties()) {
      int id = id(entry.getValue(), LARGEST_ID, "model.vocab");
      String other = byId.putIfAbsent(id, entry.getKey());
      if (other != null) {
        String both = "key model.vocab: '%s' and '%s' both have id %d";
        throw new PerformerException(
            both.formatted(Excerpt.of(other), Excerpt.of(entry.getKey()), id));
      }
    }
    return byId;
  }

  private static int id(JsonNode value, int largest, String key) {
    if (!value.isInt() || value.intValue() < 0 || value.intValue() > largest) {
      String wrong = "key %s: an id must be a whole number from 0 to %d, not %s";
      throw new PerformerException(wrong.formatted(key, largest, StrictJson.shown(value)));
    }
    return value.intValue();
  }

  private static void requireMerges(JsonNode model, Set<String> known) {
    require(model.path("merges").isArray(), "key model.merges: expected a list");
    String inside = model.path("continuing_subword_prefix").asText("");
    for (JsonNode merge : model.get("merges")) {
      String[] pair = merge.asText().split(" ", -1);
      if (merge.size() == 2) {
        pair = new String[] {merge.path(0).asText(), merge.path(1).asText()};
      }
      if (pair.length != 2
          || !known.containsAll(List.of(pair))
          || !pair[1].startsWith(inside)
          || !known.contains(pair[0] + pair[1].substring(inside.length()))) {
        String wrong = "key model.merges: %s are no two tokens of model.vocab that make a third";
        throw new PerformerException(wrong.formatted(StrictJson.shown(merge)));
      }
    }
  }

  private static void putAdded(JsonNode added, TreeMap<Integer, String> byId, Set<String> known) {
    for (JsonNode token : added) {
      String content = token.path("content").asText("");
      boolean isToken = token.path("content").isTextual() && !content.isEmpty();
      require(isToken, "key added_tokens: expected objects with an id and a content");
      int id = id(token.path("id"), LARGEST_ID, "added_tokens");
      String old = byId.putIfAbsent(id, content);
      boolean isOne = old == null ? known.add(content) : old.equals(content);
      String other = "key added_tokens: '%s' has id %d, but another in model.vocab";
      require(isOne, other, Excerpt.of(content), id);
    }
  }

  private static List<String> filled(TreeMap<Integer, String> byId) {
    String[] tokens = new String[byId.lastKey() + 1];
    byId.forEach((id, token) -> tokens[id] = token);
    Set<String> known = new HashSet<>(byId.values());
    for (int id = 0; id < tokens.length; id++) {
      for (String name = "<unused_" + id + ">"; tokens[id] == null; name = "_" + name) {
        tokens[id] = known.add(name) ? name : null;
      }
    }
    return Arrays.asList(tokens);
  }

  /** The id of the first of some tokens that there is. */
  OptionalInt first(String... names) {
    return Stream.of(names).mapToInt(tokens::indexOf).filter(id -> id >= 0).findFirst();
  }

  /** The ids of special tokens that the post-processor puts before and after a single text. */
  record Frame(int[] prefix, int[] suffix) {
    /** Refuses what is of no known kind, and ids that are none of so many tokens. */
    private static Frame of(JsonNode processor, int size) {
      var frame = new Frame(new int[0], new int[0]);
      String type = processor.path("type").asText("");
      switch (type) {
        case "" -> require(!processor.isObject(), "key post_processor: has no type");
        case "ByteLevel" -> {}
        case "BertProcessing", "RobertaProcessing" -> {
          int cls = id(processor.path("cls").path(1), size - 1, "post_processor");
          int sep = id(processor.path("sep").path(1), size - 1, "post_processor");
          frame = new Frame(new int[] {cls}, new int[] {sep});
        }
        case "TemplateProcessing" -> frame = ofTemplate(processor, size);
        case "Sequence" -> {
          for (JsonNode part : processor.path("processors")) {
            frame = of(part, size).around(frame);
          }
        }
        default ->
            throw new PerformerException(
                "key post_processor: type '%s' is not known".formatted(Excerpt.of(type)));
      }
      return frame;
    }

    private Frame around(Frame inner) {
      return new Frame(joined(prefix, inner.prefix), joined(inner.suffix, suffix));
    }

    private static int[] joined(int[] first, int[] second) {
      return IntStream.concat(IntStream.of(first), IntStream.of(second)).toArray();
    }

    private static Frame ofTemplate(JsonNode template, int size) {
      IntStream.Builder prefix = IntStream.builder();
      IntStream.Builder suffix = IntStream.builder();
      boolean isBehind = false;
      for (JsonNode piece : template.path("single")) {
        if (piece.has("Sequence") && !isBehind) {
          isBehind = true;
          continue;
        }
        JsonNode name = piece.path("SpecialToken").path("id");
        JsonNode ids = template.path("special_tokens").path(name.asText()).path("ids");
        String unexplained =
            "key post_processor: single has %s, which special_tokens does not explain";
        require(name.isTextual() && ids.isArray(), unexplained, Excerpt.of(piece.toString()));
        for (JsonNode id : ids) {
          (isBehind ? suffix : prefix).add(id(id, size - 1, "post_processor"));
        }
      }
      require(isBehind, "key post_processor: single has no sequence");
      return new Frame(prefix.build().toArray(), suffix.build().toArray());
    }
  }

  /** Refuses what would end the process as a panic; other errors the library reports itself. */
  private static final class Stages {
    private static final List<String> SAMPLES =
        List.of(
            "",
            "a",
            IntStream.range(1, 0x180).mapToObj(Character::toString).collect(Collectors.joining()),
            "The cafe\u0301, 12 \u6771\u4eac.\n\n  It's \uD83D\uDC4D!\t");

    /** By its fields, as the library guesses the type of a stage that has none. */
    static void requireSafe(JsonNode stage, String at) {
      String type = stage.path("type").asText("");
      boolean isMap = type.equals("Precompiled") || stage.has("precompiled_charsmap");
      require(!isMap, at + "Precompiled, as SentencePiece has it, cannot be read");
      boolean isEmpty = type.equals("FixedLength") && stage.path("length").asLong(1) <= 0;
      require(!isEmpty, at + "FixedLength needs a length of at least 1");
      boolean isAtStart = stage.path("stop").asLong(0) == 0;
      require(isAtStart, at + "Strip can cut at the start of a token only (stop 0)");
      boolean isNothing = stage.has("prepend") && stage.path("prepend").asText("").isEmpty();
      require(!isNothing, at + "Prepend needs a text to put in front");
      if (stage.has("pattern") && stage.has("content")) {
        requireWidth(stage.path("pattern"), at + "Replace has a pattern that ");
      }
      stage.forEach(part -> requireSafe(part, at));
    }

    /** A pattern that is replaced must match something, never nothing. */
    private static void requireWidth(JsonNode pattern, String at) {
      boolean isEmpty = pattern.path("String").asText("x").isEmpty();
      if (pattern.has("Regex")) {
        try {
          Pattern regex = Pattern.compile(pattern.path("Regex").asText());
          var matches = SAMPLES.stream().flatMap(text -> regex.matcher(text).results());
          isEmpty = matches.anyMatch(match -> match.start() == match.end());
        } catch (PatternSyntaxException e) {
          throw new PerformerException(at + "is no regular expression: " + e.getDescription(), e);
        }
      }
      require(!isEmpty, at + "matches an empty text");
    }
  }
}
