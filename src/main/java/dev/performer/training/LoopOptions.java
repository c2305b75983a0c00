package dev.performer.training;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Overrides;
import dev.performer.data.StrictJson;
import dev.performer.nn.Dense.Precision;
import dev.performer.savedmodel.Lora;
import dev.performer.savedmodel.VariablePattern;
import dev.performer.training.optim.Optimizer;
import dev.performer.training.optim.ParameterGroups;
import dev.performer.training.optim.Schedule;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * How a training loop runs, whatever it trains: the section {@code training} of a recipe, of a
 * distillation and of a fine-tuning. The components are the keys in JSON and YAML.
 *
 * <pre>{@code
 * var cosine = new Schedule.Cosine(2e-3, 50, 0);
 * LoopOptions options = LoopOptions.builder().steps(500).schedule(cosine).build();
 * LoopOptions longer = options.with("steps=1000", "optimizer={name: lion}");
 * }</pre>
 *
 * @param steps optimizer steps of the whole run
 * @param batchTokens tokens of a batch, padding included; with {@code accumulate} of each part
 * @param batchSequences sequences of a batch, whatever the tokens; null for as many as fit
 * @param accumulate batches whose gradients make one step
 * @param optimizer how weights follow gradients
 * @param learningRate the peak
 * @param learningRates factors of it by patterns of variables' names; where several match, their
 *     product. As {@link dev.performer.savedmodel.VariablePattern} reads them, and so below
 * @param freeze variables that stay as they are
 * @param trainOnly variables besides which all others stay as they are; empty for all. With {@code
 *     lora} those that are trained besides the factors
 * @param lora of an imported model: factors of weights, which are trained in their place; null for
 *     none
 * @param scheduleName one of {@link Schedule#NAMES}
 * @param warmupSteps steps until the peak
 * @param finalShare of the peak, at the last step
 * @param clipNorm greatest global norm of a gradient; 0 for no limit
 * @param labelSmoothing share of the targets that all tokens have alike
 * @param zLoss weight of log² of the softmax's sum
 * @param averageDecay of an average of the weights, which is evaluated and exported; 0 for none
 * @param evaluateEvery steps between evaluations; 0 for before and after only
 * @param evaluationBatches validation batches at most; 0 for all
 * @param patience evaluations without a better one until training stops; 0 for no such end
 * @param checkpointEvery steps between checkpoints; 0 for the end, and the best, only
 * @param keepCheckpoints newest checkpoints that stay, besides the best
 * @param logEvery steps between lines of metrics
 * @param diagnosticsEvery steps between looks at the features of each layer; 0 for none
 * @param divergence times the first validation loss: a loss that has diverged; 0 for no limit
 * @param memoryCheck whether a run is refused whose estimate exceeds the machine's memory
 * @param memory what a step keeps of the forward pass. Its gradients are the same in every form
 * @param segmentLength positions of each sequence in a segment; null for 2,048 tokens in all
 * @param truncate whether sequences are streams: each batch goes on where the one before ended,
 *     with its state, and gradients end where a segment begins
 * @param xla whether XLA compiles the step, for each shape of a batch anew
 * @param precision of the products of dense layers in training; validation and export are float32
 * @param seed of weights, order, crops, masks, dropout and redraws
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record LoopOptions(
    long steps,
    Integer batchTokens,
    Integer batchSequences,
    int accumulate,
    Optimizer optimizer,
    double learningRate,
    @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, Double> learningRates,
    @JsonInclude(JsonInclude.Include.NON_EMPTY) List<String> freeze,
    @JsonInclude(JsonInclude.Include.NON_EMPTY) List<String> trainOnly,
    Lora lora,
    @JsonProperty("schedule") String scheduleName,
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
    Memory memory,
    Integer segmentLength,
    @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean truncate,
    boolean xla,
    Precision precision,
    long seed) {
  private static final String TOKENS = "batchTokens";
  private static final String SEQUENCES = "batchSequences";

  /** Keys by the names that they once had. */
  private static final Map<String, String> RENAMED =
      Map.of("clip", "clipNorm", "finalRate", "finalShare");

  private static final String DEFAULTS =
      """
      {"steps": 1000, "batchTokens": 16384, "accumulate": 1, "optimizer": "adamw",
       "learningRate": 1e-3, "schedule": "inverse-square-root", "warmupSteps": 100, "finalShare": 0,
       "clipNorm": 1, "labelSmoothing": 0, "zLoss": 0, "averageDecay": 0, "evaluateEvery": 200,
       "evaluationBatches": 0, "patience": 0, "checkpointEvery": 200, "keepCheckpoints": 2,
       "logEvery": 10, "diagnosticsEvery": 200, "divergence": 3, "memoryCheck": true,
       "memory": "plain", "xla": false, "precision": "float32", "seed": 1}
      """;

  /** What is not configured. */
  public static final LoopOptions DEFAULT =
      StrictJson.bind(
          StrictJson.readTree(DEFAULTS.getBytes(UTF_8), "defaults"), LoopOptions.class, "defaults");

  /** Checks ranges; what a schedule does not look at, or the other size of a batch, goes. */
  public LoopOptions {
    atLeast("steps", steps, 1);
    require(TOKENS, batchTokens != null || batchSequences != null, "given without " + SEQUENCES);
    boolean counts = batchSequences != null;
    atLeast(counts ? SEQUENCES : TOKENS, counts ? batchSequences : batchTokens, 1);
    batchTokens = counts ? null : batchTokens;
    Schedule schedule = Schedule.of(scheduleName, learningRate, warmupSteps, finalShare);
    scheduleName = schedule.label();
    finalShare = schedule.finalShare();
    freeze = patterns("freeze", freeze);
    trainOnly = patterns("trainOnly", trainOnly);
    learningRates = learningRates == null ? Map.of() : new LinkedHashMap<>(learningRates);
    patterns("learningRates", List.copyOf(learningRates.keySet()));
    boolean isSound = learningRates.values().stream().allMatch(f -> f != null && f > 0 && f < 1e9);
    require("learningRates", isSound, "factors above 0, such as {\"head/**\": 10}");
    learningRates = Collections.unmodifiableMap(learningRates);
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
    require("memory", memory != null, "plain, recompute or segments");
    memory.check(segmentLength, truncate, batchSequences);
    PerformerException.require(
        patience == 0 || evaluateEvery > 0,
        "patience needs evaluations; set evaluateEvery above 0");
  }

  /** Positions of each of so many sequences that are computed at a time. */
  public int segmentLength(int rows) {
    return segmentLength == null ? Math.max(128, 2048 / rows / 128 * 128) : segmentLength;
  }

  /** How many sequences a batch has. */
  public BatchSize batch() {
    return batchSequences == null
        ? new BatchSize.Tokens(batchTokens)
        : new BatchSize.Sequences(batchSequences);
  }

  private static List<String> patterns(String key, List<String> given) {
    List<String> all = given == null ? List.of() : new ArrayList<>(given);
    all.forEach(glob -> VariablePattern.of(key, glob));
    return List.copyOf(all);
  }

  /** Which variables are trained, and how fast. */
  public ParameterGroups groups() {
    // An adapted model marks what is trained besides its factors itself.
    return new ParameterGroups(freeze, lora == null ? trainOnly : List.of(), learningRates);
  }

  /** How an imported model is adapted, if so configured. */
  public Optional<Lora.Adaptation> adaptation() {
    return Optional.ofNullable(lora).map(l -> new Lora.Adaptation(l, trainOnly, seed));
  }

  /** Learning rate by step. */
  public Schedule schedule() {
    return Schedule.of(scheduleName, learningRate, warmupSteps, finalShare);
  }

  /** Begins with the defaults. */
  public static Builder builder() {
    return DEFAULT.toBuilder();
  }

  /** Begins with these. */
  public Builder toBuilder() {
    return new Builder(toJson());
  }

  /** As {@link #with(String...)} over the defaults. */
  public static LoopOptions of(String... settings) {
    return DEFAULT.with(settings);
  }

  /** These with {@code "steps=100"}, for instance. @throws PerformerException that names the key */
  public LoopOptions with(String... settings) {
    JsonNode keys = new Overrides(List.of(settings)).over(JsonNodeFactory.instance.objectNode());
    return with(keys, "training options");
  }

  /** Keys over these. @throws PerformerException that names source and key */
  public LoopOptions with(JsonNode keys, String source) {
    return StrictJson.bind(over(keys, source), LoopOptions.class, source);
  }

  /** All keys, those given in place of these. @throws PerformerException if they are no object */
  public ObjectNode over(JsonNode keys, String source) {
    ObjectNode all = toJson();
    if (keys.isMissingNode() || keys.isNull()) {
      return all;
    }
    PerformerException.require(
        keys.isObject(), "%s: expected an object, such as {steps: 1000}", source);
    if (keys.hasNonNull(TOKENS) || keys.hasNonNull(SEQUENCES)) {
      all.remove(List.of(TOKENS, SEQUENCES));
    }
    keys.fields()
        .forEachRemaining(k -> all.set(RENAMED.getOrDefault(k.getKey(), k.getKey()), k.getValue()));
    return all;
  }

  /** All keys; {@link #with} gives these options back. */
  public ObjectNode toJson() {
    return (ObjectNode) StrictJson.tree(this);
  }

  private static void atLeast(String key, long value, long least) {
    require(key, value >= least, "at least " + least + ", not " + value);
  }

  private static void require(String key, boolean holds, String range) {
    PerformerException.require(holds, "%s must be %s", key, range);
  }

  /** Collects what differs from the defaults; {@link LoopOptions} describes each. */
  public static final class Builder {
    private final ObjectNode keys;

    private Builder(ObjectNode keys) {
      this.keys = keys;
    }

    private Builder set(String key, Object value) {
      keys.set(key, StrictJson.tree(value));
      return this;
    }

    /** How many sequences a batch has: by tokens, or by count. */
    public Builder batch(BatchSize value) {
      return value instanceof BatchSize.Tokens size
          ? set(SEQUENCES, null).set(TOKENS, size.tokens())
          : set(SEQUENCES, ((BatchSize.Sequences) value).count());
    }

    /** Learning rate by step: its name, peak, warm-up and last share. */
    public Builder schedule(Schedule value) {
      set("schedule", value.label()).set("learningRate", value.learningRate());
      return set("warmupSteps", value.warmupSteps()).set("finalShare", value.finalShare());
    }

    public Builder steps(long value) {
      return set("steps", value);
    }

    public Builder accumulate(int value) {
      return set("accumulate", value);
    }

    public Builder optimizer(Optimizer value) {
      return set("optimizer", value);
    }

    /** The peak of the schedule. */
    public Builder learningRate(double value) {
      return set("learningRate", value);
    }

    /** Factors of it by patterns of names. */
    public Builder learningRates(Map<String, Double> value) {
      return set("learningRates", value);
    }

    /** Patterns of variables that stay as they are. */
    public Builder freeze(String... patterns) {
      return set("freeze", patterns);
    }

    /** Patterns of variables besides which all others stay as they are. */
    public Builder trainOnly(String... patterns) {
      return set("trainOnly", patterns);
    }

    /** Trains low-rank factors of an imported model's weights. */
    public Builder lora(Lora value) {
      return set("lora", value);
    }

    public Builder clipNorm(double value) {
      return set("clipNorm", value);
    }

    public Builder labelSmoothing(double value) {
      return set("labelSmoothing", value);
    }

    public Builder zLoss(double value) {
      return set("zLoss", value);
    }

    public Builder averageDecay(double value) {
      return set("averageDecay", value);
    }

    public Builder evaluateEvery(long value) {
      return set("evaluateEvery", value);
    }

    public Builder evaluationBatches(int value) {
      return set("evaluationBatches", value);
    }

    public Builder patience(int value) {
      return set("patience", value);
    }

    public Builder checkpointEvery(long value) {
      return set("checkpointEvery", value);
    }

    public Builder keepCheckpoints(int value) {
      return set("keepCheckpoints", value);
    }

    public Builder logEvery(long value) {
      return set("logEvery", value);
    }

    public Builder diagnosticsEvery(long value) {
      return set("diagnosticsEvery", value);
    }

    public Builder divergence(double value) {
      return set("divergence", value);
    }

    public Builder memoryCheck(boolean value) {
      return set("memoryCheck", value);
    }

    public Builder memory(Memory value) {
      return set("memory", value);
    }

    /** Segments of so many positions. */
    public Builder segments(int length) {
      return set("memory", Memory.SEGMENTS).set("segmentLength", length);
    }

    public Builder xla(boolean value) {
      return set("xla", value);
    }

    public Builder precision(Precision value) {
      return set("precision", value);
    }

    public Builder seed(long value) {
      return set("seed", value);
    }

    /** Builds. @throws PerformerException that names a key whose value is out of range */
    public LoopOptions build() {
      return StrictJson.bind(keys, LoopOptions.class, "training options");
    }
  }
}
