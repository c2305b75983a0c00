package dev.performer.data;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
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
import java.util.Objects;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
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
    String source,
    String type,
    String text,
    List<String> tokens,
    TokenizerFrame frame,
    String unknown) {
  private static final int MOST_BYTES = 256 << 20;
  private static final int LARGEST_ID = 4_000_000;
  private static final List<String> TYPES = List.of("BPE", "WordLevel", "WordPiece");

  /** The tokenizer of BERT without its tokens. */
  private static final String BERT =
      """
      {"version": "1.0", "added_tokens": [%4$s],
       "normalizer": {"type": "BertNormalizer", "clean_text": true,
        "handle_chinese_chars": true, "lowercase": %3$s},
       "pre_tokenizer": {"type": "BertPreTokenizer"},
       "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", %1$d], "cls": ["[CLS]", %2$d]},
       "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
       "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100}}
      """;

  private static final String BERT_SPECIAL =
      """
      {"id": %d, "content": "%s", "single_word": false, "lstrip": false, "rstrip": false,
       "normalized": false, "special": true}""";

  static TokenizerJson of(byte[] bytes, String source) {
    try {
      require(bytes.length <= MOST_BYTES, "has more than %d bytes", MOST_BYTES);
      JsonNode tree = StrictJson.readTree(bytes, source);
      require(
          tree.path("model").isObject(),
          "key model: expected an object, as Hugging Face's tokenizers write it; is this a tokenizer.json?");
      return of((ObjectNode) tree, source);
    } catch (PerformerException e) {
      throw e.in(source);
    }
  }

  private static TokenizerJson of(ObjectNode json, String source) {
    JsonNode model = json.get("model");
    String type = type(model);
    TreeMap<Integer, String> byId = vocabulary(model.path("vocab"));
    Set<String> known = new HashSet<>(byId.values());
    if (type.equals("BPE")) {
      requireMerges(model, known);
    }
    putAdded(json.path("added_tokens"), byId, known);
    require(!byId.isEmpty(), "key model.vocab: has no token");
    TokenizerStages.requireSafe(json);
    List<String> tokens = filled(byId);
    TokenizerFrame frame = TokenizerFrame.of(json.path("post_processor"), tokens.size());
    List.of("truncation", "padding", "post_processor").forEach(json::putNull);
    String unknown = model.path("unk_token").textValue();
    return new TokenizerJson(source, type, json.toString(), tokens, frame, unknown);
  }

  private static String type(JsonNode model) {
    JsonNode given = model.path("type");
    // Old files lack it; merges are a mark of BPE, a prefix inside of words one of WordPiece.
    String type =
        given.isTextual()
            ? given.asText()
            : model.has("merges")
                ? "BPE"
                : model.has("continuing_subword_prefix") ? "WordPiece" : "";
    String shown = StrictJson.shown(given);
    require(TYPES.contains(type), "key model.type is %s; expected one of %s", shown, TYPES);
    return type;
  }

  private static TreeMap<Integer, String> vocabulary(JsonNode vocabulary) {
    require(
        vocabulary.isObject(), "key model.vocab: expected an object that gives each token's id");
    TreeMap<Integer, String> byId = new TreeMap<>();
    for (var entry : vocabulary.properties()) {
      int id = id(entry.getValue(), "model.vocab");
      String other = byId.putIfAbsent(id, entry.getKey());
      if (other != null) {
        throw new PerformerException(
            "key model.vocab: '%s' and '%s' both have id %d"
                .formatted(Excerpt.of(other), Excerpt.of(entry.getKey()), id));
      }
    }
    return byId;
  }

  private static int id(JsonNode value, String key) {
    if (!value.isInt() || value.intValue() < 0 || value.intValue() > LARGEST_ID) {
      throw new PerformerException(
          "key %s: an id must be a whole number from 0 to %d, not %s"
              .formatted(key, LARGEST_ID, StrictJson.shown(value)));
    }
    return value.intValue();
  }

  private static void requireMerges(JsonNode model, Set<String> known) {
    require(model.path("merges").isArray(), "key model.merges: expected a list");
    String inside =
        Objects.requireNonNullElse(model.path("continuing_subword_prefix").textValue(), "");
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
            "key model.merges: %s are no two tokens of model.vocab that make a third of it"
                .formatted(StrictJson.shown(merge)));
      }
    }
  }

  private static void putAdded(JsonNode added, TreeMap<Integer, String> byId, Set<String> known) {
    for (JsonNode token : added) {
      String content = token.path("content").asText("");
      require(
          token.path("content").isTextual() && !content.isEmpty(),
          "key added_tokens: expected objects with an id and a content");
      int id = id(token.path("id"), "added_tokens");
      String old = byId.putIfAbsent(id, content);
      require(
          old == null ? known.add(content) : old.equals(content),
          "key added_tokens: '%s' has id %d, but another in model.vocab",
          Excerpt.of(content),
          id);
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

  /**
   * The tokenizer.json of BERT's vocab.txt.
   *
   * @param lines one token each, the id is its line from 0
   * @param lowerCase whether texts become lower case and lose their accents
   */
  static byte[] ofBert(List<String> lines, boolean lowerCase, String source) {
    List<String> missing = new ArrayList<>(List.of("[UNK]", "[CLS]", "[SEP]"));
    missing.removeAll(lines);
    String lacks = String.join(", ", missing);
    require(lacks.isEmpty(), "%s: is no vocabulary of BERT, it lacks %s", source, lacks);
    ObjectNode vocabulary = (ObjectNode) StrictJson.tree(Map.of());
    for (int id = 0; id < lines.size(); id++) {
      if (vocabulary.replace(lines.get(id), IntNode.valueOf(id)) != null) {
        throw new PerformerException(
            "%s: line %d: '%s' stands there twice"
                .formatted(source, id + 1, Excerpt.of(lines.get(id))));
      }
    }
    String added =
        Stream.of("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
            .filter(vocabulary::has)
            .map(special -> BERT_SPECIAL.formatted(lines.indexOf(special), special))
            .collect(Collectors.joining(", "));
    String template =
        BERT.formatted(lines.indexOf("[SEP]"), lines.indexOf("[CLS]"), lowerCase, added);
    JsonNode json = StrictJson.readTree(template.getBytes(StandardCharsets.UTF_8), source);
    ((ObjectNode) json.get("model")).set("vocab", vocabulary);
    return json.toString().getBytes(StandardCharsets.UTF_8);
  }
}
