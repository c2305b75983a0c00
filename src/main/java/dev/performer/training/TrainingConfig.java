package dev.performer.training;

import dev.performer.data.Batching;
import dev.performer.data.Masking;
import dev.performer.training.optim.LearningRateSchedule;
import dev.performer.training.optim.Optimizer;

/**
 * How a model is trained. Everything has a default; {@link #builder} sets what shall differ.
 *
 * @param objective what the model learns to say
 * @param batching length, batch size and ends of the training batches
 * @param optimizer how weights follow gradients
 * @param clipNorm greatest global norm of a gradient; 0 for no limit
 * @param schedule learning rate by step
 * @param steps optimizer steps of the whole run
 * @param evaluateEvery steps between evaluations on the validation data; 0 for before and after
 *     only
 * @param evaluationBatches validation batches at most; 0 for all
 * @param checkpointEvery steps between checkpoints; 0 for one at the end
 * @param keepCheckpoints newest checkpoints that stay, besides the best
 * @param logEvery steps between lines of metrics
 * @param seed of order, crops and masks
 */
public record TrainingConfig(
    Objective objective,
    Batching batching,
    Optimizer optimizer,
    double clipNorm,
    LearningRateSchedule schedule,
    long steps,
    long evaluateEvery,
    int evaluationBatches,
    long checkpointEvery,
    int keepCheckpoints,
    long logEvery,
    long seed) {
  /** Fine-tuning shows its effect within a few hundred steps. */
  public static final long DEFAULT_STEPS = 200;

  /** Four points on the validation curve of a default run. */
  public static final long DEFAULT_EVALUATE_EVERY = 50;

  /** At most this many steps are lost to an interruption. */
  public static final long DEFAULT_CHECKPOINT_EVERY = 50;

  /** One to go on from, and one in case it is damaged. */
  public static final int DEFAULT_KEEP = 2;

  /** A line every few seconds on a small model. */
  public static final long DEFAULT_LOG_EVERY = 10;

  /** Steps until the learning rate is at its peak: Adam's moments need some tens of steps. */
  public static final long DEFAULT_WARMUP = 20;

  public TrainingConfig {
    if (steps < 1 || keepCheckpoints < 1 || logEvery < 1) {
      throw new IllegalArgumentException(
          "steps, kept checkpoints and log interval must be positive: "
              + steps
              + ", "
              + keepCheckpoints
              + ", "
              + logEvery);
    }
    if (evaluateEvery < 0 || checkpointEvery < 0 || evaluationBatches < 0) {
      throw new IllegalArgumentException(
          "intervals and evaluation batches must not be negative: "
              + evaluateEvery
              + ", "
              + checkpointEvery
              + ", "
              + evaluationBatches);
    }
    if (!(clipNorm >= 0)) {
      throw new IllegalArgumentException("clip norm must not be negative: " + clipNorm);
    }
    if (!batching.shuffle()) {
      throw new IllegalArgumentException("training batches must be shuffled");
    }
  }

  /** What the training loop wants to know besides the schedule. */
  TrainingOptions options() {
    TrainingOptions base = TrainingOptions.DEFAULT;
    return new TrainingOptions(
        steps,
        base.batchTokens(),
        null,
        1,
        optimizer,
        base.learningRate(),
        base.schedule(),
        base.warmupSteps(),
        base.finalShare(),
        clipNorm,
        0,
        0,
        0,
        evaluateEvery,
        evaluationBatches,
        0,
        checkpointEvery,
        keepCheckpoints,
        logEvery,
        0,
        0,
        false,
        false,
        base.precision(),
        seed);
  }

  /** All defaults: masked language model as protein_lm masks, for 200 steps. */
  public static Builder builder() {
    return new Builder();
  }

  /** Collects what differs from the defaults. */
  public static final class Builder {
    private Objective objective = new Objective.MaskedLanguageModel(Masking.PROTEIN_LM);
    private Batching batching = Batching.training(Batching.DEFAULT_LENGTH, Batching.DEFAULT_TOKENS);
    private Optimizer optimizer = TrainingOptions.DEFAULT.optimizer();
    private double clipNorm = TrainingOptions.DEFAULT.clipNorm();
    private LearningRateSchedule schedule =
        new LearningRateSchedule.Linear(LearningRateSchedule.DEFAULT_PEAK, DEFAULT_WARMUP, 0);
    private long steps = DEFAULT_STEPS;
    private long evaluateEvery = DEFAULT_EVALUATE_EVERY;
    private int evaluationBatches = 0;
    private long checkpointEvery = DEFAULT_CHECKPOINT_EVERY;
    private int keepCheckpoints = DEFAULT_KEEP;
    private long logEvery = DEFAULT_LOG_EVERY;
    private long seed = 1;

    private Builder() {}

    public Builder objective(Objective value) {
      objective = value;
      return this;
    }

    public Builder batching(Batching value) {
      batching = value;
      return this;
    }

    public Builder optimizer(Optimizer value) {
      optimizer = value;
      return this;
    }

    public Builder clipNorm(double value) {
      clipNorm = value;
      return this;
    }

    public Builder schedule(LearningRateSchedule value) {
      schedule = value;
      return this;
    }

    public Builder steps(long value) {
      steps = value;
      return this;
    }

    public Builder evaluateEvery(long value) {
      evaluateEvery = value;
      return this;
    }

    public Builder evaluationBatches(int value) {
      evaluationBatches = value;
      return this;
    }

    public Builder checkpointEvery(long value) {
      checkpointEvery = value;
      return this;
    }

    public Builder keepCheckpoints(int value) {
      keepCheckpoints = value;
      return this;
    }

    public Builder logEvery(long value) {
      logEvery = value;
      return this;
    }

    public Builder seed(long value) {
      seed = value;
      return this;
    }

    /**
     * @throws IllegalArgumentException if a value is out of range
     */
    public TrainingConfig build() {
      return new TrainingConfig(
          objective,
          batching,
          optimizer,
          clipNorm,
          schedule,
          steps,
          evaluateEvery,
          evaluationBatches,
          checkpointEvery,
          keepCheckpoints,
          logEvery,
          seed);
    }
  }
}
