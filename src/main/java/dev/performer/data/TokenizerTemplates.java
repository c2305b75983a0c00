package dev.performer.data;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * The tokenizer.json of vocabularies that come without: BERT's list of word pieces, ESM's of
 * residues, and byte-level BPE as GPT-2 and RoBERTa have it. Settings are those of a
 * tokenizer_config.json, which may be absent.
 */
final class TokenizerTemplates {
  /** Of BERT without its tokens. */
  private static final String BERT =
      """
      {"version": "1.0", "added_tokens": [],
       "normalizer": %3$s,
       "pre_tokenizer": {"type": "BertPreTokenizer"},
       "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", %1$d], "cls": ["[CLS]", %2$d]},
       "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
       "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100}}
      """;

  private static final String BERT_NORMALIZER =
      """
      {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": %3$s,
       "strip_accents": %2$s, "lowercase": %1$s}""";

  /** Case is folded, which composes compatible characters, and control characters are spaces. */
  private static final String KERAS_HUB_NORMALIZER =
      """
      {"type": "Sequence", "normalizers": [
       {"type": "Replace", "pattern": {"Regex": "[\\\\p{Cc}\\\\p{Cf}]"}, "content": " "},
       {"type": "BertNormalizer", "clean_text": false, "handle_chinese_chars": true,
        "strip_accents": %s, "lowercase": false}%s]}""";

  private static final String FOLDING =
      """
      , {"type": "NFKC"}, {"type": "Lowercase"},
       {"type": "Replace", "pattern": {"String": "\u00df"}, "content": "ss"},
       {"type": "Replace", "pattern": {"String": "\u03c2"}, "content": "\u03c3"}""";

  /** Of ESM: each letter by itself; spaces are nothing. */
  private static final String RESIDUES =
      """
      {"version": "1.0", "added_tokens": [], "normalizer": null,
       "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
        {"type": "Split", "pattern": {"Regex": "<[^<>]+>|."}, "behavior": "Isolated", "invert": false}]},
       "post_processor": {"type": "BertProcessing", "sep": ["<eos>", %1$d], "cls": ["<cls>", %2$d]},
       "decoder": {"type": "Fuse"},
       "model": {"type": "WordLevel", "unk_token": "<unk>"}}
      """;

  private static final String BYTE_LEVEL =
      """
      {"version": "1.0", "added_tokens": [], "normalizer": null,
       "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": %s, "trim_offsets": true, "use_regex": true},
       "post_processor": null,
       "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
       "model": {"type": "BPE", "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false}}
      """;

  private static final List<String> OF_BERT = List.of("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]");
  private static final List<String> OF_RESIDUES =
      List.of("<cls>", "<pad>", "<eos>", "<unk>", "<mask>");
  private static final List<String> OF_BYTES =
      List.of("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>");
  private static final Set<String> BYTE_LEVEL_CLASSES =
      Set.of("", "GPT2Tokenizer", "RobertaTokenizer", "BartTokenizer", "LongformerTokenizer");

  private TokenizerTemplates() {}

  /** Tokens, one a line: ESM's residues, known by {@code <cls>}, else BERT's word pieces. */
  static byte[] tokens(List<String> lines, JsonNode settings, String source) {
    boolean isEsm = lines.containsAll(List.of("<cls>", "<eos>", "<unk>"));
    return isEsm ? residues(lines, settings, source) : wordPieces(lines, settings, source);
  }

  private static byte[] residues(List<String> lines, JsonNode settings, String source) {
    int begin = lines.indexOf("<cls>");
    ObjectNode json = tree(RESIDUES, source, lines.indexOf("<eos>"), begin);
    return bytes(json, vocabulary(lines, source), settings, OF_RESIDUES);
  }

  /** Word pieces, one a line; texts become lower case unless {@code do_lower_case} is false. */
  private static byte[] wordPieces(List<String> lines, JsonNode settings, String source) {
    JsonNode accents = settings.path("strip_accents");
    String normalizer =
        BERT_NORMALIZER.formatted(
            settings.path("do_lower_case").asBoolean(true),
            accents.isBoolean() ? accents : "null",
            settings.path("tokenize_chinese_chars").asBoolean(true));
    return wordPieces(lines, normalizer, settings, source);
  }

  /** As KerasHub cuts them, by the settings of its tokenizer. */
  static byte[] wordPiecesOfKerasHub(List<String> lines, JsonNode settings, String source) {
    boolean isUsual =
        settings.path("split").asBoolean(true)
            && settings.path("suffix_indicator").asText("##").equals("##")
            && settings.path("oov_token").asText("[UNK]").equals("[UNK]");
    require(isUsual, "%s: word pieces need split, suffix_indicator ## and oov_token [UNK]", source);
    boolean strips = settings.path("strip_accents").asBoolean(false);
    String folding = settings.path("lowercase").asBoolean(false) ? FOLDING : "";
    String normalizer = KERAS_HUB_NORMALIZER.formatted(strips, folding);
    return wordPieces(lines, normalizer, MissingNode.getInstance(), source);
  }

