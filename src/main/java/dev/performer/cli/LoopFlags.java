package dev.performer.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.LoopOptions;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.IModelTransformer;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * The flags of {@code fine-tune} that are keys of {@link LoopOptions}, whose defaults they have.
 * JSON is loaded where a flag has a value, not where commands are listed.
 */
final class LoopFlags implements IModelTransformer, IDefaultValueProvider {
  /** A flag, the key of the loop that it sets, and its description. */
  private record Flag(String name, String key, Class<?> type, String description) {
    /** The key inside its own record. */
    String last() {
      return key.substring(key.indexOf('.') + 1);
    }
  }

  private static final List<Flag> FLAGS =
      List.of(
          new Flag("--steps", "steps", long.class, "Optimizer steps of the whole run."),
          new Flag(
              "--learning-rate",
              "learningRate",
              double.class,
              "Peak learning rate; with --task or --loss 1e-4 by default."),
          new Flag("--warmup", "warmupSteps", long.class, "Steps until the peak."),
          new Flag(
              "--learning-rates",
              "learningRates",
              Map.class,
              "Factors of it for the variables of a pattern, such as 'head/**=10'."),
          new Flag(
              "--freeze", "freeze", List.class, "Patterns of variables that stay as they are."),
          new Flag("--train-only", "trainOnly", List.class, "Patterns of all that are trained."),
          new Flag(
              "--lora-rank",
              "lora.rank",
              Integer.class,
              "Train low-rank factors of this rank in place of weights."),
          new Flag("--lora-alpha", "lora.alpha", Double.class, "Their scale times the rank."),
          new Flag(
              "--lora-targets",
              "lora.targets",
              List.class,
              "Patterns of weights with factors (default: those of matrix products)."),
          new Flag(
              "--schedule",
              "schedule",
              String.class,
              "After the peak: linear, cosine, constant or inverse-square-root."),
          new Flag(
              "--weight-decay", "optimizer.weightDecay", double.class, "Of matrices, decoupled."),
          new Flag("--clip", "clipNorm", double.class, "Largest global norm of the gradient."),
          new Flag(
              "--evaluate-every", "evaluateEvery", long.class, "Steps; 0 = before and after only."),
          new Flag(
              "--evaluation-batches", "evaluationBatches", int.class, "Of validation; 0 = all."),
          new Flag(
              "--checkpoint-every", "checkpointEvery", long.class, "Steps; 0 = at the end only."),
          new Flag("--keep", "keepCheckpoints", int.class, "Newest checkpoints, besides the best."),
          new Flag(
              "--memory",
              "memory",
              String.class,
              "What a step keeps: plain, recompute, or segments of a causal model."),
          new Flag("--segment-length", "segmentLength", Integer.class, "Positions of a segment."),
          new Flag("--log-every", "logEvery", long.class, "Steps between lines of metrics."),
          new Flag("--seed", "seed", long.class, "Of order, crops and masks."));

  /** Their names. */
  static Stream<String> names() {
    return FLAGS.stream().map(Flag::name);
  }

  @Override
  public CommandSpec transform(CommandSpec command) {
    for (Flag flag : FLAGS) {
      var option = OptionSpec.builder(flag.name()).description(flag.description());
      option.paramLabel("<" + flag.last() + ">").type(flag.type());
      if (flag.type() == Map.class) {
        option.auxiliaryTypes(String.class, Double.class).paramLabel("PATTERN=FACTOR");
      } else if (flag.type() == List.class) {
        option.auxiliaryTypes(String.class).paramLabel("PATTERN");
        option.splitRegex(",(?![^{]*})").splitRegexSynopsisLabel(",");
      }
      command.addOption(option.build());
    }
    return command;
  }

  @Override
  public String defaultValue(ArgSpec argument) {
    return FLAGS.stream()
        .filter(flag -> argument instanceof OptionSpec o && o.longestName().equals(flag.name()))
        .map(flag -> FineTuneOptions.LOOP.toJson().at("/" + flag.key().replace('.', '/')))
        .filter(JsonNode::isValueNode)
        .map(JsonNode::asText)
        .findFirst()
        .orElse(null);
  }

  /** The loop with what a command line gives. @throws PerformerException that names the flag */
  static LoopOptions of(CommandSpec command) {
    return of(command, FineTuneOptions.LOOP);
  }

  /** The same over other defaults. */
  static LoopOptions of(CommandSpec command, LoopOptions defaults) {
    var keys = JsonNodeFactory.instance.objectNode();
    keys.set("optimizer", defaults.optimizer().json());
    var parsed = command.commandLine().getParseResult();
    for (Flag flag : FLAGS) {
      if (parsed.hasMatchedOption(flag.name())) {
        boolean isOwn = flag.last().equals(flag.key());
        String record = flag.key().substring(0, flag.key().length() - flag.last().length());
        ObjectNode in = isOwn ? keys : keys.withObjectProperty(record.replace(".", ""));
        in.set(flag.last(), StrictJson.tree(command.findOption(flag.name()).getValue()));
      }
    }
    try {
      return defaults.with(keys, "fine-tune");
    } catch (PerformerException e) {
      throw new PerformerCommand.UsageException(e.getMessage())
          .settledBy(
              FLAGS.stream()
                  .filter(flag -> e.getMessage().contains(" " + flag.last() + " "))
                  .map(flag -> flag.name().substring(2))
                  .toArray(String[]::new));
    }
  }
}
