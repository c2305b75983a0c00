package dev.performer.savedmodel;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.util.StdConverter;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;

/** Attention of a card, which in old cards had keys of its own. */
final class CardAttention extends StdConverter<ObjectNode, AttentionConfig> {

  @Override
  public AttentionConfig convert(ObjectNode keys) {
    ObjectNode now = keys.deepCopy();
    if (now.path("exact").asBoolean()) {
      now.remove("kernel");
    }
    rename(now, "projection", "directions");
    rename(now, "rowLengths", "lengths");
    return StrictJson.bind(now, AttentionConfig.class, "attention");
  }

  private static void rename(ObjectNode keys, String old, String name) {
    if (keys.has(old)) {
      keys.set(name, keys.remove(old));
    }
  }
}
