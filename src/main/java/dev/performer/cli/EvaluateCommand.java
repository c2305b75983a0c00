package dev.performer.cli;

import dev.performer.data.BatchSize;
import dev.performer.data.Batching;
import dev.performer.data.SequenceBatches;
import dev.performer.data.SequenceSource;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.training.Evaluation;
import dev.performer.training.Evaluator;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.LanguageModel;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code evaluate}: loss, accuracy and perplexity of a language model. */
@Command(
    name = "evaluate",
    description = "Loss, accuracy and perplexity of a model over sequences or texts.")
final class EvaluateCommand implements Callable<Integer> {
  private static final int GOOGLE_ROWS = 50;

  @Mixin private OutputOptions output;
  @Mixin private LanguageModelOptions options;
  @Mixin private BatchingOptions batching;

  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel directory.")
  private Path model;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description = "X.fasta(.gz), or X.txt with one sequence or text a line.")
  private Path data;

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
    output
        .text()
        .printf(
            Locale.ROOT,
            "%s over %s: loss %.4f, accuracy %.2f %%, perplexity %.3f (%d guesses in %d sequences, %.1f s)%n",
            model,
            data,
            evaluation.loss(),
            100 * evaluation.accuracy(),
            evaluation.perplexity(),
            evaluation.guesses(),
            evaluation.sequences(),
            evaluation.seconds());
    output.printJson(json(evaluation));
    return 0;
  }

  /** Masks that are drawn from a batch need its size and length, as Python had them. */
  private Batching batching(LanguageModelOptions.Resolved resolved) {
    Batching how = batching.batching(resolved);
    boolean isGoogle = options.isGoogleEvaluation(resolved.tensors());
    if (batchSequences == null && !isGoogle) {
      return how;
    }
    int rows = batchSequences == null ? GOOGLE_ROWS : batchSequences;
    if (rows < 1) {
      throw new UsageException("--batch-sequences must be at least 1, not " + rows);
    }
    how = how.withSize(new BatchSize.Sequences(rows));
    return isGoogle ? how.withFixedLength(how.length()) : how;
  }

  static Map<String, Object> json(Evaluation evaluation) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("loss", evaluation.loss());
    json.put("accuracy", evaluation.accuracy());
    json.put("perplexity", evaluation.perplexity());
    json.put("guesses", evaluation.guesses());
    json.put("sequences", evaluation.sequences());
    json.put("seconds", evaluation.seconds());
    return json;
  }
}
