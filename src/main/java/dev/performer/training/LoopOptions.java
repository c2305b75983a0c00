package dev.performer.training;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.annotation.JsonPOJOBuilder;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Overrides;
import dev.performer.data.StrictJson;
import dev.performer.nn.Precision;
import dev.performer.training.optim.Optimizer;
import dev.performer.training.optim.Schedule;
import java.util.List;
import java.util.Map;

/**
 * How a training loop runs, whatever it trains: the section {@code training} of a recipe, of a
 * distillation and of a fine-tuning. {@link #DEFAULT} has every default; other jobs state theirs as
 * overrides of it.
 *
 * <pre>{@code
 * LoopOptions options = LoopOptions.builder().steps(500).schedule(new Schedule.Cosine(2e-3, 50, 0)).build();
 * LoopOptions longer = options.with("steps=1000", "optimizer={name: lion}");
 * }</pre>
 *
 * <p>In JSON and YAML the schedule is the keys {@code schedule}, {@code learningRate}, {@code
 * warmupSteps} and {@code finalShare}, and the batch is {@code batchTokens} or {@code
 * batchSequences}.
 *
 * @param steps optimizer steps of the whole run
 * @param batch how many sequences a batch has; with {@code accumulate} each part
 * @param accumulate batches whose gradients make one step
 * @param optimizer how weights follow gradients
 * @param schedule learning rate by step
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
 * @param xla whether XLA compiles the step, for each shape of a batch anew
 * @param precision of the products of dense layers in training; validation and export are float32
 * @param seed of weights, order, crops, masks, dropout and redraws
 */
