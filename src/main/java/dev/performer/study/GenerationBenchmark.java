package dev.performer.study;

import static dev.performer.study.Table.columns;
import static dev.performer.study.Table.format;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Layout;
import dev.performer.chart.Chart.Legend;
import dev.performer.chart.Chart.Line;
import dev.performer.chart.Chart.Scale;
import dev.performer.data.NpyArray;
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
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Generation token by token, by the recurrent form, against running the parallel form on the whole
 * prefix again. A model of random weights costs what a trained one does.
 *
 * @param lengths where the prefix is computed again; the largest is how much is generated
 */
public record GenerationBenchmark(
    Size size, List<Integer> lengths, List<BenchmarkedAttention> attentions)
    implements Benchmark<GenerationBenchmark.Case> {
  /** So many that a quarter differs measurably from another. */
  private static final int LEAST_TOKENS = 16;

  private static final int POINTS = 32;

  /** Checks lengths. */
  public GenerationBenchmark {
    lengths = Size.checked(lengths);
    boolean isFit = Collections.max(lengths) >= LEAST_TOKENS;
    String text = "generation is measured over at least %d tokens, not %s";
    PerformerException.require(isFit, text, LEAST_TOKENS, lengths);
  }

  /**
   * What was measured, in milliseconds a token. Every time is the fastest of several runs.
   *
   * @param growth last quarter over first
   * @param recomputeMs by length: the parallel form on so many tokens
   * @param timesFaster by length: recomputing over the recurrent form
   */
  record Measured(
      String attention,
      double[] tokenMs,
      double firstQuarterMs,
      double lastQuarterMs,
      double growth,
      Map<Integer, Double> recomputeMs,
      Map<Integer, Double> timesFaster) {
    private static Measured of(
        String attention, double[] tokenMs, Map<Integer, Double> recomputeMs) {
      int quarter = tokenMs.length / 4;
      double first = mean(tokenMs, 0, quarter);
      double last = mean(tokenMs, tokenMs.length - quarter, tokenMs.length);
      Map<Integer, Double> faster = new TreeMap<>();
      recomputeMs.forEach( // over the mean around that length: one token's time is noise
          (l, ms) -> faster.put(l, ms / mean(tokenMs, Math.min(l - 1, l - l / 4), l)));
      return new Measured(attention, tokenMs, first, last, last / first, recomputeMs, faster);
    }

    private static double mean(double[] values, int from, int to) {
      return Arrays.stream(values, from, to).average().orElseThrow();
    }
  }

  private record Json(List<Measured> rows) {}

  @Override
  public String name() {
    return "generate";
  }

  @Override
  public List<Case> cases() {
    return attentions.stream().map(a -> new Case(a, lengths, size, null)).toList();
  }

  /** Milliseconds a token in the first and last quarter, and of computing the prefix again. */
  @Override
  public String table(List<Case> rows) {
    String quarters = "attention | token, first quarter | last quarter | last / first";
    Table table = new Table(quarters + columns(lengths, l -> "prefix of " + l + " again"));
    for (Measured row : results(rows)) {
      double first = row.firstQuarterMs;
      String cells = format(" | %.2f ms | %.2f ms | %.2f", first, row.lastQuarterMs, row.growth);
      var times = row.timesFaster;
      var again = row.recomputeMs;
      cells += columns(lengths, l -> format("%.1f ms, %.1f×", again.get(l), times.get(l)));
      table.row(row.attention + cells);
    }
    return table
        + "\nMilliseconds a token, each the fastest of several runs; ×: how many times faster the"
        + " recurrent form is at that length.\n";
  }

  @Override
  public Record json(List<Case> rows) {
    return new Json(results(rows));
  }

  /** Both ways over the length. */
  @Override
  public List<Chart> charts(List<Case> rows) {
    var layout = new Layout(900, 560, Scale.POWERS_OF_TWO, Scale.DECADES, Legend.INSIDE);
    Chart chart = Chart.of("One more token", "tokens so far", "milliseconds", layout);
    int colour = 0;
    for (Measured row : results(rows)) {
      double[] ms = row.tokenMs;
      int step = Math.max(1, ms.length / POINTS);
      double[] x = IntStream.rangeClosed(1, ms.length / step).mapToDouble(i -> i * step).toArray();
      double[] y =
          Arrays.stream(x).map(at -> Measured.mean(ms, (int) at - step, (int) at)).toArray();
      var times = row.recomputeMs;
      Line again = Line.of(row.attention + ", prefix again", times.keySet(), times.values());
      again = again.withDash(Line.Dash.DASHED).withMarker(Line.Marker.CIRCLE);
      Line recurrent = Line.of(row.attention + ", recurrent", x, y);
      chart = chart.with(recurrent.withColour(colour)).with(again.withColour(colour++));
    }
    return List.of(chart);
  }

  private static List<Measured> results(List<Case> rows) {
    return rows.stream().map(Case::result).filter(Objects::nonNull).toList();
  }

  /** Both ways with one attention, at all lengths. */
  record Case(BenchmarkedAttention attention, List<Integer> lengths, Size size, Measured result)
      implements Benchmark.Case<Case> {
    private static final int RUNS = 3;
    private static final double START_SECONDS = 8;
    private static final double TOKEN_SECONDS = 3e-3;
    private static final double OPERATIONS_A_SECOND = 1e11;

    @Override
    public String label() {
      return attention.label() + ", " + tokens() + " tokens";
    }

    @Override
    public String line() {
      return format(
          "%-28s %.2f ms a token, %.2f ms in the last quarter",
          label(), result.firstQuarterMs, result.lastQuarterMs);
    }

    private int tokens() {
      return Collections.max(lengths);
    }

    @Override
    public double seconds() {
      double again = 0;
      for (int length : lengths) {
        again += attention.modelFlop(length, size);
      }
      return START_SECONDS
          + (RUNS + 1) * (tokens() * size.batch() * TOKEN_SECONDS + again / OPERATIONS_A_SECOND);
    }

    @Override
    public Case measure() throws IOException {
      Path folder = Files.createTempDirectory("performer-bench");
      try {
        Path model = folder.resolve("model");
        RandomModel.write(attention.model(tokens(), size), null, model);
        var measured = Measured.of(attention.label(), recurrent(model), parallel(model));
        return new Case(attention, lengths, size, measured);
      } finally {
        AtomicFiles.discard(folder);
      }
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
          GenerationSession.Listener watch =
              (row, token) -> {
                if (row == prompts.size() - 1) {
                  times[++count[0]] = System.nanoTime();
                }
              };
          session.generate(prompts, options, watch);
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
          var batch = NpyArray.of(tokens, size.batch(), length); // [B, L]
          double best = Double.MAX_VALUE;
          for (int run = 0; run <= RUNS; run++) {
            long start = System.nanoTime();
            predictor.predict("serving_default", Map.of(PerformerSignatures.TOKENS, batch));
            best = run == 0 ? best : Math.min(best, (System.nanoTime() - start) / 1e6);
          }
          result.put(length, best);
        }
      }
      return result;
    }
  }
}
