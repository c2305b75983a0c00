package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Layout;
import dev.performer.chart.Chart.Legend;
import dev.performer.chart.Chart.Line.Marker;
import dev.performer.chart.Chart.Scale;
import dev.performer.data.BatchSize;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.ContextBatches;
import dev.performer.data.ExampleBatches;
import dev.performer.data.SequenceSource;
import dev.performer.data.Tokenizer;
import dev.performer.model.Task;
import dev.performer.pipeline.TaskReader.Known;
import dev.performer.recipe.EvaluationData;
import dev.performer.recipe.EvaluationData.Request;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.TaskCard;
import dev.performer.training.BatchSource;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.ImportedLoss;
import dev.performer.training.ImportedTask;
import dev.performer.training.LossGraph;
import dev.performer.training.Objective;
import dev.performer.training.Trainable;
import dev.performer.training.Validation;
import dev.performer.training.run.Evaluation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import org.tensorflow.Session;

/**
 * Loss, accuracy, perplexity and what else its task measures of a model.
 *
 * <pre>{@code
 * Evaluator evaluator = Evaluator.of(Model.open(Path.of("lm")));
 * Evaluation evaluation = evaluator.evaluate(Path.of("valid.fasta.gz")).evaluation();
 * System.out.println(evaluation.perplexity());
 * }</pre>
 *
 * <p>What masked models have to guess follows from a seed, so evaluations can be compared.
 * Immutable; each call loads the model anew.
 */
public final class Evaluator {
  /** Sequences of a batch where Google's protein_lm draws masks from all of its tokens. */
  public static final int GOOGLE_ROWS = 50;

  private final Model model;
  private final Optional<EvaluationData> trained;
  private final Optional<TaskCard> task;

  private Evaluator(Model model, Optional<EvaluationData> trained, Optional<TaskCard> task) {
    this.model = model;
    this.trained = trained;
    this.task = task;
  }

  /** Evaluates a model on data that are read as those it was trained on, where it records how. */
  public static Evaluator of(Model model) {
    return new Evaluator(model, EvaluationData.of(model.path()), model.card().map(ModelCard::task));
  }

  /** Evaluates a model on data that are read as a recipe specifies. */
  public static Evaluator of(Model model, Recipe recipe) {
    return new Evaluator(model, Optional.of(EvaluationData.of(recipe)), Optional.empty());
  }

  /**
   * What came of it over which data; the report is one line on what was not taken as it stood, such
   * as letters that are unknown.
   */
  public record Outcome(Evaluation evaluation, String data, Optional<String> report) {}

  /**
   * What came of one context.
   *
   * @param bits a token
   * @param change of the bits from the next shorter context to this one; 0 of the shortest
   * @param error standard error of the change, from its differences between sequences; NaN of one
   *     sequence
   */
  public record OfContext(
      int context, double bits, double change, double error, Evaluation evaluation) {
    /** Of the sums of each sequence, with this context and with the next shorter one. */
    private static OfContext of(
        int context, List<double[]> own, List<double[]> shorter, Evaluation evaluation) {
      double guesses = own.stream().mapToDouble(sums -> sums[2]).sum();
      double[] less = new double[own.size()];
      Arrays.setAll(less, i -> (own.get(i)[0] - shorter.get(i)[0]) / Math.log(2));
      double change = Arrays.stream(less).sum() / guesses;
      double squares = 0;
      for (int i = 0; i < less.length; i++) {
        squares += Math.pow(less[i] - change * own.get(i)[2], 2);
      }
      double error = Math.sqrt(squares * less.length / (less.length - 1)) / guesses;
      return new OfContext(context, evaluation.loss() / Math.log(2), change, error, evaluation);
    }
  }

  /**
   * What came of several contexts, shortest first.
   *
   * @param sequences that were long enough
   * @param bytes of the text of the guesses, the same in all; empty where tokens are no text
   * @param data over what
   */
  public record ByContext(
      List<OfContext> contexts,
      int sequences,
      OptionalLong bytes,
      String data,
      Optional<String> report) {
    /** Bits a byte of so many bits a token; empty where tokens are no text. */
    public OptionalDouble bitsAByte(double bits) {
      long guesses = contexts.get(0).evaluation().guesses();
      return bytes.isPresent()
          ? OptionalDouble.of(bits * guesses / bytes.getAsLong())
          : OptionalDouble.empty();
    }

    /** Bits against context. */
    public Chart chart() {
      String unit = bytes.isPresent() ? "bits a byte" : "bits a token";
      var layout = new Layout(700, 400, Scale.POWERS_OF_TWO, Scale.LINEAR, Legend.BELOW);
      List<Integer> tokens = contexts.stream().map(OfContext::context).toList();
      var bits = contexts.stream().map(c -> bitsAByte(c.bits()).orElse(c.bits())).toList();
      String title = "%,d guesses, the same for every context";
      title = String.format(Locale.ROOT, title, contexts.get(0).evaluation().guesses());
      return Chart.of(title, "context: tokens before a guess, at most", unit, layout)
          .with(Chart.Line.of(unit, tokens, bits).withMarker(Marker.CIRCLE));
    }
  }

