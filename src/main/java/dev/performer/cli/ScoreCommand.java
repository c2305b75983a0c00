package dev.performer.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.performer.data.Field;
import dev.performer.data.NpyArray;
import dev.performer.data.RowFormat;
import dev.performer.pipeline.BatchJob;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.RowModel;
import dev.performer.pipeline.Scorer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "score",
    description = {
      "Log-likelihood of sequences or texts under a language model, in nats.",
      "",
      "Causal models: of each token given those before it. Masked models: of each token given all others, with the mask in its place,",
      "one run per token (pseudo-likelihood). Padding counts nothing, nor do special tokens of masked models.",
      "Y.npz has 'log_probability', 'mean', 'perplexity', 'counted', 'lengths' [N]; 'log_probabilities', 'tokens' [N, L].",
      "Y.csv has a line per sequence, or with --per-token a line per token; Y.parquet a row per sequence, then with lists of its tokens.",
      "--json lists the sequences where they are no more than 100,000."
    },
    footer = {"", "Example:", "  ./performer score MODEL --data x.fasta --output scores.csv"})
final class ScoreCommand extends PerformerCommand.OnModel {
  private static final int SHOWN = 20;
  private static final int MOST_LISTED = 100_000;

  @Mixin private SharedOptions.LanguageModel options;
  @Mixin private SequenceInputs data;

  @Option(
      names = "--output",
      paramLabel = "Y",
      description = "Y.npz, Y.csv or Y.parquet (default: a table).")
  private Path target;

  @Option(names = "--per-token", description = "A line of Y.csv per token; lists in Y.parquet.")
  private boolean perToken;

  private record Result(
      long sequences,
      long tokens,
      double logProbability,
      Double mean,
      Double perplexity,
      Path output,
      long resumed,
      long skipped,
      Path skippedFile,
      @JsonInclude(JsonInclude.Include.NON_NULL) List<Line> results) {}

  private record Line(
      String id, int tokens, double logProbability, Double mean, Double perplexity) {}

  private final List<Line> lines = new ArrayList<>();
  private int printed;

  @Override
  public Integer call() {
    data.requireSound(target, true);
    boolean isTable = target != null && RowFormat.written(target) != RowFormat.NPZ;
    requireUsage(
        isTable || !perToken,
        "--per-token is for --output Y.csv or Y.parquet; an .npz holds every token");
    var spec = Model.open(model, options.given()).languageModel();
    BatchJob.Result result;
    try (Scorer scorer = Scorer.load(spec)) {
      BatchJob job = data.job(scorer.rows(perToken), target);
      result =
          data.run(job, (fields, items, rows) -> take(items, rows, Field.place(fields, "counted")));
    }
    long counted = (long) result.sums()[0];
    double sum = result.sums()[1];
    double mean = sum / counted;
    double perplexity = Math.exp(-mean);
    print(
        "%d sequences, %d tokens: log-likelihood per token %.4f, perplexity %.3f%s",
        result.rows(), counted, mean, perplexity, target == null ? "" : "; written: " + target);
    return done(
        new Result(
            result.rows(),
            counted,
            sum,
            of(counted, mean),
            of(counted, perplexity),
            target,
            result.resumed(),
            result.skipped(),
            result.skippedFile(),
            lines.size() < result.rows() ? null : lines));
  }

  /**
   * @param first place of how many tokens count
   */
  private void take(List<RowModel.Item> items, List<Object[]> rows, int first) {
    for (int r = 0; r < rows.size(); r++) {
      double[] s = new double[4];
      for (int i = 0; i < s.length; i++) {
        s[i] = ((NpyArray) rows.get(r)[first + i]).doubles()[0];
      }
      int counted = (int) s[0];
      String name = items.get(r).row().name();
      if (json && lines.size() < MOST_LISTED) {
        lines.add(new Line(name, counted, s[1], of(counted, s[2]), of(counted, s[3])));
      }
      if (target == null && printed++ < SHOWN) {
        print(
            "%-24s %6d tokens   log-likelihood %12.4f   per token %9.4f   perplexity %10.3f",
            name, counted, s[1], s[2], s[3]);
      }
    }
  }

  /** Null where no token counts. */
  private static Double of(long counted, double measure) {
    return counted > 0 ? measure : null;
  }
}
