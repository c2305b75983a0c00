package dev.performer.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.LoopOptions;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.IModelTransformer;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * The flags of {@code fine-tune} that are keys of {@link LoopOptions}, whose defaults they have.
 */
final class LoopFlags implements IModelTransformer, IDefaultValueProvider {
  private static final Pattern WORD = Pattern.compile("-(.)");
  private static final LoopOptions BASE = FineTuneOptions.LOOP;

  /** A flag, the key of the loop that it sets, and the beginning of its description. */
  private record Flag(String name, String key, Class<?> type, String description) {
    OptionSpec option() {
      return OptionSpec.builder(name)
          .type(type)
          .paramLabel("<" + label() + ">")
          .description(description + " (default: ${DEFAULT-VALUE}).")
          .build();
    }

    private String label() {
      return WORD.matcher(name.substring(2)).replaceAll(m -> m.group(1).toUpperCase(Locale.ROOT));
    }

    /** The key inside its own record. */
    String last() {
      return key.substring(key.indexOf('.') + 1);
    }
  }

  private static final List<Flag> FLAGS =
      List.of(
          new Flag("--steps", "steps", long.class, "Optimizer steps of the whole run"),
          new Flag("--learning-rate", "learningRate", double.class, "Peak learning rate"),
          new Flag("--warmup", "warmupSteps", long.class, "Steps until the peak"),
          new Flag(
              "--schedule",
              "schedule",
              String.class,
              "After the peak: linear, cosine, constant or inverse-square-root"),
          new Flag(
              "--weight-decay",
              "optimizer.weightDecay",
              double.class,
              "Decoupled weight decay of matrices"),
          new Flag("--clip", "clipNorm", double.class, "Largest global norm of the gradient"),
          new Flag(
              "--evaluate-every",
              "evaluateEvery",
              long.class,
              "Steps between evaluations; 0 = before and after only"),
          new Flag(
              "--evaluation-batches",
              "evaluationBatches",
              int.class,
              "Validation batches at most; 0 = all"),
          new Flag(
              "--checkpoint-every",
              "checkpointEvery",
              long.class,
              "Steps between checkpoints; 0 = at the end only"),
          new Flag(
              "--keep",
              "keepCheckpoints",
              int.class,
              "Newest checkpoints that stay, besides the best"),
          new Flag("--log-every", "logEvery", long.class, "Steps between lines of metrics"),
          new Flag("--seed", "seed", long.class, "Of order, crops and masks"));

  /** Their names. */
  static List<String> names() {
    return FLAGS.stream().map(Flag::name).toList();
  }

  @Override
  public CommandSpec transform(CommandSpec command) {
    FLAGS.forEach(flag -> command.addOption(flag.option()));
    return command;
  }

  @Override
  public String defaultValue(ArgSpec argument) {
    return FLAGS.stream()
        .filter(flag -> argument instanceof OptionSpec o && o.longestName().equals(flag.name()))
        .map(flag -> BASE.toJson().at("/" + flag.key().replace('.', '/')).asText())
        .findFirst()
        .orElse(null);
  }

  /** The loop with what a command line gives. @throws UsageException that names the flag */
  static LoopOptions of(CommandSpec command) {
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    ObjectNode optimizer = ((ObjectNode) BASE.optimizer().json());
    keys.set("optimizer", optimizer);
    for (Flag flag : FLAGS) {
      Object value = command.findOption(flag.name()).getValue();
      (flag.last().equals(flag.key()) ? keys : optimizer).set(flag.last(), StrictJson.tree(value));
    }
    try {
      return BASE.with(keys, "fine-tune");
    } catch (PerformerException e) {
      String message = e.getMessage();
      for (Flag flag : FLAGS) {
        message = message.replace(" " + flag.last() + " ", " " + flag.name() + " ");
      }
      throw new UsageException(message);
    }
  }
}
