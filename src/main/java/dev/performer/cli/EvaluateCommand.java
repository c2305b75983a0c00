package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batching;
import dev.performer.data.SequenceBatches;
import dev.performer.data.SequenceSource;
import dev.performer.recipe.EvaluationData;
import dev.performer.recipe.RecipeEvaluation;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.training.Evaluator;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.LanguageModel;
import dev.performer.training.run.Evaluation;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code evaluate}: loss, accuracy, perplexity and more of a model. */
@Command(
    name = "evaluate",
    description =
        "Loss, accuracy, perplexity and what else its task measures of a model, over any data that a recipe trains on.")
final class EvaluateCommand implements Callable<Integer> {
  private static final int GOOGLE_ROWS = 50;

  @Mixin private OutputOptions output;
  @Mixin private LanguageModelOptions options;
  @Mixin private BatchingOptions batching;

  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel directory.")
  private Path model;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description =
          "X.fasta(.gz), X.txt with one sequence or text a line (or a text as the recipe read it); of models that train made also CSV, TSV, TFRecords and images (npz, MNIST's files, a folder of PNGs). Not needed for made-up tasks or with --recipe.")
  private Path data;

  @Option(
      names = "--recipe",
      paramLabel = "RECIPE|RUN",
      description =
          "Reads data as this recipe or run does, and without --data evaluates on its validation data as training did (default: from performer.json).")
  private Path recipe;

  @Option(
      names = "--text",
      paramLabel = "COLUMN",
      description = "Column or feature with the sequence (default: as in training).")
  private String text;

  @Option(
      names = "--label",
      paramLabel = "COLUMN",
      description =
          "Column or feature with the class or number, or the file of labels of MNIST's images (default: as in training).")
  private String label;

  @Option(
      names = "--seed",
      defaultValue = "" + Evaluator.DEFAULT_SEED,
      description =
          "Of the masks; the same seed makes evaluations comparable (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--batch-sequences",
      paramLabel = "N",
      description =
          "Sequences of a batch, instead of --batch-tokens (default with --masking google-eval: "
              + GOOGLE_ROWS
              + ").")
  private Integer batchSequences;

  @Override
  public Integer call() {
    Optional<EvaluationData> trained = trained();
    if (trained.isPresent() && isReadAsInTraining(trained.get())) {
      return ofRecipe(trained.get());
    }
    if (data == null) {
      throw new UsageException("--data is missing: what to evaluate on; or give --recipe");
    }
    if (trained.isEmpty() && EvaluationData.needsRecipe(data)) {
      throw new PerformerException(
          model
              + " does not say how "
              + data
              + " is read, as models of './performer train' do; give --recipe RECIPE|RUN, or"
              + " FASTA or text");
    }
    if (text != null || label != null) {
      throw new UsageException("--text and --label make no sense with FASTA or lines of text");
    }
    return ofLanguageModel();
  }

  private Optional<EvaluationData> trained() {
    if (recipe == null) {
      return EvaluationData.of(model);
    }
    SavedModelDirectory.open(model);
    return Optional.of(EvaluationData.of(RecipeFiles.readOrRun(recipe)));
  }

  private boolean isReadAsInTraining(EvaluationData trained) {
    return data == null
        ? trained.hasOwn()
        : trained.reads(data, PerformerModels.requireConfig(model).task());
  }

  private int ofRecipe(EvaluationData trained) {
    if (options.isAnySaid()) {
      throw new UsageException(
          "--signature, --tokens, --mask, --logits, --vocabulary, --objective, --masking and"
              + " --model-shifts make no sense where data are read as in training");
    }
    var request =
        new EvaluationData.Request(
            text, label, batching.length, size(trained.recipe().isPresent()));
    var outcome =
        new RecipeEvaluation(model, trained).run(Optional.ofNullable(data), request, seed);
    outcome.report().ifPresent(System.err::println);
    print(outcome.evaluation(), outcome.data());
    return 0;
  }

  private BatchSize size(boolean hasRecipe) {
    if (batchSequences != null) {
      return new BatchSize.Sequences(positive(batchSequences));
    }
    return hasRecipe ? null : new BatchSize.Tokens(batching.batchTokens);
  }

  private int ofLanguageModel() {
    LanguageModelOptions.Resolved resolved = options.resolve(model);
    var objective = options.evaluationObjective(resolved.tensors(), resolved.vocabulary());
    Evaluation evaluation;
    try (ImportedModel imported = resolved.load()) {
      LanguageModel languageModel = ImportedLanguageModel.of(imported, resolved.tensors());
      Batching how = languageModel.fit(batching(resolved)).forEvaluation();
      SequenceBatches batches =
          new SequenceBatches(SequenceSource.file(data), resolved.tokenizer(), how, seed);
      evaluation = Evaluator.evaluate(languageModel, objective, batches, seed);
      batches.reportOnce().ifPresent(System.err::println);
    }
    print(evaluation, data.toString());
    return 0;
  }

  private void print(Evaluation evaluation, String over) {
    boolean ofNumbers = Double.isNaN(evaluation.accuracy());
    StringBuilder line = new StringBuilder();
    line.append(
        String.format(Locale.ROOT, "%s over %s: loss %.4f", model, over, evaluation.loss()));
    if (!ofNumbers) {
      line.append(
          String.format(
              Locale.ROOT,
              ", accuracy %.2f %%, perplexity %.3f",
              100 * evaluation.accuracy(),
              evaluation.perplexity()));
    }
    evaluation
        .more()
        .forEach(
            (name, value) -> line.append(String.format(Locale.ROOT, ", %s %.4f", name, value)));
    line.append(
        String.format(
            Locale.ROOT,
            " (%d guesses in %d sequences, %.1f s)",
            evaluation.guesses(),
            evaluation.sequences(),
            evaluation.seconds()));
    output.text().println(line);
    output.printJson(json(evaluation));
  }

  private static int positive(int rows) {
    if (rows < 1) {
      throw new UsageException("--batch-sequences must be at least 1, not " + rows);
    }
    return rows;
  }

  /** Masks that are drawn from a batch need its size and length, as Python had them. */
  private Batching batching(LanguageModelOptions.Resolved resolved) {
    Batching how = batching.batching(resolved);
    boolean isGoogle = options.isGoogleEvaluation(resolved.tensors());
    if (batchSequences == null && !isGoogle) {
      return how;
    }
    int rows = positive(batchSequences == null ? GOOGLE_ROWS : batchSequences);
    how = how.withSize(new BatchSize.Sequences(rows));
    return isGoogle ? how.withFixedLength(how.length()) : how;
  }

  static Map<String, Object> json(Evaluation evaluation) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.putAll(evaluation.measures());
    json.put("guesses", evaluation.guesses());
    json.put("sequences", evaluation.sequences());
    json.put("seconds", evaluation.seconds());
    return json;
  }
}
