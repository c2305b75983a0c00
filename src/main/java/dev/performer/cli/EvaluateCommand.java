package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.DataFile;
import dev.performer.data.SequenceSource;
import dev.performer.pipeline.Evaluator;
import dev.performer.pipeline.Model;
import dev.performer.recipe.EvaluationData;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.run.Evaluation;
import java.nio.file.Path;
import java.util.Formatter;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code evaluate}: loss, accuracy, perplexity and more of a model. */
@Command(
    name = "evaluate",
    description =
        "Loss, accuracy, perplexity and what else its task measures of a model, over any data that a recipe trains on.",
    footer = {
      "",
      "Examples:",
      "  ./performer evaluate MODEL --data valid.fasta.gz",
      "  ./performer evaluate runs/protein"
    })
final class EvaluateCommand implements Callable<Integer> {
  @Mixin private OutputOptions output;
  @Mixin private LanguageModelOptions options;
  @Mixin private BatchingOptions batching;

  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel, or a run directory.")
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
      defaultValue = "" + TokenBatchSource.EVALUATION_SEED,
      description =
          "Of the masks; the same seed makes evaluations comparable (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--batch-sequences",
      paramLabel = "N",
      description =
          "Sequences of a batch, instead of --batch-tokens (default with --masking google-eval: "
              + Evaluator.GOOGLE_ROWS
              + ").")
  private Integer batchSequences;

  @Override
  public Integer call() {
    Model opened = Model.open(model, options.options());
    if (data != null) {
      DataFile.require(data);
    }
    Evaluator evaluator =
        recipe == null ? Evaluator.of(opened) : Evaluator.of(opened, RecipeFiles.readOrRun(recipe));
    boolean hasRecipe = recipe != null;
    if (data == null && !evaluator.hasOwnData()) {
      throw new UsageException("--data is missing: what to evaluate on; or give --recipe");
    }
    Evaluator.Outcome outcome;
    if (data == null || readsAsInTraining(evaluator)) {
      if (options.isAnyGiven()) {
        throw new UsageException(
            "--signature, --tokens-input, --mask, --logits, --vocabulary, --objective, --masking"
                + " and --model-shifts make no sense where data are read as in training");
      }
      var request =
          new EvaluationData.Request(
              text, label, batching.length, size(hasRecipe), batching.eos, seed);
      outcome =
          data == null ? evaluator.evaluateOwnData(request) : evaluator.evaluate(data, request);
    } else {
      outcome = ofSequences(evaluator, opened);
    }
    outcome.report().ifPresent(System.err::println);
    print(outcome.evaluation(), outcome.data());
    return 0;
  }

  private boolean readsAsInTraining(Evaluator evaluator) {
    try {
      return evaluator.readsAsInTraining(data);
    } catch (PerformerException e) {
      throw e.settings().contains("data")
          ? new PerformerException(e.getMessage() + ": leave --data out", e)
          : e;
    }
  }

  private Evaluator.Outcome ofSequences(Evaluator evaluator, Model opened) {
    boolean isSequences = SequenceSource.isLines(data) || !EvaluationData.needsRecipe(data);
    if (isSequences && (text != null || label != null)) {
      throw new UsageException("--text and --label make no sense with FASTA or lines of text");
    }
    BatchSize size = size(false);
    if (isSequences) {
      opened.languageModel().notes().forEach(System.err::println);
    }
    return evaluator.evaluate(
        data, new EvaluationData.Request(null, null, batching.length, size, batching.eos, seed));
  }

  private BatchSize size(boolean hasRecipe) {
    if (batchSequences != null) {
      return new BatchSize.Sequences(positive(batchSequences));
    }
    return hasRecipe ? null : batching.batching().size();
  }

  private void print(Evaluation evaluation, String over) {
    boolean ofNumbers = Double.isNaN(evaluation.accuracy());
    Formatter line = new Formatter(Locale.ROOT);
    line.format("%s over %s: loss %.4f", model, over, evaluation.loss());
    if (!ofNumbers) {
      double accuracy = 100 * evaluation.accuracy();
      line.format(", accuracy %.2f %%, perplexity %.3f", accuracy, evaluation.perplexity());
    }
    evaluation.more().forEach((name, value) -> line.format(", %s %.4f", name, value));
    line.format(
        " (%d guesses in %d sequences, %.1f s)",
        evaluation.guesses(), evaluation.sequences(), evaluation.seconds());
    output.text().println(line);
    output.printJson(json(evaluation));
  }

  private static int positive(int rows) {
    if (rows < 1) {
      throw new UsageException("--batch-sequences must be at least 1, not " + rows);
    }
    return rows;
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
