package dev.performer.distill;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.StrictJson;
import dev.performer.data.TokenBatch;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.training.Feed;
import dev.performer.training.Objective;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.Trainer;
import dev.performer.training.TrainerStep;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.RunDirectory.Settings;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.List;
import org.tensorflow.Result;
import org.tensorflow.Session;

/**
 * Knowledge distillation: a student that attends by FAVOR+ learns, layer by layer, to compute what
 * the same model computes with exact attention. The loop, the run directory and resuming are those
 * of a {@link Trainer}. Owns graph, session and the run directory's lock.
 */
public final class Distiller implements AutoCloseable {
  private static final String FORMAT = "format";
  private static final int CURRENT = 2; // 1 lacks what evaluations are compared by

  /** Settings of a run besides the recipe's. */
  private static final List<String> RUN_KEYS =
      List.of(FORMAT, "student", "teacher", "train", "validation");

  private final DistillGraph graph;
  private final DistillEvaluator evaluator;
  private final Trainer trainer;

  /** Opens a run, or goes on from the newest whole checkpoint of one. */
  public static Distiller open(
      DistillModels models,
      DistillData data,
      DistillRecipe recipe,
      Path directory,
      boolean resume,
      Progress progress) {
    var run = directory(models, data, recipe, directory, resume, progress);
    return open(models, data, recipe, run, progress);
  }

  /** The directory of a run by a recipe, with or without stages; nothing is trained yet. */
  public static RunDirectory directory(
      DistillModels models,
      DistillData data,
      DistillRecipe recipe,
      Path directory,
      boolean resume,
      Progress progress) {
    ObjectNode config = config(models, data, recipe);
    var settings = new Settings(RunDirectory.CONFIG, config, was -> current(was, directory));
    return RunDirectory.open(directory, resume, settings, progress);
  }

  /** One training in a run directory, which is closed with it. */
  public static Distiller open(
      DistillModels models,
      DistillData data,
      DistillRecipe recipe,
      RunDirectory run,
      Progress progress) {
    try {
      DistillGraph graph = DistillGraph.of(models, recipe);
      try {
        return new Distiller(graph, data, recipe, run, progress);
      } catch (RuntimeException e) {
        graph.close();
        throw e;
      }
    } catch (RuntimeException e) {
      run.close();
      throw e;
    }
  }

  /** What came of a run that was finished. */
  public static DistillResult finished(Path directory) {
    JsonNode config = StrictJson.readTree(directory.resolve(RunDirectory.CONFIG));
    try (var run = RunDirectory.open(directory, true, Settings.of(config), Progress.silent())) {
      var last = run.newest(warning -> {});
      require(
          last.isPresent(), "%s has no whole checkpoint; start in another directory", directory);
      var state = last.get().state();
      return DistillResult.of(state.result(true, last.get().directory(), List.of()), false);
    }
  }

  /** How near a student is to its teacher as it is. */
  public static DistillEvaluation evaluate(
      DistillModels models, DistillData data, DistillRecipe recipe) {
    try (DistillGraph graph = DistillGraph.of(models, recipe);
        Session session = TrainerStep.session(graph.graph(), false)) {
      graph.initialize(session);
      var evaluator = DistillEvaluator.of(graph, data, recipe);
      return DistillEvaluation.of(evaluator.evaluate(session, () -> false).orElseThrow());
    }
  }

  private Distiller(
      DistillGraph graph,
      DistillData data,
      DistillRecipe recipe,
      RunDirectory run,
      Progress progress) {
    this.graph = graph;
    evaluator = DistillEvaluator.of(graph, data, recipe);
    long seed = recipe.training().seed();
    var batches = data.batches(data.train(), recipe.batchTokens(), seed);
    Objective objective = (batch, vocabulary, drawn, step) -> data.label(batch, drawn, step);
    var source = TokenBatchSource.training(batches, objective, seed, () -> trainer().step());
    trainer = new Trainer(graph.trainable(), source, evaluator, recipe.training(), run, progress);
  }

  /** The loop, and the session with the weights as they are; valid until {@link #close}. */
  public Trainer trainer() {
    return trainer;
  }

  /** The student's variables, with their keys in the SavedModel that it came from. */
  public List<Variable> student() {
    return graph.student();
  }

  /** Trains to the last step, the target, or Ctrl-C; where it fails, the checkpoints are good. */
  public DistillResult run() {
    TrainingResult result = trainer.run();
    return DistillResult.of(result, evaluator.isEnough(result.best()));
  }

  /** The weights of the best evaluation, with low-rank factors added to them, in the session. */
  public void restoreBest() {
    trainer.restoreBest();
    graph.merge(trainer.session());
  }

  /** The student's states of sequences, {@code [B, L, E]}, or its logits {@code [B, L, V]}. */
  public float[] outputs(TokenBatch batch) {
    try (Feed feed = graph.feed(DistillData.unlabelled(batch));
        Result result = feed.run(trainer.session(), List.of(graph.studentOutput()))) {
      return Tensors.floats(result.get(0));
    }
  }

  @Override
  public void close() {
    try {
      trainer.close();
    } finally {
      graph.close();
    }
  }

  private static ObjectNode config(DistillModels models, DistillData data, DistillRecipe recipe) {
    ObjectNode config = recipe.toJson().deepCopy();
    config.put(FORMAT, CURRENT).put("student", models.studentPath().toString());
    config.put("teacher", models.teacherPath().toString()).put("train", data.train().name());
    return config.put("validation", data.validation().name());
  }

  /** The settings of an earlier run as {@link #config} has them. */
  private static JsonNode current(JsonNode was, Path directory) {
    JsonNode format = was.path(FORMAT);
    String text =
        "cannot resume %s: another version of this program began it (format %s); start elsewhere";
    require(format.asInt() == CURRENT, text, directory, format);
    ObjectNode recipe = was.deepCopy();
    recipe.remove(RUN_KEYS);
    ObjectNode now = (ObjectNode) DistillRecipe.of(recipe, directory + "/config.json").toJson();
    RUN_KEYS.forEach(key -> now.set(key, was.path(key)));
    return now;
  }
}
