package dev.performer.data;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The part of Hugging Face's tokenizer_config.json that matters here.
 *
 * @param lowerCase whether BERT's texts become lower case; true where nothing is said
 */
record TokenizerConfigFile(boolean lowerCase, JsonTokenizer.SpecialTokens specialTokens) {
  private static final String FILE = "tokenizer_config.json";

  /** That beside a tokenizer; what it does not say is assumed. */
  static TokenizerConfigFile beside(Path tokenizer) {
    Path file = tokenizer.resolveSibling(FILE);
    if (!Files.isRegularFile(file)) {
      return new TokenizerConfigFile(true, JsonTokenizer.SpecialTokens.NONE);
    }
    JsonNode tree = StrictJson.readTree(file);
    String begins = token(tree, "cls_token");
    String ends = token(tree, "sep_token");
    return new TokenizerConfigFile(
        tree.path("do_lower_case").asBoolean(true),
        new JsonTokenizer.SpecialTokens(
            token(tree, "pad_token"),
            token(tree, "mask_token"),
            begins != null ? begins : token(tree, "bos_token"),
            ends != null ? ends : token(tree, "eos_token"),
            token(tree, "unk_token")));
  }

  /** A string, or an object with a content. */
  private static String token(JsonNode tree, String key) {
    JsonNode value = tree.path(key);
    JsonNode text = value.isObject() ? value.path("content") : value;
    return text.isTextual() ? text.asText() : null;
  }
}
