package dev.performer.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.LoopOptions;
import java.util.Map;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * The flags of {@code fine-tune} that are keys of {@link LoopOptions}, whose defaults they have.
 */
final class LoopFlags implements IDefaultValueProvider {
  private static final LoopOptions BASE = FineTuneOptions.LOOP;

  private static final Map<String, String> KEYS =
      Map.ofEntries(
          Map.entry("--steps", "steps"),
          Map.entry("--learning-rate", "learningRate"),
          Map.entry("--warmup", "warmupSteps"),
          Map.entry("--schedule", "schedule"),
          Map.entry("--weight-decay", "optimizer.weightDecay"),
          Map.entry("--clip", "clipNorm"),
          Map.entry("--evaluate-every", "evaluateEvery"),
          Map.entry("--evaluation-batches", "evaluationBatches"),
          Map.entry("--checkpoint-every", "checkpointEvery"),
          Map.entry("--keep", "keepCheckpoints"),
          Map.entry("--log-every", "logEvery"),
          Map.entry("--seed", "seed"));

  @Override
  public String defaultValue(ArgSpec argument) {
    String key = argument instanceof OptionSpec option ? KEYS.get(option.longestName()) : null;
    return key == null ? null : BASE.toJson().at("/" + key.replace('.', '/')).asText();
  }

  /** The loop with what a command line gives. @throws UsageException that names the flag */
  static LoopOptions of(CommandSpec command) {
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    ObjectNode optimizer = ((ObjectNode) BASE.optimizer().json());
    keys.set("optimizer", optimizer);
    KEYS.forEach(
        (flag, key) -> {
          Object value = command.findOption(flag).getValue();
          (last(key).equals(key) ? keys : optimizer).set(last(key), StrictJson.tree(value));
        });
    try {
      return BASE.with(keys, "fine-tune");
    } catch (PerformerException e) {
      String message = e.getMessage();
      for (Map.Entry<String, String> entry : KEYS.entrySet()) {
        message = message.replace(" " + last(entry.getValue()) + " ", " " + entry.getKey() + " ");
      }
      throw new UsageException(message);
    }
  }

  private static String last(String key) {
    return key.substring(key.indexOf('.') + 1);
  }
}
