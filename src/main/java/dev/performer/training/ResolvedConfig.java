package dev.performer.training;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.data.Vocabulary;
import dev.performer.training.optim.Optimizer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;

/** {@code config.json}: everything that was set, defaults included. */
final class ResolvedConfig {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Without these being the same, the rest of a run would not belong to its beginning. */
  private static final List<String> FIXED = List.of("objective", "batching", "seed", "vocabulary");

  private ResolvedConfig() {}

  static ObjectNode of(TrainingConfig config, TrainingData data) {
    ObjectNode json = JSON.createObjectNode();
    json.put("format", 1);
    json.set("objective", kind((Record) config.objective()));
    ObjectNode batching = JSON.valueToTree(config.batching());
    batching.set("size", kind((Record) config.batching().size()));
    json.set("batching", batching);
    ObjectNode optimizer = (ObjectNode) config.optimizer().json();
    json.set("optimizer", optimizer.put("clipNorm", config.clipNorm()));
    json.set("schedule", kind((Record) config.schedule()));
    json.put("steps", config.steps());
    json.put("evaluateEvery", config.evaluateEvery());
    json.put("evaluationBatches", config.evaluationBatches());
    json.put("checkpointEvery", config.checkpointEvery());
    json.put("keepCheckpoints", config.keepCheckpoints());
    json.put("logEvery", config.logEvery());
    json.put("seed", config.seed());
    json.putObject("data")
        .put("train", data.train().name())
        .put("validation", data.validation().name());
    json.set("vocabulary", vocabulary(data.vocabulary()));
    return json;
  }

  /**
   * Compares the settings of a run with those it shall go on with.
   *
   * @return names of settings that differ and may
   * @throws PerformerException if one differs that must not
   */
  static List<String> changes(JsonNode was, JsonNode now, Path run) {
    List<String> changed = new ArrayList<>();
    // As it would be read again: numbers have the same types, and the order of keys is no matter.
    JsonNode read =
        StrictJson.readTree(now.toString().getBytes(StandardCharsets.UTF_8), "settings");
    for (var fields = read.fields(); fields.hasNext(); ) {
      var field = fields.next();
      JsonNode before = was.path(field.getKey());
      if (field.getKey().equals("optimizer")) {
        requireSameOptimizer(before, field.getValue(), run);
      }
      if (!before.equals(field.getValue())) {
        if (FIXED.contains(field.getKey())) {
          throw changed(run, field.getKey(), before, field.getValue());
        }
        changed.add(field.getKey());
      }
    }
    return changed;
  }

  /** Another optimizer has other variables. Runs of before optimizers had names have AdamW. */
  private static void requireSameOptimizer(JsonNode was, JsonNode now, Path run) {
    if (was instanceof ObjectNode settings && !was.has("name")) {
      settings.put("name", Optimizer.ADAMW.label());
    }
    if (!was.path("name").equals(now.path("name"))) {
      throw changed(run, "optimizer", was.path("name"), now.path("name"));
    }
  }

  private static PerformerException changed(Path run, String key, JsonNode was, JsonNode now) {
    return new PerformerException(
        "cannot resume "
            + run
            + ": "
            + key
            + " was "
            + shorten(was)
            + " and is now "
            + shorten(now)
            + "; resume with the same, or start in another directory");
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

  private static String shorten(JsonNode value) {
    String text = value.toString();
    return text.length() <= 120 ? text : text.substring(0, 120) + "…";
  }
}