  /** Whether a file has labels for what the model learnt to guess of such. */
  public boolean readsLabels(Path file) {
    return task.isPresent() && TaskReader.isLabelled(file);
  }

  /** Whether there are data without a file: those of a recipe, or made-up ones. */
  public boolean hasOwnData() {
    return trained.isPresent() && trained.get().hasOwn();
  }

  /** Whether a file is read as in training. @throws PerformerException if the model cannot do so */
  public boolean readsAsInTraining(Path file) {
    return trained.isPresent()
        && trained.get().reads(file, PerformerModels.requireConfig(model.path()).task());
  }

  /**
   * Evaluates a causal language model on the same guesses with different numbers of tokens before
   * them: those of the second half of sequences as long as the longest context. With a context of
   * c, every guess has between c / 2 and c tokens before it.
   *
   * @param file empty for the recipe's own validation data
   * @param contexts even numbers that divide the largest, in any order
   * @throws PerformerException if the model is none, or no sequence is as long as the longest
   */
  public ByContext byContext(Optional<Path> file, Request request, List<Integer> contexts) {
    boolean isCausal =
        trained.isPresent()
            ? PerformerModels.requireConfig(model.path()).task() == Task.CAUSAL_LM
            : model.languageModel().evaluationObjective() instanceof Objective.CausalLanguageModel;
    require(isCausal, "%s is no causal language model; only these have contexts", model.path());
    List<Integer> sorted = contexts.stream().sorted().distinct().toList();
    require(!sorted.isEmpty(), "no context is given, such as 512");
    int longest = sorted.get(sorted.size() - 1);
    var cut = file.isEmpty() ? request : request.withLength(longest);
    List<OfContext> results = new ArrayList<>();
    List<double[]> shorter = null;
    Outcome last = null;
    var windows = new AtomicReference<ContextBatches>();
    for (int context : sorted) {
      List<double[]> sums = new ArrayList<>();
      BiFunction<Batches, Integer, Batches> cutting =
          (whole, limit) -> {
            windows.set(new ContextBatches(whole, limit, longest, context));
            return windows.get();
          };
      try {
        last = evaluate(file, cut, new Reading(cutting, sums::add));
      } catch (Validation.NothingToGuess e) {
        String text = "%s: no sequence has the %d tokens of the longest context";
        throw new PerformerException(
            text.formatted(file.map(Path::toString).orElse("the data"), longest), e);
      }
      results.add(OfContext.of(context, sums, shorter == null ? sums : shorter, last.evaluation()));
      shorter = sums;
    }
    Tokenizer tokenizer =
        readsAsInTraining(file)
            ? trained.orElseThrow().trained().tokenizer()
            : model.languageModel().tokenizer();
    OptionalLong bytes = windows.get().bytes(tokenizer);
    return new ByContext(results, shorter.size(), bytes, last.data(), last.report());
  }

  /** What is made of so many batches, 0 for all, or null for these; and who learns their sums. */
  private record Reading(BiFunction<Batches, Integer, Batches> cutting, Consumer<double[]> each) {
    private static final Reading USUAL = new Reading(null, sums -> {});

    Batches of(Batches whole, int limit) {
      return cutting == null ? whole : cutting.apply(whole, limit);
    }
  }

  private boolean readsAsInTraining(Optional<Path> file) {
    return file.isEmpty() || readsAsInTraining(file.get());
  }

  private Outcome evaluate(Optional<Path> file, Request request, Reading reading) {
    return readsAsInTraining(file)
        ? asInTraining(file, request, reading)
        : evaluate(SequenceSource.file(file.get()), request, reading);
  }

  /** Evaluates on a file: FASTA, lines of text, or what the model was trained on. */
  public Outcome evaluate(Path file) {
    return evaluate(file, Request.DEFAULT);
  }

