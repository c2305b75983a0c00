package dev.performer.training;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.Vocabulary;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;

/** {@code config.json} of a fine-tuning: every setting, defaults included. */
final class FineTuneSettings {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final String TRAINING = "training";

  private FineTuneSettings() {}

  static ObjectNode of(FineTuneOptions options, TrainingData data) {
    ObjectNode json = JSON.createObjectNode();
    json.put("format", 2);
    json.set("objective", kind((Record) options.objective()));
    ObjectNode batching = JSON.valueToTree(options.batching());
    batching.set("size", kind((Record) options.batching().size()));
    json.set("batching", batching);
    json.set(TRAINING, options.loop().toJson());
    json.putObject("data")
        .put("train", data.train().name())
        .put("validation", data.validation().name());
    json.set("vocabulary", vocabulary(data.vocabulary()));
    return json;
  }

  /** The settings of an earlier run as {@link #of} writes them; format 1 had them in one level. */
  static JsonNode current(JsonNode was) {
    if (!(was instanceof ObjectNode old) || was.has(TRAINING)) {
      return was;
    }
    ObjectNode loop = JSON.createObjectNode();
    for (Iterator<String> keys = FineTuneOptions.LOOP.toJson().fieldNames(); keys.hasNext(); ) {
      String key = keys.next();
      if (old.has(key)) {
        loop.set(key, old.get(key));
      }
    }
    if (old.get("optimizer") instanceof ObjectNode optimizer) {
      loop.set("clipNorm", optimizer.remove("clipNorm"));
      loop.set("optimizer", optimizer.has("name") ? optimizer : optimizer.put("name", "adamw"));
    }
    JsonNode schedule = old.path("schedule");
    loop.set("schedule", schedule.path("kind"));
    loop.set("learningRate", schedule.path("peak"));
    loop.set("warmupSteps", schedule.path("warmup"));
    loop.put("finalShare", schedule.path("floor").asDouble());
    JsonNode size = old.at("/batching/size");
    loop.set(
        size.has("count") ? "batchSequences" : "batchTokens",
        size.path(size.has("count") ? "count" : "tokens"));
    LoopOptions options = FineTuneOptions.LOOP.with(loop, "config.json of format 1");
    old.remove(List.of("optimizer", "schedule"));
    loop.fieldNames().forEachRemaining(old::remove);
    old.set(TRAINING, options.toJson());
    return old.put("format", 2);
  }

  private static ObjectNode kind(Record choice) {
    String name = choice.getClass().getSimpleName();
    ObjectNode json = JSON.createObjectNode();
    json.put("kind", name.replaceAll("(?<=.)([A-Z])", "-$1").toLowerCase(Locale.ROOT));
    return json.setAll((ObjectNode) JSON.<JsonNode>valueToTree(choice));
  }

  private static ObjectNode vocabulary(Vocabulary vocabulary) {
    ObjectNode json = JSON.createObjectNode();
    json.set("tokens", JSON.valueToTree(vocabulary.tokens()));
    put(json, "pad", vocabulary.pad());
    put(json, "mask", vocabulary.mask());
    put(json, "bos", vocabulary.bos());
    put(json, "eos", vocabulary.eos());
    put(json, "unknown", vocabulary.unknown());
    return json;
  }

  private static void put(ObjectNode json, String name, OptionalInt id) {
    if (id.isPresent()) {
      json.put(name, id.getAsInt());
    }
  }
}
