package dev.performer.cli;

import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.OutputFile;
import dev.performer.data.TableFile;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.LanguageModelSpec;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Scorer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.ToDoubleFunction;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code score}: log-likelihoods of sequences. */
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
final class ScoreCommand implements Callable<Integer> {
  private static final int SHOWN = 20;

  @Mixin private OutputOptions output;
  @Mixin private LanguageModelOptions options;
  @Mixin private SequenceInputs data;

  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel, or a run directory.")
  private Path model;

  @Option(names = "--output", paramLabel = "Y", description = "Y.npz or Y.csv (default: a table).")
  private Path target;

  @Option(names = "--per-token", description = "A line of Y.csv per token.")
  private boolean perToken;

  @Override
  public Integer call() {
    data.requireSound(target);
    if (perToken && (target == null || !SequenceInputs.isCsv(target))) {
      throw new UsageException("--per-token is for --output Y.csv; an .npz holds every token");
    }
    LanguageModelSpec spec = Model.open(model, options.options()).languageModel();
    spec.notes().forEach(System.err::println);
    TokenizedSequences sequences = data.read(spec.input());
    List<Scorer.Score> scores;
    Map<String, NpyArray> arrays;
    try (Scorer scorer = Scorer.load(spec)) {
      scores = scorer.score(sequences, data.batch);
      arrays = scorer.arrays(sequences);
    }
    if (target != null && !SequenceInputs.isCsv(target)) {
      Npz.write(target, npz(scores, arrays, sequences.longest()));
    } else if (target != null) {
      String text =
          perToken ? tokenLines(sequences, scores, spec.tokenizer()) : lines(sequences, scores);
      OutputFile.write(target, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
    }
    report(sequences, scores);
    return 0;
  }

  private static Map<String, NpyArray> npz(
      List<Scorer.Score> scores, Map<String, NpyArray> arrays, int length) {
    int count = scores.size();
    float[] tokens = new float[count * length];
    for (int r = 0; r < count; r++) {
      double[] one = scores.get(r).tokens();
      for (int i = 0; i < one.length; i++) {
        tokens[r * length + i] = (float) one[i];
      }
    }
    int[] counted = scores.stream().mapToInt(Scorer.Score::counted).toArray();
    Map<String, NpyArray> all = new LinkedHashMap<>();
    all.put("log_probability", column(scores, Scorer.Score::sum));
    all.put("mean", column(scores, Scorer.Score::mean));
    all.put("perplexity", column(scores, Scorer.Score::perplexity));
    all.put("counted", NpyArray.of(counted, count));
    all.put("log_probabilities", NpyArray.of(tokens, count, length));
    all.putAll(arrays);
    return all;
  }

  private static NpyArray column(
      List<Scorer.Score> scores, ToDoubleFunction<Scorer.Score> measure) {
    float[] values = new float[scores.size()];
    for (int r = 0; r < values.length; r++) {
      values[r] = (float) measure.applyAsDouble(scores.get(r));
    }
    return NpyArray.of(values, values.length);
  }

  private static String lines(TokenizedSequences sequences, List<Scorer.Score> scores) {
    StringBuilder text = new StringBuilder("id,tokens,log_probability,mean,perplexity\n");
    for (int r = 0; r < scores.size(); r++) {
      Scorer.Score s = scores.get(r);
      String name = TableFile.field(sequences.names().get(r));
      text.append(
          "%s,%s,%s,%s,%s\n".formatted(name, s.counted(), s.sum(), s.mean(), s.perplexity()));
    }
    return text.toString();
  }

  private static String tokenLines(
      TokenizedSequences sequences, List<Scorer.Score> scores, Tokenizer tokenizer) {
    List<String> tokens = tokenizer.vocabulary().tokens();
    StringBuilder text = new StringBuilder("id,position,token,log_probability\n");
    for (int r = 0; r < scores.size(); r++) {
      int[] ids = sequences.ids().get(r);
      for (int i = 0; i < ids.length; i++) {
        String name = TableFile.field(sequences.names().get(r));
        String token = TableFile.field(tokens.get(ids[i]));
        text.append("%s,%s,%s,%s\n".formatted(name, i, token, scores.get(r).tokens()[i]));
      }
    }
    return text.toString();
  }

  private void report(TokenizedSequences sequences, List<Scorer.Score> scores) {
    List<Map<String, Object>> results = new ArrayList<>();
    double sum = 0;
    long counted = 0;
    for (int r = 0; r < scores.size(); r++) {
      Scorer.Score s = scores.get(r);
      sum += s.sum();
      counted += s.counted();
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("id", sequences.names().get(r));
      one.put("tokens", s.counted());
      one.put("logProbability", s.sum());
      one.put("mean", s.counted() == 0 ? null : s.mean());
      one.put("perplexity", s.counted() == 0 ? null : s.perplexity());
      results.add(one);
      if (r < SHOWN && target == null) {
        output
            .text()
            .printf(
                Locale.ROOT,
                "%-24s %6d tokens   log-likelihood %12.4f   per token %9.4f   perplexity %10.3f%n",
                sequences.names().get(r),
                s.counted(),
                s.sum(),
                s.mean(),
                s.perplexity());
      }
    }
    double mean = counted == 0 ? Double.NaN : sum / counted;
    output
        .text()
        .printf(
            Locale.ROOT,
            "%d sequences, %d tokens: log-likelihood per token %.4f, perplexity %.3f%s%n",
            scores.size(),
            counted,
            mean,
            Math.exp(-mean),
            target == null ? "" : "; written: " + target);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("sequences", scores.size());
    json.put("tokens", counted);
    json.put("logProbability", sum);
    json.put("mean", counted == 0 ? null : mean);
    json.put("perplexity", counted == 0 ? null : Math.exp(-mean));
    json.put("output", target == null ? null : target.toString());
    json.put("results", results);
    output.printJson(json);
  }
}
