package dev.performer.distill;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JsonPointer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.BatchSize;
import dev.performer.data.StrictJson;
import dev.performer.model.Performer;
import dev.performer.nn.HeadCalibration;
import dev.performer.training.LoopOptions;
import dev.performer.training.Memory;
import dev.performer.training.optim.Optimizer;
import dev.performer.training.optim.Schedule;
import java.util.List;
import java.util.Map;

/**
 * How a student learns from a teacher. What is absent has the value of {@code
 * training/softmax-to-favor.yaml}.
 *
 * @param data which part of the data is read
 * @param loss what counts how much
 * @param weights which of the student's change besides those of its layers
 * @param training the loop
 * @param evaluation on held-out data
 * @param stages trainings one after the other, each from the best weights of the one before; empty
 *     for one training by {@code loss}, {@code weights} and {@code training}
 */
public record DistillRecipe(
    Data data,
    Loss loss,
    Weights weights,
    LoopOptions training,
    Evaluation evaluation,
    @JsonInclude(JsonInclude.Include.NON_EMPTY) List<DistillStage> stages) {
  /**
   * The loop of a distillation where nothing else is configured. The second moment forgets fast
   * enough for hundreds of steps, and without weight decay the weights stay near the teacher's.
   */
  public static final LoopOptions LOOP =
      LoopOptions.builder()
          .steps(600)
          .batch(new BatchSize.Tokens(2048))
          .optimizer(new Optimizer.AdamW(0.9, 0.98, 1e-8, 0, false))
          .schedule(new Schedule.Cosine(3e-4, 20, 0))
          .evaluateEvery(50)
          .checkpointEvery(100)
          .keepCheckpoints(1)
          .diagnosticsEvery(0)
          .divergence(0)
          .build();

  /** What a loop has for a model's own loss and data. */
  private static final List<String> NOT_OF_A_DISTILLATION =
      List.of(
          "labelSmoothing",
          "zLoss",
          "averageDecay",
          "evaluationBatches",
          "diagnosticsEvery",
          "memoryCheck",
          "precision");

  /** All defaults. */
  public static final DistillRecipe DEFAULT = new DistillRecipe(null, null, null, null, null, null);

  /** Where keys stand that were once elsewhere. */
  private static final Map<String, String> MOVED =
      Map.of(
          "/training/embeddings", "/weights/embeddings",
          "/training/projections", "/weights/projections",
          "/training/beta2", "/training/optimizer/beta2",
          "/training/weightDecay", "/training/optimizer/weightDecay",
          "/evaluation/every", "/training/evaluateEvery");

  public DistillRecipe {
    data = data == null ? new Data(null, null) : data;
    loss = loss == null ? new Loss(null, null, null, null) : loss;
    weights = weights == null ? Weights.DEFAULT : weights;
    training = training == null ? LOOP : training;
    evaluation = evaluation == null ? new Evaluation(null, null) : evaluation;
    stages = stages == null ? List.of() : List.copyOf(stages);
    check(training, weights);
  }

  /** One training. */
  public DistillRecipe(
      Data data, Loss loss, Weights weights, LoopOptions training, Evaluation evaluation) {
    this(data, loss, weights, training, evaluation, List.of());
  }

  /** Refuses what only a model's own loss and data have. */
  static void check(LoopOptions training, Weights weights) {
    require(
        training.batch() instanceof BatchSize.Tokens,
        "a distillation takes training.batchTokens, not training.batchSequences");
    require(
        training.memory() != Memory.SEGMENTS,
        "training.memory: segments makes no sense in a distillation, which compares whole sequences; recompute does");
    ObjectNode ours = training.toJson();
    for (String key : NOT_OF_A_DISTILLATION) {
      boolean isDefault = ours.path(key).equals(LOOP.toJson().path(key));
      require(isDefault, "training.%s makes no sense in a distillation", key);
    }
    require(
        training.lora() == null || weights.layers(),
        "training.lora: trains factors of the layers' weights, which weights.layers: false leaves as they are");
  }

  /** The trainings, in their order: each a recipe without stages. */
  public List<DistillRecipe> trainings() {
    return stages.isEmpty()
        ? List.of(this)
        : stages.stream()
            .map(s -> new DistillRecipe(data, s.loss(), s.weights(), s.training(), evaluation))
            .toList();
  }

  /**
   * @param length tokens of a sequence at most; longer ones are cropped
   * @param holdOutEvery the first of every so many sequences is held out for evaluation
   */
  public record Data(Integer length, Integer holdOutEvery) {
    public Data {
      length = atLeast("data.length", length, 256, 2);
      holdOutEvery = atLeast("data.holdOutEvery", holdOutEvery, 20, 2);
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
      hidden = notNegative("loss.hidden", hidden, 1);
      attention = notNegative("loss.attention", attention, 0.5);
      embedding = notNegative("loss.embedding", embedding, 2);
      logits = notNegative("loss.logits", logits, 1);
      require(
          hidden + attention + embedding + logits > 0,
          "all weights of loss are 0; nothing would be learned");
    }
  }

  /**
   * Of the student.
   *
   * @param layers whether those of its layers change, and of what stands behind them
   * @param embeddings whether they change
   * @param projections whether its random directions do, which then are learned ones
   * @param calibration whether the centres and amounts of calibrated features do
   */
  public record Weights(
      Boolean layers, boolean embeddings, boolean projections, boolean calibration) {
    static final Weights DEFAULT = new Weights(null, false, false, false);

    public Weights {
      layers = layers == null || layers;
      require(
          layers || embeddings || projections || calibration,
          "weights leave nothing to train; set layers, projections, calibration or embeddings to true");
    }

    /** With the layers, and calibration as it is. */
    public Weights(boolean embeddings, boolean projections) {
      this(true, embeddings, projections, false);
    }

    /** Whether a variable of this name is trained. */
    boolean train(String name) {
      if (HeadCalibration.isPart(name) && !Performer.isDrawn(name)) {
        return calibration && !name.endsWith(HeadCalibration.BASIS); // which no feature reads
      }
      return Performer.isDrawn(name)
          ? projections
          : name.startsWith("embeddings/") ? embeddings : layers;
    }
  }

  /**
   * @param sequences held-out sequences at most
   * @param target the mean cosine of embeddings (encoders), or the accuracy over the teacher's
   *     (language models), at which training stops; null for none
   */
  public record Evaluation(Integer sequences, Double target) {
    public Evaluation {
      sequences = atLeast("evaluation.sequences", sequences, 256, 1);
      require(target == null || target > 0, "evaluation.target must be above 0, not %s", target);
    }
  }

  /** From a recipe's tree, in which old places of keys are known; errors name source and key. */
  public static DistillRecipe of(JsonNode tree, String source) {
    String text = "%s: expected an object, such as {training: {steps: 600}}";
    require(tree instanceof ObjectNode, text, source);
    ObjectNode keys = tree.deepCopy();
    MOVED.forEach((from, to) -> move(keys, JsonPointer.compile(from), JsonPointer.compile(to)));
    if (keys.at("/training/optimizer") instanceof ObjectNode optimizer && !optimizer.has("name")) {
      ObjectNode all = (ObjectNode) LOOP.optimizer().json();
      all.setAll(optimizer);
      optimizer.setAll(all);
    }
    keys.set("training", LOOP.over(keys.path("training"), source));
    if (keys.get("stages") instanceof ArrayNode stages) {
      DistillStage.resolve(stages, keys, source);
    }
    return StrictJson.bind(keys, DistillRecipe.class, source);
  }

  private static void move(ObjectNode tree, JsonPointer from, JsonPointer to) {
    String key = from.last().getMatchingProperty();
    if (tree.at(from.head()) instanceof ObjectNode old && old.has(key)) {
      tree.withObject(to.head()).set(to.last().getMatchingProperty(), old.remove(key));
    }
  }

  int batchTokens() {
    return ((BatchSize.Tokens) training.batch()).tokens();
  }

  /** All keys; {@link #of} gives this recipe back. */
  public JsonNode toJson() {
    JsonNode json = StrictJson.tree(this);
    ((ObjectNode) json.get("training")).remove(NOT_OF_A_DISTILLATION);
    json.path("stages")
        .forEach(s -> ((ObjectNode) s.get("training")).remove(NOT_OF_A_DISTILLATION));
    return json;
  }

  private static int atLeast(String key, Integer given, int otherwise, int least) {
    int value = given == null ? otherwise : given;
    require(value >= least, "%s must be at least %d, not %d", key, least, value);
    return value;
  }

  private static double notNegative(String key, Double given, double otherwise) {
    double value = given == null ? otherwise : given;
    boolean holds = value >= 0 && Double.isFinite(value);
    require(holds, "%s must not be negative, and finite: %s", key, value);
    return value;
  }
}
