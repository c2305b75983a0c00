package dev.performer.training;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** {@code config.json} of a fine-tuning: every setting, defaults included. */
final class FineTuneSettings {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final String TRAINING = "training";

  private FineTuneSettings() {}

  static ObjectNode of(FineTuneOptions options, TrainingData data) {
    ObjectNode json = JSON.createObjectNode().put("format", 2);
    json.set("objective", kind(options.objective()));
    ObjectNode batching = JSON.valueToTree(options.batching());
    json.set("batching", batching.set("size", kind(options.batching().size())));
    json.set(TRAINING, options.loop().toJson());
    json.putObject("data")
        .put("train", data.train().name())
        .put("validation", data.validation().name());
    var known = data.vocabulary();
    ObjectNode vocabulary = json.putObject("vocabulary");
    vocabulary.set("tokens", JSON.valueToTree(known.tokens()));
    known.pad().ifPresent(id -> vocabulary.put("pad", id));
    known.mask().ifPresent(id -> vocabulary.put("mask", id));
    known.bos().ifPresent(id -> vocabulary.put("bos", id));
    known.eos().ifPresent(id -> vocabulary.put("eos", id));
    known.unknown().ifPresent(id -> vocabulary.put("unknown", id));
    return json;
  }

  /** The settings of an earlier run as {@link #of} writes them; format 1 had them in one level. */
  static JsonNode current(JsonNode was) {
    if (!(was instanceof ObjectNode old) || was.has(TRAINING)) {
      return was;
    }
    ObjectNode loop = JSON.createObjectNode();
    FineTuneOptions.LOOP
        .toJson()
        .fieldNames()
        .forEachRemaining(
            key -> Optional.ofNullable(old.get(key)).ifPresent(v -> loop.set(key, v)));
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
    boolean counts = size.has("count");
    loop.set(counts ? "batchSequences" : "batchTokens", size.path(counts ? "count" : "tokens"));
    LoopOptions options = FineTuneOptions.LOOP.with(loop, "config.json of format 1");
    old.remove(List.of("optimizer", "schedule"));
    loop.fieldNames().forEachRemaining(old::remove);
    old.set(TRAINING, options.toJson());
    return old.put("format", 2);
  }

  private static ObjectNode kind(Object choice) {
    String name = choice.getClass().getSimpleName();
    ObjectNode json = JSON.createObjectNode();
    json.put("kind", name.replaceAll("(?<=.)([A-Z])", "-$1").toLowerCase(Locale.ROOT));
    return json.setAll((ObjectNode) JSON.<JsonNode>valueToTree(choice));
  }
}
