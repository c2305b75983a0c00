package dev.performer.training;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Overrides;
import dev.performer.data.Labels;
import dev.performer.data.StrictJson;
import dev.performer.nn.Precision;
import dev.performer.training.optim.LearningRateSchedule;
import dev.performer.training.optim.Optimizer;
import java.util.List;
import java.util.Locale;

/**
 * The section {@code training} of a recipe.
 *
 * @param steps optimizer steps of the whole run
 * @param batchTokens tokens of a batch, padding included; with {@code accumulate} of each part
 * @param batchSequences sequences of a batch instead; null for what {@code batchTokens} allows
 * @param accumulate batches whose gradients make one step
 * @param optimizer how weights follow gradients
 * @param learningRate the peak
 * @param schedule {@code constant}, {@code linear}, {@code cosine} or {@code inverse-square-root}:
 *     what happens after the peak
 * @param warmupSteps steps until the peak
 * @param finalShare of the peak that linear and cosine end at
 * @param clipNorm greatest global norm of a gradient; 0 for no limit
 * @param labelSmoothing share of the targets that all tokens have alike
 * @param zLoss weight of log² of the softmax's sum
 * @param averageDecay of a moving average of the weights, which is evaluated and exported; 0 for
 *     none
 * @param evaluateEvery steps between evaluations; 0 for before and after only
 * @param evaluationBatches validation batches at most; 0 for all
 * @param patience evaluations without a better one until training stops; 0 for no such end
 * @param checkpointEvery steps between checkpoints; 0 for the end, and the best, only
 * @param keepCheckpoints newest checkpoints that stay, besides the best
 * @param logEvery steps between lines of metrics
 * @param diagnosticsEvery steps between looks at the features of each layer; 0 for none
 * @param divergence how many times the first validation loss is a loss that has diverged; 0 for any
 *     that is finite
 * @param memoryCheck whether a run is refused whose estimate exceeds the machine's memory
 * @param xla whether XLA compiles the step, for each shape of a batch anew; batches have one number
 *     of sequences for each length, and {@code data.bucket} is {@code data.length} unless it is
 *     said
 * @param precision of the products of dense layers in training; validation and export are float32
 * @param seed of weights, order, crops, masks, dropout and redraws
 */
public record TrainingOptions(
    long steps,
    int batchTokens,
    Integer batchSequences,
    int accumulate,
    Optimizer optimizer,
    double learningRate,
    String schedule,
    long warmupSteps,
    double finalShare,
    double clipNorm,
    double labelSmoothing,
    double zLoss,
    double averageDecay,
    long evaluateEvery,
    int evaluationBatches,
    int patience,
    long checkpointEvery,
    int keepCheckpoints,
    long logEvery,
    long diagnosticsEvery,
    double divergence,
    boolean memoryCheck,
    boolean xla,
    Precision precision,
    long seed) {

  private static final List<String> SCHEDULES =
      List.of("constant", "linear", "cosine", "inverse-square-root");

  /** What a recipe that says nothing gets. */
  public static final TrainingOptions DEFAULT =
      new TrainingOptions(
          1000,
          16384,
          null,
          1,
          Optimizer.ADAMW,
          1e-3,
          "inverse-square-root",
          100,
          0,
          1,
          0,
          0,
          0,
          200,
          0,
          0,
          200,
          2,
          10,
          200,
          3,
          true,
          false,
          Precision.FLOAT32,
          1);

  /** Checks ranges. */
  public TrainingOptions {
    atLeast("steps", steps, 1);
    atLeast("batchTokens", batchTokens, 1);
    atLeast("batchSequences", batchSequences == null ? 1 : batchSequences, 1);
    atLeast("accumulate", accumulate, 1);
    atLeast("warmupSteps", warmupSteps, 0);
    atLeast("evaluateEvery", evaluateEvery, 0);
    atLeast("evaluationBatches", evaluationBatches, 0);
    atLeast("patience", patience, 0);
    atLeast("checkpointEvery", checkpointEvery, 0);
    atLeast("keepCheckpoints", keepCheckpoints, 1);
    atLeast("logEvery", logEvery, 1);
    atLeast("diagnosticsEvery", diagnosticsEvery, 0);
    require("learningRate", learningRate > 0 && Double.isFinite(learningRate), "above 0");
    require("finalShare", finalShare >= 0 && finalShare <= 1, "in [0, 1]");
    require("clipNorm", clipNorm >= 0, "at least 0");
    require("labelSmoothing", labelSmoothing >= 0 && labelSmoothing < 1, "in [0, 1)");
    require("zLoss", zLoss >= 0, "at least 0");
    require("averageDecay", averageDecay >= 0 && averageDecay < 1, "in [0, 1)");
    require("divergence", divergence >= 0, "at least 0");
    require("optimizer", optimizer != null, "a name such as adamw");
    require("precision", precision != null, "float32 or bfloat16");
    if (!SCHEDULES.contains(schedule)) {
      throw new PerformerException(
          "schedule must be one of %s, not '%s'; did you mean %s?"
              .formatted(
                  String.join(", ", SCHEDULES),
                  schedule,
                  Labels.nearest(String.valueOf(schedule), SCHEDULES)));
    }
    if (patience > 0 && evaluateEvery == 0) {
      throw new PerformerException("patience needs evaluations; set evaluateEvery above 0");
    }
  }

  /**
   * The defaults with other values for some keys.
   *
   * @param settings such as {@code "steps=100"} and {@code "optimizer={name: lion}"}
   * @throws PerformerException that names the key
   */
  public static TrainingOptions of(String... settings) {
    JsonNode keys = new Overrides(List.of(settings)).over(JsonNodeFactory.instance.objectNode());
    return of(keys, "training options");
  }

  /** Keys of a recipe over the defaults. @throws PerformerException that names source and key */
  public static TrainingOptions of(JsonNode keys, String source) {
    return DEFAULT.with(keys, source);
  }

  /** Keys over these. @throws PerformerException that names source and key */
  public TrainingOptions with(JsonNode keys, String source) {
    if (!(keys instanceof ObjectNode object)) {
      throw new PerformerException(source + ": expected an object, such as {steps: 1000}");
    }
    ObjectNode merged = (ObjectNode) StrictJson.tree(this);
    return StrictJson.bind(merged.setAll(object), TrainingOptions.class, source);
  }

  /** Sequences per batch. */
  public BatchSize batchSize() {
    return batchSequences != null
        ? new BatchSize.Sequences(batchSequences)
        : new BatchSize.Tokens(batchTokens);
  }

  /** The learning rate by step. */
  public LearningRateSchedule rates() {
    return switch (schedule) {
      case "constant" -> new LearningRateSchedule.Constant(learningRate, warmupSteps);
      case "linear" -> new LearningRateSchedule.Linear(learningRate, warmupSteps, finalShare);
      case "cosine" -> new LearningRateSchedule.Cosine(learningRate, warmupSteps, finalShare);
      default -> new LearningRateSchedule.InverseSquareRoot(learningRate, warmupSteps);
    };
  }

  private static void atLeast(String key, long value, long least) {
    if (value < least) {
      throw new PerformerException(
          String.format(Locale.ROOT, "%s must be at least %d, not %d", key, least, value));
    }
  }

  private static void require(String key, boolean holds, String range) {
    if (!holds) {
      throw new PerformerException(key + " must be " + range);
    }
  }
}
