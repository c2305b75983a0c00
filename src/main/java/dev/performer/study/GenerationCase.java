package dev.performer.study;

import static dev.performer.study.Table.format;

import dev.performer.AtomicFiles;
import dev.performer.data.NpyArray;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.serving.DecodingOptions;
import dev.performer.serving.GenerationSession;
import dev.performer.serving.Sampling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/**
 * Time of a generated token: by the recurrent form, and by running the parallel form on the whole
 * prefix again. A model of random weights costs what a trained one does.
 *
 * @param lengths where the prefix is computed again; the largest is how much is generated
 * @param result null before
 */
public record GenerationCase(
    BenchmarkedAttention attention, List<Integer> lengths, BenchmarkSize size, Measured result)
    implements Benchmark.Case<GenerationCase> {
  private static final int RUNS = 3;
  private static final double START_SECONDS = 8;
  private static final double TOKEN_SECONDS = 3e-3;
  private static final double OPERATIONS_A_SECOND = 1e11;

  /**
   * What was measured, in milliseconds a token. Every time is the fastest of several runs.
   *
   * @param attention its label
   * @param tokenMs by token
   * @param firstQuarterMs mean over the first quarter of the tokens
   * @param lastQuarterMs mean over the last quarter
   * @param growth last quarter over first
   * @param recomputeMs by length: the parallel form on so many tokens
   * @param timesFaster by length: recomputing over the recurrent form
   */
  public record Measured(
      String attention,
      double[] tokenMs,
      double firstQuarterMs,
      double lastQuarterMs,
      double growth,
      Map<Integer, Double> recomputeMs,
      Map<Integer, Double> timesFaster) {}

  @Override
  public String label() {
    return attention.label() + ", " + tokens() + " tokens";
  }

  @Override
  public String line() {
    return format(
        "%-28s %.2f ms a token, %.2f ms in the last quarter",
        label(), result.firstQuarterMs(), result.lastQuarterMs());
  }

  private int tokens() {
    return Collections.max(lengths);
  }

  @Override
  public double seconds() {
    double again = 0;
    for (int length : lengths) {
      again += size.batch() * length * attention.modelOperations(length, size);
    }
    return START_SECONDS
        + (RUNS + 1) * (tokens() * size.batch() * TOKEN_SECONDS + again / OPERATIONS_A_SECOND);
  }

  @Override
  public GenerationCase measure() throws IOException {
    Path folder = Files.createTempDirectory("performer-bench");
    try {
      Path model = folder.resolve("model");
      write(PerformerConfig.of(attention.model(tokens(), size), "the benchmark's model"), model);
      return new GenerationCase(
          attention, lengths, size, measured(recurrent(model), parallel(model)));
    } finally {
      AtomicFiles.discard(folder);
    }
  }

  private static void write(PerformerConfig config, Path target) {
    Map<String, NpyArray> weights;
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer.build(tf, variables, config, 1);
      variables.initialize(session);
      weights = PerformerModels.values(session, variables.all());
    }
    PerformerModels.write(config, weights, null, target, false);
  }

  /** Token by token, the fastest of all runs. */
  private double[] recurrent(Path model) {
    double[] best = new double[tokens()];
    Arrays.fill(best, Double.MAX_VALUE);
    List<int[]> prompts = Collections.nCopies(size.batch(), new int[] {1});
    var options = DecodingOptions.of(best.length, Sampling.mostLikely());
    try (GenerationSession session = GenerationSession.open(model)) {
      for (int run = 0; run <= RUNS; run++) {
        long[] times = new long[best.length + 1];
        times[0] = System.nanoTime();
        int[] count = {0};
        session.generate(
            prompts,
            options,
            (row, token) -> {
              if (row == prompts.size() - 1) {
                times[++count[0]] = System.nanoTime();
              }
            });
        for (int i = 0; i < best.length && run > 0; i++) { // the first run plans the graph
          best[i] = Math.min(best[i], (times[i + 1] - times[i]) / 1e6);
        }
      }
    }
    best[0] = best[1]; // that is the prompt's time
    return best;
  }

  private Map<Integer, Double> parallel(Path model) {
    Map<Integer, Double> result = new TreeMap<>();
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      for (int length : lengths) {
        int[] tokens = new int[Math.multiplyExact(size.batch(), length)];
        Arrays.fill(tokens, 1);
        var inputs =
            Map.of(PerformerSignatures.TOKENS, NpyArray.of(tokens, size.batch(), length)); // [B, L]
        double best = Double.MAX_VALUE;
        for (int run = 0; run <= RUNS; run++) {
          long start = System.nanoTime();
          predictor.predict("serving_default", inputs);
          best = run == 0 ? best : Math.min(best, (System.nanoTime() - start) / 1e6);
        }
        result.put(length, best);
      }
    }
    return result;
  }

  private Measured measured(double[] tokenMs, Map<Integer, Double> recomputeMs) {
    int quarter = tokenMs.length / 4;
    double first = mean(tokenMs, 0, quarter);
    double last = mean(tokenMs, tokenMs.length - quarter, tokenMs.length);
    Map<Integer, Double> faster = new TreeMap<>();
    recomputeMs.forEach(
        (length, ms) -> {
          // Around that length; one token's time is noise.
          double own = mean(tokenMs, Math.max(0, length - Math.max(1, length / 4)), length);
          faster.put(length, ms / own);
        });
    return new Measured(attention.label(), tokenMs, first, last, last / first, recomputeMs, faster);
  }

  static double mean(double[] values, int from, int to) {
    return Arrays.stream(values, from, to).average().orElseThrow();
  }
}