@JsonDeserialize(builder = LoopOptions.Builder.class)
public record LoopOptions(
    long steps,
    BatchSize batch,
    int accumulate,
    Optimizer optimizer,
    Schedule schedule,
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

  private static final String TOKENS = "batchTokens";
  private static final String SEQUENCES = "batchSequences";

  /** Keys by the names that they once had. */
  private static final Map<String, String> RENAMED =
      Map.of("clip", "clipNorm", "finalRate", "finalShare");

  /** What is not configured. */
  public static final LoopOptions DEFAULT = new Builder().build();

  /** Checks ranges. */
  public LoopOptions {
    atLeast("steps", steps, 1);
    atLeast("accumulate", accumulate, 1);
    atLeast("evaluateEvery", evaluateEvery, 0);
    atLeast("evaluationBatches", evaluationBatches, 0);
    atLeast("patience", patience, 0);
    atLeast("checkpointEvery", checkpointEvery, 0);
    atLeast("keepCheckpoints", keepCheckpoints, 1);
    atLeast("logEvery", logEvery, 1);
    atLeast("diagnosticsEvery", diagnosticsEvery, 0);
    require("clipNorm", clipNorm >= 0, "at least 0");
    require("labelSmoothing", labelSmoothing >= 0 && labelSmoothing < 1, "in [0, 1)");
    require("zLoss", zLoss >= 0, "at least 0");
    require("averageDecay", averageDecay >= 0 && averageDecay < 1, "in [0, 1)");
    require("divergence", divergence >= 0, "at least 0");
    require("optimizer", optimizer != null, "a name such as adamw");
    require("precision", precision != null, "float32 or bfloat16");
    if (patience > 0 && evaluateEvery == 0) {
      throw new PerformerException("patience needs evaluations; set evaluateEvery above 0");
    }
  }

  /** Begins with the defaults. */
  public static Builder builder() {
    return DEFAULT.toBuilder();
  }

  /** Begins with these. */
  public Builder toBuilder() {
    return new Builder(this);
  }

  /**
   * The defaults with other values for some keys.
   *
   * @param settings such as {@code "steps=100"} and {@code "optimizer={name: lion}"}
   * @throws PerformerException that names the key
   */
  public static LoopOptions of(String... settings) {
    return DEFAULT.with(settings);
  }

  /** These with other values for some keys. @throws PerformerException that names the key */
  public LoopOptions with(String... settings) {
    JsonNode keys = new Overrides(List.of(settings)).over(JsonNodeFactory.instance.objectNode());
    return with(keys, "training options");
  }

  /** Keys over these. @throws PerformerException that names source and key */
  public LoopOptions with(JsonNode keys, String source) {
    return StrictJson.bind(over(keys, source), LoopOptions.class, source);
  }

  /**
   * All keys, those given in place of these: what {@link #with} reads.
   *
   * @param keys may be missing
   * @throws PerformerException if they are no object
   */
  public ObjectNode over(JsonNode keys, String source) {
    ObjectNode all = toJson();
    if (keys.isMissingNode() || keys.isNull()) {
      return all;
    }
    if (!(keys instanceof ObjectNode object)) {
      throw new PerformerException(source + ": expected an object, such as {steps: 1000}");
    }
    if (object.hasNonNull(TOKENS) || object.hasNonNull(SEQUENCES)) {
      all.remove(List.of(TOKENS, SEQUENCES));
    }
    object
        .fields()
        .forEachRemaining(
            field ->
                all.set(RENAMED.getOrDefault(field.getKey(), field.getKey()), field.getValue()));
    return all;
  }

  /** All keys; {@link #with} gives these options back. */
  @JsonValue
  public ObjectNode toJson() {
    ObjectNode json = JsonNodeFactory.instance.objectNode().put("steps", steps);
    if (batch instanceof BatchSize.Tokens size) {
      json.put(TOKENS, size.tokens());
    } else if (batch instanceof BatchSize.Sequences size) {
      json.put(SEQUENCES, size.count());
    }
    json.put("accumulate", accumulate);
    json.set("optimizer", optimizer.json());
    json.put("learningRate", schedule.learningRate()).put("schedule", schedule.label());
    json.put("warmupSteps", schedule.warmupSteps()).put("finalShare", schedule.finalShare());
    json.put("clipNorm", clipNorm).put("labelSmoothing", labelSmoothing).put("zLoss", zLoss);
    json.put("averageDecay", averageDecay).put("evaluateEvery", evaluateEvery);
    json.put("evaluationBatches", evaluationBatches).put("patience", patience);
    json.put("checkpointEvery", checkpointEvery).put("keepCheckpoints", keepCheckpoints);
    json.put("logEvery", logEvery).put("diagnosticsEvery", diagnosticsEvery);
    json.put("divergence", divergence).put("memoryCheck", memoryCheck).put("xla", xla);
    json.set("precision", StrictJson.tree(precision));
    return json.put("seed", seed);
  }

  private static void atLeast(String key, long value, long least) {
    require(key, value >= least, "at least " + least + ", not " + value);
  }

  private static void require(String key, boolean holds, String range) {
    if (!holds) {
      throw new PerformerException(key + " must be " + range);
    }
  }

  /** Collects what differs from the defaults; {@link LoopOptions} describes each. */
  @JsonPOJOBuilder(withPrefix = "")
  public static final class Builder {
    private long steps = 1000;
    private Integer batchTokens = 16384;
    private Integer batchSequences;
    private int accumulate = 1;
    private Optimizer optimizer = Optimizer.ADAMW;
    private double learningRate = 1e-3;
    private String schedule = "inverse-square-root";
    private long warmupSteps = 100;
    private double finalShare;
    private double clipNorm = 1;
    private double labelSmoothing;
    private double zLoss;
    private double averageDecay;
    private long evaluateEvery = 200;
    private int evaluationBatches;
    private int patience;
    private long checkpointEvery = 200;
    private int keepCheckpoints = 2;
    private long logEvery = 10;
    private long diagnosticsEvery = 200;
    private double divergence = 3;
    private boolean memoryCheck = true;
    private boolean xla;
    private Precision precision = Precision.FLOAT32;
    private long seed = 1;

    private Builder() {}

    private Builder(LoopOptions from) {
      batch(from.batch).schedule(from.schedule);
      steps = from.steps;
      accumulate = from.accumulate;
      optimizer = from.optimizer;
      clipNorm = from.clipNorm;
      labelSmoothing = from.labelSmoothing;
      zLoss = from.zLoss;
      averageDecay = from.averageDecay;
      evaluateEvery = from.evaluateEvery;
      evaluationBatches = from.evaluationBatches;
      patience = from.patience;
      checkpointEvery = from.checkpointEvery;
      keepCheckpoints = from.keepCheckpoints;
      logEvery = from.logEvery;
      diagnosticsEvery = from.diagnosticsEvery;
      divergence = from.divergence;
      memoryCheck = from.memoryCheck;
      xla = from.xla;
      precision = from.precision;
      seed = from.seed;
    }

    /** How many sequences a batch has. */
    @JsonIgnore
    public Builder batch(BatchSize value) {
      batchTokens = value instanceof BatchSize.Tokens size ? size.tokens() : null;
      batchSequences = value instanceof BatchSize.Sequences size ? size.count() : null;
      return this;
    }

    /** Tokens of a batch, padding included. */
    public Builder batchTokens(Integer value) {
      batchTokens = value;
      return this;
    }

    /** Sequences of a batch, whatever the tokens; null for as many as the tokens allow. */
    public Builder batchSequences(Integer value) {
      batchSequences = value;
      return this;
    }

    /** Learning rate by step. */
    @JsonIgnore
    public Builder schedule(Schedule value) {
      schedule = value.label();
      learningRate = value.learningRate();
      warmupSteps = value.warmupSteps();
      finalShare = value.finalShare();
      return this;
    }

    @JsonProperty("schedule")
    private Builder scheduleNamed(String value) {
      schedule = value;
      return this;
    }

    public Builder steps(long value) {
      steps = value;
      return this;
    }

    public Builder accumulate(int value) {
      accumulate = value;
      return this;
    }

    public Builder optimizer(Optimizer value) {
      optimizer = value;
      return this;
    }

    public Builder learningRate(double value) {
      learningRate = value;
      return this;
    }

    public Builder warmupSteps(long value) {
      warmupSteps = value;
      return this;
    }

    public Builder finalShare(double value) {
      finalShare = value;
      return this;
    }

    public Builder clipNorm(double value) {
      clipNorm = value;
      return this;
    }

    public Builder labelSmoothing(double value) {
      labelSmoothing = value;
      return this;
    }

    public Builder zLoss(double value) {
      zLoss = value;
      return this;
    }

    public Builder averageDecay(double value) {
      averageDecay = value;
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

    public Builder patience(int value) {
      patience = value;
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

    public Builder diagnosticsEvery(long value) {
      diagnosticsEvery = value;
      return this;
    }

    public Builder divergence(double value) {
      divergence = value;
      return this;
    }

    public Builder memoryCheck(boolean value) {
      memoryCheck = value;
      return this;
    }

    public Builder xla(boolean value) {
      xla = value;
      return this;
    }

    public Builder precision(Precision value) {
      precision = value;
      return this;
    }

    public Builder seed(long value) {
      seed = value;
      return this;
    }

    /**
     * @throws PerformerException if a value is out of range
     */
    public LoopOptions build() {
      return new LoopOptions(
          steps,
          batch(),
          accumulate,
          optimizer,
          Schedule.of(schedule, learningRate, warmupSteps, finalShare),
          clipNorm,
          labelSmoothing,
          zLoss,
          averageDecay,
          evaluateEvery,
          evaluationBatches,
          patience,
          checkpointEvery,
          keepCheckpoints,
          logEvery,
          diagnosticsEvery,
          divergence,
          memoryCheck,
          xla,
          precision,
          seed);
    }

    private BatchSize batch() {
      if (batchSequences != null) {
        atLeast(SEQUENCES, batchSequences, 1);
        return new BatchSize.Sequences(batchSequences);
      }
      require(TOKENS, batchTokens != null, "given where " + SEQUENCES + " is not");
      atLeast(TOKENS, batchTokens, 1);
      return new BatchSize.Tokens(batchTokens);
    }
  }
}