  /** The same, read as requested. @throws PerformerException if the data do not fit the model */
  public Outcome evaluate(Path file, Request request) {
    if (readsLabels(file)) {
      return labelled(file, request);
    }
    if (readsAsInTraining(file)) {
      return asInTraining(Optional.of(file), request, Reading.USUAL);
    }
    if (trained.isEmpty() && EvaluationData.needsRecipe(file)) {
      String text =
          "%s does not say how %s is read, as models that were trained here do; give the recipe or the run that trained it, or FASTA or text";
      throw new PerformerException(text.formatted(model.path(), file)).settledBy("recipe");
    }
    return evaluate(SequenceSource.file(file), request);
  }

  private Outcome labelled(Path file, Request request) {
    TaskCard card = task.orElseThrow();
    var batching =
        new SequenceBatching(
            request.length(),
            SequenceBatching.LABELLED.crop(),
            request.size() == null ? SequenceBatching.LABELLED.size() : request.size(),
            request.end());
    try (var imported = ImportedModel.load(model.directory(), List.of(card.signature()))) {
      var spec = imported.signatures().get(card.signature());
      var reader = new TaskReader(model, spec, FineTuneTask.of(card), batching);
      String text = request.text() == null ? card.text() : request.text();
      List<String> labels =
          request.label() == null ? card.labels() : List.of(request.label().split(","));
      var read = reader.read(file, new Known(text, labels, card.classes()));
      Trainable trainable =
          card.kind() == null
              ? ImportedLoss.of(
                      imported,
                      spec.name(),
                      FineTuneTask.of(card).losses(),
                      read.examples().first())
                  .trainable()
              : ImportedTask.of(imported, card, LossGraph.Options.NONE).trainable();
      try (BatchSource source = read.examples().evaluation();
          Session session = new Session(imported.graph(), false)) {
        trainable.initializer().accept(session);
        var evaluation = Validation.of(trainable, source).evaluate(session, () -> false);
        return new Outcome(evaluation.orElseThrow(), source.name(), source.reportOnce());
      }
    }
  }

  /** Evaluates on the validation data of the recipe, or on made-up examples. */
  public Outcome evaluateOwnData(Request request) {
    return asInTraining(Optional.empty(), request, Reading.USUAL);
  }

  private Outcome asInTraining(Optional<Path> file, Request request, Reading reading) {
    require(
        model.options().isDefault(),
        "%s: signature, tensors, vocabulary, objective and masking make no sense where data are read as in training",
        model.path());
    EvaluationData data = trained.orElseThrow();
    PerformerModels.Saved saved = PerformerModels.load(model.path());
    var recipe = file.isPresent() ? Optional.<Recipe>empty() : data.recipe();
    int limit = recipe.map(r -> r.training().evaluationBatches()).orElse(0);
    var batches = reading.of(data.batches(file, saved.config(), request), limit);
    int left = reading.cutting == null ? limit : 0; // others are as few already
    long seed = request.seed();
    var evaluation =
        RecipeTraining.evaluate(saved, data.trained(), batches, left, seed, reading.each);
    return new Outcome(evaluation, batches.name(), batches.reportOnce());
  }

  /** Evaluates a language model on sequences. @throws PerformerException if it is none */
  public Outcome evaluate(SequenceSource source, Request request) {
    return evaluate(source, request, Reading.USUAL);
  }

  private Outcome evaluate(SequenceSource source, Request request, Reading reading) {
    LanguageModelSpec spec = model.languageModel();
    try (var imported = spec.load()) {
      var language = ImportedLanguageModel.of(imported, spec.inference(imported));
      Batching batching = language.fit(batching(spec, request)).forEvaluation();
      long seed = request.seed();
      var batches = reading.of(ExampleBatches.of(source, spec.tokenizer(), batching, seed), 0);
      var evaluation = language.evaluate(spec.evaluationObjective(), batches, seed, reading.each);
      return new Outcome(evaluation, source.name(), batches.reportOnce());
    }
  }

  /** Masks that are drawn from a batch need its size and length, as Python had them. */
  private static Batching batching(LanguageModelSpec spec, Request request) {
    boolean isGoogle = spec.isGoogleEvaluation();
    BatchSize size = request.size() == null ? SequenceBatching.DEFAULT.size() : request.size();
    if (isGoogle && !(size instanceof BatchSize.Sequences)) {
      size = new BatchSize.Sequences(GOOGLE_ROWS);
    }
    Batching batching = new SequenceBatching(request.length(), null, size, request.end()).of(spec);
    return isGoogle ? batching.withFixedLength(batching.length()) : batching;
  }
}
