package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.DataFile;
import dev.performer.data.SequenceSource;
import dev.performer.pipeline.AttentionBranch;
import dev.performer.pipeline.Evaluator;
import dev.performer.pipeline.Model;
import dev.performer.recipe.EvaluationData;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.RecipeTraining;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.run.Evaluation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "evaluate",
    description =
        "Loss, accuracy, perplexity and what else its task measures of a model, over any data that a recipe trains on.",
    footer = {
      "",
      "Examples:",
      "  ./performer evaluate MODEL --data valid.fasta.gz",
      "  ./performer evaluate runs/protein",
      "  ./performer evaluate runs/text --recipe runs/text --context 512,2048"
    })
final class EvaluateCommand extends PerformerCommand.OnModel {
  @Mixin private SharedOptions.LanguageModel options;
  @Mixin private SharedOptions.Batches batching;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description =
          "X.fasta(.gz), X.txt with one sequence or text a line (or a text as the recipe read it); of models that train or fine-tune --task made also CSV, TSV, TFRecords and images or arrays (npz, MNIST's files, a folder of PNGs). Not needed for made-up tasks or with --recipe.")
  private Path data;

  @Option(
      names = "--recipe",
      paramLabel = "RECIPE|RUN",
      description =
          "Reads data as this recipe or run does, without --data its validation data (default: performer.json).")
  private Path recipe;

  @Option(
      names = "--text",
      description = "Column or feature of the sequence (default: as trained).")
  private String text;

  @Option(
      names = "--label",
      description = "Its class or number, or the file of MNIST's labels (default: as in training).")
  private String label;

  @Option(
      names = "--context",
      split = ",",
      paramLabel = "TOKENS",
      description =
          "Bits a token (of a text also a byte) by the number of tokens before it, such as 512,2048,8192, of causal language models: the same guesses, those of the second half of sequences as long as the largest, each with between half of a context and all of it; with the change from line to line and its standard error over sequences.")
  private List<Integer> contexts;

  @Option(names = "--plot", paramLabel = "FILE.png", description = "Draws bits against --context.")
  private Path plot;

  @Option(
      names = "--branches",
      description =
          "The same without window and sinks, and without the linear part, of attention that has both: what each is worth to the model.")
  private boolean branches;

  @Option(names = "--seed", description = "Of the masks; equal ones make evaluations comparable.")
  private long seed = TokenBatchSource.EVALUATION_SEED;

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
    var given = options.given();
    Model opened = Model.open(model, given);
    if (data != null) {
      DataFile.require(data);
    }
    requireUsage(
        plot == null || contexts != null, "--plot draws bits against --context; give both");
    Evaluator evaluator = evaluator(opened);
    requireUsage(
        data != null || evaluator.hasOwnData(),
        "--data is missing: what to evaluate on; or give --recipe");
    boolean isLabelled = data != null && evaluator.readsLabels(data);
    boolean asInTraining = !isLabelled && (data == null || readsAsInTraining(evaluator));
    BatchSize size = size(asInTraining && recipe != null);
    if (asInTraining) {
      requireUsage(
          given.isDefault(),
          "--signature, --tokens-input, --mask, --logits, --vocabulary, --objective, --masking and --model-shifts make no sense where data are read as in training");
    } else if (isLabelled) {
      size = batchSequences == null ? null : size;
    } else if (SequenceSource.isLines(data) || !EvaluationData.needsRecipe(data)) {
      requireUsage(
          text == null && label == null,
          "--text and --label make no sense with FASTA or lines of text");
      opened.languageModel().notes().forEach(System.err::println);
    }
    var request =
        new EvaluationData.Request(text, label, batching.length, size, batching.eos, seed);
    if (contexts != null) {
      requireUsage(!branches, "--branches makes no sense with --context");
      requireUsage(
          batching.length == null && !isLabelled,
          "--context makes no sense with --length or labels: the largest context is the length");
      var results = evaluator.byContext(Optional.ofNullable(data), request, contexts);
      if (plot != null) {
        byte[] png = results.chart().png();
        DataFile.write(plot, out -> out.write(png));
      }
      return report(results);
    }
    Evaluator.Outcome outcome = outcome(evaluator, request);
    outcome.report().ifPresent(System.err::println);
    Map<String, Object> json = report(outcome.evaluation(), model + " over " + outcome.data());
    if (branches) {
      var each =
          AttentionBranch.each(model, given, m -> outcome(evaluator(m), request).evaluation());
      each.forEach((branch, of) -> json.put(branch.toString(), report(of, branch.toString())));
    }
    return done(json);
  }

  private Evaluator evaluator(Model of) {
    return recipe == null ? Evaluator.of(of) : Evaluator.of(of, recipe());
  }

  private Evaluator.Outcome outcome(Evaluator evaluator, EvaluationData.Request request) {
    return data == null ? evaluator.evaluateOwnData(request) : evaluator.evaluate(data, request);
  }

  private Recipe recipe() {
    return RecipeTraining.isRun(recipe)
        ? Recipe.ofRun(recipe)
        : TrainCommand.recipe(recipe, List.of());
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

  private BatchSize size(boolean ofRecipe) {
    if (batchSequences == null) {
      return ofRecipe ? null : batching.batching().size();
    }
    requireUsage(
        batchSequences >= 1, "--batch-sequences must be at least 1, not %d", batchSequences);
    return new BatchSize.Sequences(batchSequences);
  }

  private int report(Evaluator.ByContext results) {
    results.report().ifPresent(System.err::println);
    var first = results.contexts().get(0).evaluation();
    int sequences = results.sequences();
    String bytes = results.bytes().isEmpty() ? "" : ", " + results.bytes().getAsLong() + " bytes";
    String counts = "%s over %s, %d guesses%s in %d sequences in each line:";
    print(counts, model, results.data(), first.guesses(), bytes, sequences);
    List<Map<String, Object>> rows = new ArrayList<>();
    for (Evaluator.OfContext of : results.contexts()) {
      print(line(results, of, rows.isEmpty()));
      Map<String, Object> row = new LinkedHashMap<>(Map.of("context", of.context()));
      row.put("bits", of.bits());
      results.bitsAByte(of.bits()).ifPresent(bits -> row.put("bitsAByte", bits));
      if (Double.isFinite(of.error()) && !rows.isEmpty()) {
        row.put("change", of.change());
        row.put("changeError", of.error());
      }
      row.putAll(of.evaluation().measures());
      row.put("seconds", of.evaluation().seconds());
      rows.add(row);
    }
    Map<String, Object> json = new LinkedHashMap<>(Map.of("contexts", rows));
    json.put("guesses", first.guesses());
    json.put("sequences", sequences);
    results.bytes().ifPresent(count -> json.put("bytes", count));
    return done(json);
  }

  private static String line(Evaluator.ByContext all, Evaluator.OfContext of, boolean isFirst) {
    var line = new StringBuilder(format("context %6d: %.4f bits a token", of.context(), of.bits()));
    all.bitsAByte(of.bits()).ifPresent(bits -> line.append(format(", %.4f a byte", bits)));
    if (!isFirst) {
      double change = all.bitsAByte(of.change()).orElse(of.change());
      line.append(format(", %+.4f", change));
      if (Double.isFinite(of.error())) {
        line.append(format(" ± %.4f", all.bitsAByte(of.error()).orElse(of.error())));
      }
    }
    Evaluation evaluation = of.evaluation();
    double accuracy = 100 * evaluation.accuracy();
    return line + format(", accuracy %.2f %% (%.1f s)", accuracy, evaluation.seconds());
  }

  private Map<String, Object> report(Evaluation of, String what) {
    var line = new StringBuilder(format("%s: loss %.4f", what, of.loss()));
    if (!Double.isNaN(of.accuracy())) {
      String measures = ", accuracy %.2f %%, perplexity %.3f";
      line.append(format(measures, 100 * of.accuracy(), of.perplexity()));
    }
    of.more().forEach((name, value) -> line.append(format(", %s %.4f", name, value)));
    String counts = "%s (%d guesses in %d sequences, %.1f s)";
    print(counts, line, of.guesses(), of.sequences(), of.seconds());
    Map<String, Object> json = new LinkedHashMap<>(of.measures());
    json.put("guesses", of.guesses());
    json.put("sequences", of.sequences());
    json.put("seconds", of.seconds());
    return json;
  }
}
