package dev.performer.server.page;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.pipeline.ConfigSummary;
import dev.performer.pipeline.Model;
import dev.performer.savedmodel.TensorSpec;
import dev.performer.server.http.Json;
import dev.performer.server.http.Schema;
import dev.performer.server.models.ServedModel;
import java.util.Map;

/** What a model is and can do, as JSON. */
final class ModelDescription {
  private static final String ATTENTION = "attention";

  static final JsonNode SCHEMA = schema();

  private ModelDescription() {}

  private static JsonNode schema() {
    ObjectNode schema = Schema.object();
    Schema.require(schema, "name", Schema.of("string", "by which it is served"));
    Schema.require(schema, "version", Schema.of("integer", "the latest that is loaded"));
    Schema.require(schema, "generates", Schema.of("boolean", "whether it continues texts"));
    Schema.require(schema, "scores", Schema.of("boolean", "whether it gives probabilities"));
    Schema.require(schema, "embeds", Schema.of("boolean", "whether it gives vectors"));
    Schema.with(schema, "summary", Schema.of("string", "its configuration in a line"));
    Schema.with(schema, ATTENTION, Schema.of("string", "the signature that gives attention"));
    Schema.with(schema, "card", Schema.map(Schema.any("a part"), "its performer.json"));
    return Schema.require(
        schema, "signatures", Schema.map(Schema.any("inputs and outputs"), "by name"));
  }

  static JsonNode of(ServedModel served) {
    Model model = served.model();
    ObjectNode described =
        Json.object()
            .put("name", served.name())
            .put("version", served.version())
            .put("generates", served.texts().isPresent())
            .put("scores", can(served::scorer))
            .put("embeds", can(served::embedder));
    model.config().ifPresent(config -> described.put("summary", ConfigSummary.of(config)));
    model.card().ifPresent(card -> described.set("card", shortened(StrictJson.tree(card))));
    ObjectNode signatures = described.putObject("signatures");
    model
        .signatures()
        .forEach(
            (name, signature) -> {
              ObjectNode one = signatures.putObject(name);
              one.set("inputs", tensors(signature.inputs()));
              one.set("outputs", tensors(signature.outputs()));
              if (signature.outputs().containsKey(ATTENTION)) {
                described.put(ATTENTION, name);
              }
            });
    return described;
  }

  private static boolean can(Runnable use) {
    try {
      use.run();
      return true;
    } catch (PerformerException e) {
      return false;
    }
  }

  /** Without what is long, and of no use to a reader. */
  private static JsonNode shortened(JsonNode card) {
    if (card.path("vocabulary") instanceof ObjectNode vocabulary) {
      vocabulary.remove("tokens");
    }
    return card;
  }

  private static ObjectNode tensors(Map<String, TensorSpec> specs) {
    ObjectNode shown = Json.object();
    specs.forEach((name, spec) -> shown.put(name, spec.typeName() + " " + spec.shapeText()));
    return shown;
  }
}
