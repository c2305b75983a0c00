package dev.performer.study;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ModelCard;
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
 */
public record GenerationCase(
    BenchmarkedAttention attention, List<Integer> lengths, BenchmarkSize size)
    implements Case<GenerationCase.Measured> {
  private static final int LAYERS = 4;
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

  private int tokens() {
    return Collections.max(lengths);
  }

  @Override
  public Measured measure() throws IOException {
    Path folder = Files.createTempDirectory("performer-bench");
    try {
      Path model = folder.resolve("model");
      write(config(), model);
      double[] tokenMs = recurrent(model, size.batch(), tokens());
      return measured(tokenMs, parallel(model, size.batch(), lengths));
    } finally {
      AtomicFiles.discard(folder);
    }
  }

  @Override
  public double seconds() {
    double width = size.hiddenSize();
    double again = 0;
    for (int length : lengths) {
      double attended = LAYERS * size.heads() * attention.operations(length, size);
      again += size.batch() * length * (LAYERS * 24 * width * width + attended);
    }
    return START_SECONDS
        + (RUNS + 1) * (tokens() * size.batch() * TOKEN_SECONDS + again / OPERATIONS_A_SECOND);
  }

  private PerformerConfig config() {
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    keys.put("task", "causal-lm").put("layers", LAYERS).put("maxLength", tokens());
    keys.put("hiddenSize", size.hiddenSize()).put("heads", size.heads());
    keys.set("attention", StrictJson.tree(attention.config(size)));
    return PerformerConfig.of(keys, "the benchmark's model");
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
    ModelCard card =
        ModelCard.of(
            config.attentionOf(0), null, PerformerModels.languageModel(config, null), null);
    PerformerModels.write(config, weights, card, target, false);
  }

  /** Token by token, the fastest of all runs. */
  private static double[] recurrent(Path model, int batch, int tokens) {
    double[] best = new double[tokens];
    Arrays.fill(best, Double.MAX_VALUE);
    List<int[]> prompts = Collections.nCopies(batch, new int[] {1});
    try (GenerationSession session = GenerationSession.open(model)) {
      for (int run = 0; run <= RUNS; run++) {
        double[] times = new double[tokens];
        long[] last = {System.nanoTime()};
        int[] count = {0};
        session.generate(
            prompts,
            DecodingOptions.of(tokens, Sampling.mostLikely()),
            (row, token) -> {
              if (row == batch - 1) {
                long now = System.nanoTime();
                times[count[0]++] = (now - last[0]) / 1e6;
                last[0] = now;
              }
            });
        for (int i = 0; i < tokens && run > 0; i++) { // the first run plans the graph
          best[i] = Math.min(best[i], times[i]);
        }
      }
    }
    best[0] = best[1]; // that is the prompt's time
    return best;
  }

  private static Map<Integer, Double> parallel(Path model, int batch, List<Integer> lengths) {
    Map<Integer, Double> result = new TreeMap<>();
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      for (int length : lengths) {
        int[] tokens = new int[Math.multiplyExact(batch, length)];
        Arrays.fill(tokens, 1);
        var inputs =
            Map.of(PerformerSignatures.TOKENS, NpyArray.of(tokens, batch, length)); // [B, L]
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

  private static double mean(double[] values, int from, int to) {
    return Arrays.stream(values, from, to).average().orElseThrow();
  }
}
