package dev.performer.savedmodel;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.util.StdConverter;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import java.util.Map;

/** Attention, which in old cards had keys of its own. */
final class CardAttention extends StdConverter<ObjectNode, AttentionConfig> {
  @Override
  public AttentionConfig convert(ObjectNode keys) {
    ObjectNode now = keys.deepCopy();
    if (now.path("exact").asBoolean()) {
      now.remove("kernel");
    }
    var names = Map.of("projection", "directions", "rowLengths", "lengths");
    for (String old : names.keySet()) {
      if (now.has(old)) {
        now.set(names.get(old), now.remove(old));
      }
    }
    return StrictJson.bind(now, AttentionConfig.class, "attention");
  }
}
