package dev.performer.distill;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.StrictJson;
import dev.performer.training.TrainingOptions;
import dev.performer.training.optim.LearningRateSchedule;
import dev.performer.training.optim.Optimizer;
import dev.performer.training.run.Evaluation;

/**
 * How a student learns from a teacher. What is absent has the value of {@code
 * training/softmax-to-favor.yaml}.
 *
 * @param data which part of the data is read
 * @param loss what counts how much
 * @param training the steps
 * @param evaluation on held-out data
 */
public record DistillRecipe(Data data, Loss loss, Training training, Evaluation evaluation) {
  /** All defaults. */
  public static final DistillRecipe DEFAULT = new DistillRecipe(null, null, null, null);

  public DistillRecipe {
    data = data == null ? new Data(null, null) : data;
    loss = loss == null ? new Loss(null, null, null, null) : loss;
    training =
        training == null
            ? new Training(
                null, null, null, null, null, null, null, null, null, null, null, null, null, null)
            : training;
    evaluation = evaluation == null ? new Evaluation(null, null, null) : evaluation;
  }

  /**
   * @param length tokens of a sequence at most; longer ones are cropped
   * @param holdOutEvery the first of every so many sequences is held out for evaluation
   */
  public record Data(Integer length, Integer holdOutEvery) {
    public Data {
      length = atLeast("data.length", length == null ? 256 : length, 2);
      holdOutEvery = atLeast("data.holdOutEvery", holdOutEvery == null ? 20 : holdOutEvery, 2);
    }
  }

  /**
   * Weights of the terms that are added up.
   *
   * @param hidden mean squared error over variance of each layer's output
   * @param attention the same of each layer's attention, after its output layer
   * @param embedding one minus the cosine of the mean states of a sequence; not where attention is
   *     causal
   * @param logits divergence (Kullback-Leibler, nats) from the teacher's distribution over tokens;
   *     for language models
   */
  public record Loss(Double hidden, Double attention, Double embedding, Double logits) {
    public Loss {
      hidden = notNegative("loss.hidden", hidden == null ? 1 : hidden);
      attention = notNegative("loss.attention", attention == null ? 0.5 : attention);
      embedding = notNegative("loss.embedding", embedding == null ? 2 : embedding);
      logits = notNegative("loss.logits", logits == null ? 1 : logits);
      if (hidden + attention + embedding + logits == 0) {
        throw new IllegalArgumentException("all weights of loss are 0; nothing would be learned");
      }
    }
  }

  /**
   * @param steps optimizer steps
   * @param batchTokens tokens of a batch at most, padding included
   * @param learningRate at its peak
   * @param warmupSteps until the peak
   * @param finalRate share of the peak at the last step
   * @param beta2 decay of Adam's second moment
   * @param weightDecay decoupled, of matrices
   * @param clip greatest global norm of the gradient; 0 for no limit
   * @param embeddings whether the student's embeddings change
   * @param projections whether its random directions do, which then are learned ones
   * @param checkpointEvery steps between checkpoints; 0 for the end only
   * @param keepCheckpoints newest ones that stay, besides the best
   * @param logEvery steps between lines of metrics
   * @param seed of the order of sequences, and of masks
   */
  public record Training(
      Long steps,
      Integer batchTokens,
      Double learningRate,
      Long warmupSteps,
      Double finalRate,
      Double beta2,
      Double weightDecay,
      Double clip,
      Boolean embeddings,
      Boolean projections,
      Long checkpointEvery,
      Integer keepCheckpoints,
      Long logEvery,
      Long seed) {
    public Training {
      steps = atLeast("training.steps", steps == null ? 600 : steps, 1);
      batchTokens = atLeast("training.batchTokens", batchTokens == null ? 2048 : batchTokens, 1);
      learningRate = learningRate == null ? 3e-4 : learningRate;
      if (!(learningRate > 0) || learningRate.isInfinite()) {
        throw new IllegalArgumentException(
            "training.learningRate must be above 0, not " + learningRate);
      }
      warmupSteps = atLeast("training.warmupSteps", warmupSteps == null ? 20 : warmupSteps, 0);
      finalRate = notNegative("training.finalRate", finalRate == null ? 0 : finalRate);
      beta2 = notNegative("training.beta2", beta2 == null ? 0.98 : beta2);
      weightDecay = notNegative("training.weightDecay", weightDecay == null ? 0 : weightDecay);
      clip = notNegative("training.clip", clip == null ? 1 : clip);
      embeddings = embeddings != null && embeddings;
      projections = projections != null && projections;
      checkpointEvery =
          atLeast("training.checkpointEvery", checkpointEvery == null ? 100 : checkpointEvery, 0);
      keepCheckpoints =
          atLeast("training.keepCheckpoints", keepCheckpoints == null ? 1 : keepCheckpoints, 1);
      logEvery = atLeast("training.logEvery", logEvery == null ? 10 : logEvery, 1);
      seed = seed == null ? 1 : seed;
    }

    private Optimizer optimizer() {
      return new Optimizer.AdamW(0.9, beta2, 1e-8, weightDecay, false);
    }

    /** Warm-up and half a cosine. */
    LearningRateSchedule schedule() {
      return new LearningRateSchedule.Cosine(learningRate, warmupSteps, finalRate);
    }
  }

  /**
   * @param every steps between evaluations; 0 for before and after only
   * @param sequences held-out sequences at most
   * @param target the mean cosine of embeddings (encoders), or the accuracy over the teacher's
   *     (language models), at which training stops; null for none
   */
  public record Evaluation(Long every, Integer sequences, Double target) {
    public Evaluation {
      every = atLeast("evaluation.every", every == null ? 50 : every, 0);
      sequences = atLeast("evaluation.sequences", sequences == null ? 256 : sequences, 1);
      if (target != null && !(target > 0)) {
        throw new IllegalArgumentException("evaluation.target must be above 0, not " + target);
      }
    }
  }

  /**
   * From a recipe's tree.
   *
   * @param source how errors name where it came from
   * @throws dev.performer.PerformerException that names source and key
   */
  public static DistillRecipe of(JsonNode tree, String source) {
    return StrictJson.bind(tree, DistillRecipe.class, source);
  }

  /** What the training loop wants to know besides the schedule. */
  TrainingOptions options() {
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    keys.put("steps", training.steps()).put("batchTokens", training.batchTokens());
    keys.set("optimizer", training.optimizer().json());
    keys.put("clipNorm", training.clip()).put("evaluateEvery", evaluation.every());
    keys.put("checkpointEvery", training.checkpointEvery());
    keys.put("keepCheckpoints", training.keepCheckpoints()).put("logEvery", training.logEvery());
    keys.put("divergence", 0).put("seed", training.seed());
    return TrainingOptions.of(keys, "recipe");
  }

  /** All keys; {@link #of} gives this recipe back. */
  public JsonNode toJson() {
    return StrictJson.tree(this);
  }

  private static int atLeast(String key, int value, int least) {
    return Math.toIntExact(atLeast(key, (long) value, least));
  }

  private static long atLeast(String key, long value, long least) {
    if (value < least) {
      throw new IllegalArgumentException(key + " must be at least " + least + ", not " + value);
    }
    return value;
  }

  private static double notNegative(String key, double value) {
    if (!(value >= 0) || Double.isInfinite(value)) {
      throw new IllegalArgumentException(key + " must not be negative, and finite: " + value);
    }
    return value;
  }
}
