package dev.performer.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;

/**
 * The text of a tokenizer.json, checked before native code sees it.
 *
 * @param source how messages call it
 * @param type WordPiece, BPE or WordLevel
 * @param text without cropping, padding and the tokens around it, which are put there here
 * @param tokens the token of each id; ids that no token has are filled up
 * @param frame the special tokens around a text
 * @param unknown the token that stands for what the vocabulary lacks, or null
 */
record TokenizerJson(
    String source,
    String type,
    String text,
    List<String> tokens,
    TokenizerFrame frame,
    String unknown) {
  private static final int MOST_BYTES = 256 << 20;
  private static final int LARGEST_ID = 4_000_000;
  private static final Set<String> TYPES = Set.of("WordPiece", "BPE", "WordLevel");

  /** The tokenizer of BERT without its tokens. */
  private static final String BERT =
      """
      {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {
          "type": "BertNormalizer",
          "clean_text": true,
          "handle_chinese_chars": true,
          "lowercase": %3$s
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
          "type": "BertProcessing",
          "sep": ["[SEP]", %1$d],
          "cls": ["[CLS]", %2$d]
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
          "type": "WordPiece",
          "unk_token": "[UNK]",
          "continuing_subword_prefix": "##",
          "max_input_chars_per_word": 100
        }
      }
      """;

  /**
   * @throws PerformerException naming source and key, if it is broken
   */
  static TokenizerJson of(byte[] bytes, String source) {
    if (bytes.length > MOST_BYTES) {
      throw new PerformerException(source + ": has more than " + MOST_BYTES + " bytes");
    }
    JsonNode tree = StrictJson.readTree(bytes, source);
    if (!(tree instanceof ObjectNode json) || !json.path("model").isObject()) {
      throw new PerformerException(
          source
              + ": key model: expected an object, as Hugging Face's tokenizers write it; is this a"
              + " tokenizer.json?");
    }
    JsonNode model = json.get("model");
    String type = type(model, source);
    TreeMap<Integer, String> byId = new TreeMap<>();
    putVocabulary(model.path("vocab"), byId, source);
    Set<String> known = new HashSet<>(byId.values());
    if (type.equals("BPE")) {
      requireMerges(model, known, source);
    }
    putAdded(json.path("added_tokens"), byId, known, source);
    if (byId.isEmpty()) {
      throw new PerformerException(source + ": key model.vocab: has no token");
    }
    TokenizerStages.require(json, source);
    json.putNull("truncation");
    json.putNull("padding");
    List<String> tokens = filled(byId);
    TokenizerFrame frame = TokenizerFrame.of(json.path("post_processor"), tokens.size(), source);
    json.putNull("post_processor");
    JsonNode unknown = model.path("unk_token");
    String unknownToken = unknown.isTextual() ? unknown.asText() : null;
    return new TokenizerJson(source, type, json.toString(), tokens, frame, unknownToken);
  }

  private static String type(JsonNode model, String source) {
    JsonNode given = model.path("type");
    // Old files lack it; merges are a mark of BPE, a prefix for the inside of words of
    // WordPiece.
    String type =
        given.isTextual()
            ? given.asText()
            : model.has("merges")
                ? "BPE"
                : model.has("continuing_subword_prefix") ? "WordPiece" : "";
    if (!TYPES.contains(type)) {
      throw new PerformerException(
          "%s: key model.type is %s; expected one of %s"
              .formatted(source, StrictJson.shown(given), TYPES.stream().sorted().toList()));
    }
    return type;
  }

  private static void putVocabulary(
      JsonNode vocabulary, TreeMap<Integer, String> byId, String source) {
    if (!vocabulary.isObject()) {
      throw new PerformerException(
          source + ": key model.vocab: expected an object that gives each token's id");
    }
    vocabulary
        .properties()
        .forEach(e -> put(byId, id(e.getValue(), source, "model.vocab"), e.getKey(), source));
  }

  private static void put(TreeMap<Integer, String> byId, int id, String token, String source) {
    String other = byId.putIfAbsent(id, token);
    if (other != null) {
      throw new PerformerException(
          "%s: key model.vocab: '%s' and '%s' both have id %s"
              .formatted(source, Excerpt.of(other), Excerpt.of(token), id));
    }
  }

  private static int id(JsonNode value, String source, String key) {
    if (!value.isInt() || value.intValue() < 0 || value.intValue() > LARGEST_ID) {
      throw new PerformerException(
          "%s: key %s: an id must be a whole number from 0 to %s, not %s"
              .formatted(source, key, LARGEST_ID, StrictJson.shown(value)));
    }
    return value.intValue();
  }

  private static void requireMerges(JsonNode model, Set<String> known, String source) {
    if (!model.path("merges").isArray()) {
      throw new PerformerException(source + ": key model.merges: expected a list");
    }
    JsonNode prefix = model.path("continuing_subword_prefix");
    String inside = prefix.isTextual() ? prefix.asText() : "";
    for (JsonNode merge : model.get("merges")) {
      String[] pair =
          merge.isTextual()
              ? merge.asText().split(" ", -1)
              : merge.size() == 2
                  ? new String[] {merge.get(0).asText(), merge.get(1).asText()}
                  : new String[0];
      boolean isPair = pair.length == 2 && known.containsAll(List.of(pair));
      if (!isPair
          || !pair[1].startsWith(inside)
          || !known.contains(pair[0] + pair[1].substring(inside.length()))) {
        throw new PerformerException(
            "%s: key model.merges: %s are no two tokens of model.vocab that make a third of it"
                .formatted(source, StrictJson.shown(merge)));
      }
    }
  }

  private static void putAdded(
      JsonNode added, TreeMap<Integer, String> byId, Set<String> known, String source) {
    for (JsonNode token : added) {
      JsonNode content = token.path("content");
      if (!content.isTextual() || content.asText().isEmpty()) {
        throw new PerformerException(
            source + ": key added_tokens: expected objects with an id and a content");
      }
      int id = id(token.path("id"), source, "added_tokens");
      String old = byId.putIfAbsent(id, content.asText());
      if (old != null && !old.equals(content.asText())
          || old == null && !known.add(content.asText())) {
        throw new PerformerException(
            "%s: key added_tokens: '%s' has id %s, but another in model.vocab"
                .formatted(source, Excerpt.of(content.asText()), id));
      }
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
    for (String name : names) {
      int id = name == null ? -1 : tokens.indexOf(name);
      if (id >= 0) {
        return OptionalInt.of(id);
      }
    }
    return OptionalInt.empty();
  }

  /**
   * The tokenizer.json of BERT's vocab.txt.
   *
   * @param lines one token each, the id is its line from 0
   * @param lowerCase whether texts become lower case and lose their accents
   */
  static byte[] ofBert(List<String> lines, boolean lowerCase, String source) {
    List<String> missing = new ArrayList<>(List.of("[UNK]", "[CLS]", "[SEP]"));
    missing.removeAll(lines);
    if (!missing.isEmpty()) {
      throw new PerformerException(
          source + ": is no vocabulary of BERT, it lacks " + String.join(", ", missing));
    }
    ObjectNode vocabulary = (ObjectNode) StrictJson.tree(Map.of());
    for (int id = 0; id < lines.size(); id++) {
      if (vocabulary.replace(lines.get(id), IntNode.valueOf(id)) != null) {
        throw new PerformerException(
            "%s: line %d: '%s' stands there twice"
                .formatted(source, id + 1, Excerpt.of(lines.get(id))));
      }
    }
    String template = BERT.formatted(lines.indexOf("[SEP]"), lines.indexOf("[CLS]"), lowerCase);
    JsonNode json = StrictJson.readTree(template.getBytes(StandardCharsets.UTF_8), source);
    ((ObjectNode) json.get("model")).set("vocab", vocabulary);
    for (String special : List.of("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")) {
      if (vocabulary.has(special)) {
        ((ArrayNode) json.get("added_tokens"))
            .addObject()
            .put("id", lines.indexOf(special))
            .put("content", special)
            .put("single_word", false)
            .put("lstrip", false)
            .put("rstrip", false)
            .put("normalized", false)
            .put("special", true);
      }
    }
    return json.toString().getBytes(StandardCharsets.UTF_8);
  }
}
