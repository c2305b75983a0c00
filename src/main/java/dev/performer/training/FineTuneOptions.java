package dev.performer.training;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.Masking;
import dev.performer.data.SequenceSource;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.training.optim.Schedule;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongSupplier;

/**
 * How a language model is fine-tuned.
 *
 * @param batching length, batch size and ends of the training batches
 * @param loop the loop; its batch is that of {@code batching}
 */
public record FineTuneOptions(Objective objective, Batching batching, LoopOptions loop) {
  /**
   * The loop of a fine-tuning where nothing else is configured: it shows its effect within a few
   * hundred steps, and at most 50 of them are lost to an interruption.
   */
  public static final LoopOptions LOOP =
      LoopOptions.builder()
          .steps(200)
          .schedule(new Schedule.Linear(1e-3, 20, 0))
          .evaluateEvery(50)
          .checkpointEvery(50)
          .diagnosticsEvery(0)
          .divergence(0)
          .build();

  /** The same where a new layer learns from labels: a greater rate would spoil what is below it. */
  public static final LoopOptions TASK_LOOP =
      LOOP.toBuilder().schedule(new Schedule.Linear(1e-4, 20, 0)).build();

  /** A masked language model as protein_lm masks, on crops of 512. */
  public static final FineTuneOptions DEFAULT =
      new FineTuneOptions(
          new Objective.MaskedLanguageModel(Masking.PROTEIN_LM),
          Batching.training(Batching.DEFAULT_LENGTH, Batching.DEFAULT_TOKENS),
          LOOP);

  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String TRAINING = "training";

  public FineTuneOptions {
    if (!batching.shuffle()) {
      throw new IllegalArgumentException("training batches must be shuffled");
    }
    loop = loop.toBuilder().batch(batching.size()).build();
  }

  /** What a model is trained on, and evaluated on. @param tokenizer of the model */
  public record Data(Tokenizer tokenizer, SequenceSource train, SequenceSource validation) {
    /** Data of single letters. */
    public Data(Vocabulary vocabulary, SequenceSource train, SequenceSource validation) {
      this(new LetterTokenizer(vocabulary), train, validation);
    }
  }

  /**
   * Opens a new run that trains a language model, whose graph stays the caller's.
   *
   * @param directory new or empty
   * @throws PerformerException if directory, data or model will not do
   */
  public Trainer start(LanguageModel model, Data data, Path directory, Progress progress) {
    return open(Trainable.of(model), model, model, data, directory, false, progress);
  }

  /**
   * Opens an earlier run, to go on from its newest whole checkpoint.
   *
   * @throws PerformerException if there is none, or model, data or options are not the same
   */
  public Trainer resume(LanguageModel model, Data data, Path directory, Progress progress) {
    return open(Trainable.of(model), model, model, data, directory, true, progress);
  }

  /**
   * Opens a run, a new or an earlier one.
   *
   * @param trainable the model with its loss, in whatever form
   * @param evaluated the model as it is evaluated
   */
  public Trainer open(
      Trainable trainable,
      LanguageModel model,
      LanguageModel evaluated,
      Data data,
      Path directory,
      boolean resume,
      Progress progress) {
    var tokenizer = data.tokenizer();
    model.check(tokenizer.vocabulary());
    evaluated.check(tokenizer.vocabulary());
    for (var source : List.of(data.train(), data.validation())) {
      try (var stream = source.open()) {
        PerformerException.require(stream.hasNext(), "%s holds no sequence", source.name());
      }
    }
    var fitted = evaluated.fit(model.fit(batching));
    var trained = ExampleBatches.of(data.train(), tokenizer, fitted, loop.seed());
    var opened = new AtomicReference<Trainer>();
    LongSupplier step = () -> opened.get().step();
    BatchSource train = TokenBatchSource.training(trained, objective, loop.seed(), step);
    long seed = TokenBatchSource.EVALUATION_SEED;
    var held = ExampleBatches.of(data.validation(), tokenizer, fitted.forEvaluation(), seed);
    BatchSource validation = TokenBatchSource.evaluation(held, objective);
    var best = Validation.of(trainable, validation, loop.evaluationBatches());
    RunDirectory run = RunDirectory.open(directory, resume, settings(data), progress);
    opened.set(new Trainer(trainable, train, best, loop, run, progress));
    return opened.get().owning(train, validation);
  }

  /** The {@code config.json} of a run: every setting, defaults included. */
  private RunDirectory.Settings settings(Data data) {
    ObjectNode json = JSON.createObjectNode().put("format", 2);
    json.set("objective", kind(objective));
    ObjectNode batches = JSON.valueToTree(batching);
    json.set("batching", batches.set("size", kind(batching.size())));
    json.set(TRAINING, loop.toJson());
    json.putObject("data")
        .put("train", data.train().name())
        .put("validation", data.validation().name());
    var known = data.tokenizer().vocabulary();
    ObjectNode vocabulary = json.putObject("vocabulary");
    vocabulary.set("tokens", JSON.valueToTree(known.tokens()));
    known.pad().ifPresent(id -> vocabulary.put("pad", id));
    known.mask().ifPresent(id -> vocabulary.put("mask", id));
    known.bos().ifPresent(id -> vocabulary.put("bos", id));
    known.eos().ifPresent(id -> vocabulary.put("eos", id));
    known.unknown().ifPresent(id -> vocabulary.put("unknown", id));
    return new RunDirectory.Settings(RunDirectory.CONFIG, json, FineTuneOptions::current);
  }

  /** The settings of an earlier run in this form; format 1 had them in one level. */
  static JsonNode current(JsonNode was) {
    if (!(was instanceof ObjectNode old) || was.has(TRAINING)) {
      return was;
    }
    var keys = LOOP.toJson().properties().stream().map(Map.Entry::getKey).toList();
    ObjectNode loop = old.deepCopy().retain(keys);
    if (old.get("optimizer") instanceof ObjectNode optimizer) {
      loop.set("clipNorm", optimizer.remove("clipNorm"));
      loop.set("optimizer", optimizer.has("name") ? optimizer : optimizer.put("name", "adamw"));
    }
    JsonNode schedule = old.path("schedule");
    loop.set("schedule", schedule.path("kind"));
    loop.set("learningRate", schedule.path("peak"));
    loop.set("warmupSteps", schedule.path("warmup"));
    loop.put("finalShare", schedule.path("floor").asDouble());
    JsonNode size = old.at("/batching/size");
    boolean counts = size.has("count");
    loop.set(counts ? "batchSequences" : "batchTokens", size.path(counts ? "count" : "tokens"));
    LoopOptions options = LOOP.with(loop, "config.json of format 1");
    old.remove(List.of("optimizer", "schedule"));
    loop.fieldNames().forEachRemaining(old::remove);
    old.set(TRAINING, options.toJson());
    return old.put("format", 2);
  }

  private static ObjectNode kind(Object choice) {
    String name = choice.getClass().getSimpleName();
    ObjectNode json = JSON.createObjectNode();
    json.put("kind", name.replaceAll("(?<=.)([A-Z])", "-$1").toLowerCase(Locale.ROOT));
    return json.setAll((ObjectNode) JSON.<JsonNode>valueToTree(choice));
  }
}