  private static byte[] wordPieces(
      List<String> lines, String normalizer, JsonNode settings, String source) {
    List<String> missing = new ArrayList<>(List.of("[UNK]", "[CLS]", "[SEP]"));
    missing.removeAll(lines);
    String lacks = String.join(", ", missing);
    require(lacks.isEmpty(), "%s: is no vocabulary of BERT, it lacks %s", source, lacks);
    ObjectNode json =
        tree(BERT, source, lines.indexOf("[SEP]"), lines.indexOf("[CLS]"), normalizer);
    return bytes(json, vocabulary(lines, source), settings, OF_BERT);
  }

  /** The id of each token, its line. */
  private static ObjectNode vocabulary(List<String> lines, String source) {
    ObjectNode vocabulary = JsonNodeFactory.instance.objectNode();
    for (int id = 0; id < lines.size(); id++) {
      if (vocabulary.replace(lines.get(id), IntNode.valueOf(id)) != null) {
        String twice = "%s: line %d: '%s' stands there twice";
        throw new PerformerException(twice.formatted(source, id + 1, Excerpt.of(lines.get(id))));
      }
    }
    return vocabulary;
  }

  /**
   * Byte-level BPE.
   *
   * @param vocabulary the id of each token
   * @param merges the lines of a merges.txt
   */
  static byte[] byteLevel(
      JsonNode vocabulary, List<String> merges, JsonNode settings, String source) {
    String kind = settings.path("tokenizer_class").asText("").replaceFirst("Fast$", "");
    String other = "%s: a %s is not read from a vocabulary and merges; give its tokenizer.json";
    require(BYTE_LEVEL_CLASSES.contains(kind), other, source, kind);
    require(vocabulary.isObject(), "%s: expected an object that gives each token's id", source);
    ObjectNode json = tree(BYTE_LEVEL, source, settings.path("add_prefix_space").asBoolean(false));
    ArrayNode pairs = ((ObjectNode) json.get("model")).putArray("merges");
    merges.stream().filter(m -> !m.startsWith("#version") && !m.isEmpty()).forEach(pairs::add);
    String begin = token(settings, "bos_token", "<|endoftext|>");
    boolean isFramed =
        !kind.equals("GPT2Tokenizer") && vocabulary.has("<s>") && vocabulary.has("</s>");
    if (isFramed) {
      ObjectNode frame = json.putObject("post_processor").put("type", "RobertaProcessing");
      frame.putArray("sep").add("</s>").add(vocabulary.get("</s>"));
      frame.putArray("cls").add("<s>").add(vocabulary.get("<s>"));
      frame.put("trim_offsets", true).put("add_prefix_space", false);
    } else if (settings.path("add_bos_token").asBoolean() && vocabulary.has(begin)) {
      ObjectNode frame = json.putObject("post_processor").put("type", "TemplateProcessing");
      ArrayNode single = frame.putArray("single");
      single.addObject().putObject("SpecialToken").put("id", begin).put("type_id", 0);
      single.addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
      frame
          .putArray("pair")
          .addAll(single.deepCopy())
          .addObject()
          .putObject("Sequence")
          .put("id", "B")
          .put("type_id", 1);
      ObjectNode known = frame.putObject("special_tokens").putObject(begin).put("id", begin);
      known.putArray("ids").add(vocabulary.get(begin));
      known.putArray("tokens").add(begin);
    }
    return bytes(json, (ObjectNode) vocabulary, settings, OF_BYTES);
  }

  /** A token by its key: a string, or an object with a content. */
  static String token(JsonNode settings, String key, String otherwise) {
    JsonNode value = settings.path(key);
    JsonNode text = value.isObject() ? value.path("content") : value;
    return text.isTextual() ? text.textValue() : otherwise;
  }

  private static ObjectNode tree(String template, String source, Object... values) {
    byte[] text = template.formatted(values).getBytes(StandardCharsets.UTF_8);
    return (ObjectNode) StrictJson.readTree(text, source);
  }

  /** With its vocabulary, and the special tokens that the settings or the usual names tell. */
  private static byte[] bytes(
      ObjectNode json, ObjectNode vocabulary, JsonNode settings, List<String> usual) {
    ((ObjectNode) json.get("model")).set("vocab", vocabulary);
    ArrayNode added = (ArrayNode) json.get("added_tokens");
    for (var known : settings.path("added_tokens_decoder").properties()) {
      if (known.getValue() instanceof ObjectNode token && known.getKey().matches("\\d{1,8}")) {
        added.add(token.deepCopy().put("id", Integer.parseInt(known.getKey())));
      }
    }
    if (added.isEmpty()) {
      usual.stream()
          .filter(vocabulary::has)
          .forEach(
              token -> {
                ObjectNode special = added.addObject().put("id", vocabulary.get(token).asInt());
                special.put("content", token).put("single_word", false).put("rstrip", false);
                special.put("lstrip", token.equals("<mask>")).put("normalized", false);
                special.put("special", true);
              });
    }
    return json.toString().getBytes(StandardCharsets.UTF_8);
  }
}
