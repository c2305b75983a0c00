package dev.performer.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;

/** Keys of a configuration as tests write them: JSON, or YAML. */
public final class Json {
  private Json() {}

  static JsonNode of(String text) {
    try {
      return new YAMLMapper().readTree(text);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(text, e);
    }
  }

  public static PerformerConfig config(String text) {
    return PerformerConfig.of(of(text), "test");
  }
}
