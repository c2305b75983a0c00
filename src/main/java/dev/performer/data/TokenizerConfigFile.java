package dev.performer.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The part of Hugging Face's tokenizer_config.json that matters here.
 *
 * @param tree the file; empty where there is none
 */
record TokenizerConfigFile(JsonNode tree) {
  private static final String FILE = "tokenizer_config.json";

  /** That beside a tokenizer. */
  static TokenizerConfigFile beside(Path tokenizer) {
    Path file = tokenizer.resolveSibling(FILE);
    return new TokenizerConfigFile(
        Files.isRegularFile(file) ? StrictJson.readTree(file) : MissingNode.getInstance());
  }

  /** Whether BERT's texts become lower case; true where it is not specified. */
  boolean lowerCase() {
    return tree.path("do_lower_case").asBoolean(true);
  }

  /** The special tokens that it names. */
  JsonTokenizer.SpecialIds specialIds(TokenizerJson json) {
    return new JsonTokenizer.SpecialIds(
        json.first(token("pad_token")),
        json.first(token("mask_token")),
        json.first(token("cls_token"), token("bos_token")),
        json.first(token("sep_token"), token("eos_token")));
  }

  /** A string, or an object with a content. */
  private String token(String key) {
    JsonNode value = tree.path(key);
    JsonNode text = value.isObject() ? value.path("content") : value;
    return text.isTextual() ? text.asText() : null;
  }
}
