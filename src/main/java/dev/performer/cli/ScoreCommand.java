package dev.performer.cli;

import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Scorer;
import dev.performer.pipeline.Scorer.Score;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
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
      "Y.csv has a line per sequence, or with --per-token a line per token."
    },
    footer = {"", "Example:", "  ./performer score MODEL --data x.fasta --output scores.csv"})
final class ScoreCommand extends PerformerCommand.OnModel {
  private static final int SHOWN = 20;

  @Mixin private SharedOptions.LanguageModel options;
  @Mixin private SequenceInputs data;

  @Option(names = "--output", paramLabel = "Y", description = "Y.npz or Y.csv (default: a table).")
  private Path target;

  @Option(names = "--per-token", description = "A line of Y.csv per token.")
  private boolean perToken;

  private record Result(
      int sequences,
      long tokens,
      double logProbability,
      Double mean,
      Double perplexity,
      Path output,
      List<Line> results) {}

  private record Line(
      String id, int tokens, double logProbability, Double mean, Double perplexity) {}

  @Override
  public Integer call() {
    data.requireSound(target);
    boolean isCsv = target != null && SequenceInputs.isCsv(target);
    requireUsage(
        isCsv || !perToken, "--per-token is for --output Y.csv; an .npz holds every token");
    var spec = Model.open(model, options.given()).languageModel();
    var input = spec.input();
    var sequences = data.read(input);
    List<Score> scores;
    Map<String, NpyArray> arrays;
    try (Scorer scorer = Scorer.load(spec)) {
      scores = scorer.score(sequences, data.batch);
      arrays = scorer.arrays(sequences);
    }
    if (isCsv) {
      String header = perToken ? ",log_probability" : ",tokens,log_probability,mean,perplexity";
      SequenceInputs.Columns columns =
          (r, i) -> {
            Score s = scores.get(r);
            return perToken
                ? "," + s.tokens()[i]
                : ",%s,%s,%s,%s".formatted(s.counted(), s.sum(), s.mean(), s.perplexity());
          };
      SequenceInputs.writeCsv(target, sequences, input, perToken, header, columns);
    } else if (target != null) {
      Npz.write(target, npz(scores, arrays, sequences.longest()));
    }
    return report(sequences.names(), scores);
  }

  private static Map<String, NpyArray> npz(
      List<Score> scores, Map<String, NpyArray> arrays, int length) {
    int count = scores.size();
    float[] tokens = new float[count * length];
    for (int r = 0; r < count; r++) {
      double[] one = scores.get(r).tokens();
      for (int i = 0; i < one.length; i++) {
        tokens[r * length + i] = (float) one[i];
      }
    }
    int[] counted = scores.stream().mapToInt(Score::counted).toArray();
    Map<String, NpyArray> all = new LinkedHashMap<>();
    all.put("log_probability", column(scores, Score::sum));
    all.put("mean", column(scores, Score::mean));
    all.put("perplexity", column(scores, Score::perplexity));
    all.put("counted", NpyArray.of(counted, count));
    all.put("log_probabilities", NpyArray.of(tokens, count, length));
    all.putAll(arrays);
    return all;
  }

  private static NpyArray column(List<Score> scores, ToDoubleFunction<Score> measure) {
    float[] values = new float[scores.size()];
    for (int r = 0; r < values.length; r++) {
      values[r] = (float) measure.applyAsDouble(scores.get(r));
    }
    return NpyArray.of(values, values.length);
  }

  private int report(List<String> names, List<Score> scores) {
    List<Line> lines = new ArrayList<>();
    double sum = 0;
    long counted = 0;
    for (int r = 0; r < scores.size(); r++) {
      Score s = scores.get(r);
      int n = s.counted();
      lines.add(new Line(names.get(r), n, s.sum(), of(n, s.mean()), of(n, s.perplexity())));
      if (r < SHOWN && target == null) {
        print(
            "%-24s %6d tokens   log-likelihood %12.4f   per token %9.4f   perplexity %10.3f",
            names.get(r), n, s.sum(), s.mean(), s.perplexity());
      }
      sum += s.sum();
      counted += n;
    }
    double mean = sum / counted;
    double perplexity = Math.exp(-mean);
    print(
        "%d sequences, %d tokens: log-likelihood per token %.4f, perplexity %.3f%s",
        lines.size(), counted, mean, perplexity, target == null ? "" : "; written: " + target);
    Double shown = of(counted, perplexity);
    return done(new Result(lines.size(), counted, sum, of(counted, mean), shown, target, lines));
  }

  /** Null where no token counts. */
  private static Double of(long counted, double measure) {
    return counted > 0 ? measure : null;
  }
}
