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
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.ServingForm;
import dev.performer.savedmodel.ServingGraph;
import dev.performer.serving.TokenSteps;
import dev.performer.study.TrainingBenchmark.Compute;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Generation token by token, by the recurrent form, alone and of many texts at a time, against
 * running the parallel form on the whole prefix again. A model of random weights costs what a
 * trained one does.
 *
 * @param lengths where the prefix is computed again; the largest is how much is generated
 * @param computes what weights are exported in; compiled steps are of training alone
 */
public record GenerationBenchmark(
    Size size, List<Integer> lengths, List<BenchmarkedAttention> attentions, List<Compute> computes)
    implements Benchmark<GenerationBenchmark.Case> {
  /** So many that a quarter differs measurably from another. */
  private static final int LEAST_TOKENS = 16;

  static final int QUARTERS = 4;

  /** So many times the rows, at the beginning of texts. */
  static final int MORE = 16;

  /** Checks lengths. */
  public GenerationBenchmark {
    lengths = Size.checked(lengths);
    boolean isFit = Collections.max(lengths) >= LEAST_TOKENS;
    String text = "generation is measured over at least %d tokens, not %s";
    PerformerException.require(isFit, text, LEAST_TOKENS, lengths);
    computes = computes.stream().filter(compute -> compute != Compute.XLA).toList();
    String compiled = "steps of generation are not compiled: their weights are plain or bfloat16";
    PerformerException.require(!computes.isEmpty(), compiled);
  }

  /**
   * What was measured, in milliseconds a token of all rows, the fastest of all rounds.
   *
   * @param tokenMs in each quarter of the text
   * @param growth last quarter over first
   * @param rows of the many
   * @param rowsMs of so many rows, in the first quarter
   * @param rowsFaster tokens a second of so many rows, over those of the first quarter
   * @param recomputeMs by length: the parallel form on so many tokens
   * @param timesFaster by length: recomputing over the recurrent form
   */
  record Measured(
      String attention,
      double[] tokenMs,
      double firstQuarterMs,
      double lastQuarterMs,
      double growth,
      int rows,
      double rowsMs,
      double rowsFaster,
      Map<Integer, Double> recomputeMs,
      Map<Integer, Double> timesFaster) {
    private static Measured of(Case of, Map<String, Timing> timings) {
      double[] ms = new double[QUARTERS];
      Arrays.setAll(ms, q -> timings.get(of.quarter(q)).minMs() / of.tokensOfRun());
      double rowsMs = timings.get(of.more()).minMs() / of.tokensOfRun();
      Map<Integer, Double> again = new TreeMap<>();
      Map<Integer, Double> faster = new TreeMap<>();
      for (int length : of.lengths) {
        double recompute = timings.get(Case.again(length)).minMs();
        again.put(length, recompute);
        faster.put(length, recompute / ms[of.quarterOf(length)]);
      }
      double first = ms[0];
      double last = ms[QUARTERS - 1];
      int rows = of.size.batch() * MORE;
      String label = of.name();
      double ratio = MORE * first / rowsMs;
      return new Measured(label, ms, first, last, last / first, rows, rowsMs, ratio, again, faster);
    }
  }

  private record Json(List<Measured> rows) {}

  @Override
  public String name() {
    return "generate";
  }

  @Override
  public List<Case> cases() {
    return attentions.stream()
        .flatMap(a -> computes.stream().map(c -> new Case(a, c, lengths, size, null)))
        .toList();
  }

  /** Milliseconds a token in the first and last quarter, and of computing the prefix again. */
  @Override
  public String table(List<Case> rows) {
    String quarters = "attention | token, first quarter | last quarter | last / first";
    String many = format(" | %d rows | tokens/s to one", size.batch() * MORE);
    Table table = new Table(quarters + many + columns(lengths, l -> "prefix of " + l + " again"));
    for (Measured row : results(rows)) {
      double first = row.firstQuarterMs;
      String cells = format(" | %.2f ms | %.2f ms | %.2f", first, row.lastQuarterMs, row.growth);
      cells += format(" | %.2f ms | %.1f×", row.rowsMs, row.rowsFaster);
      var times = row.timesFaster;
      var again = row.recomputeMs;
      cells += columns(lengths, l -> format("%.1f ms, %.1f×", again.get(l), times.get(l)));
      table.row(row.attention + cells);
    }
    return table
        + "\nMilliseconds a token, the fastest of all rounds; ×: how many times faster the"
        + " recurrent form is at that length. Below, a run is "
        + Case.tokensOfRun(lengths)
        + " tokens, GB/s are of weights and states read once a token, and reading is that of the"
        + " machine.\n";
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
    double tokens = Collections.max(lengths);
    double[] x = IntStream.range(0, QUARTERS).mapToDouble(q -> (q + 0.5) / QUARTERS).toArray();
    int colour = 0;
    for (Measured row : results(rows)) {
      var times = row.recomputeMs;
      Line again = Line.of(row.attention + ", prefix again", times.keySet(), times.values());
      again = again.withDash(Line.Dash.DASHED).withMarker(Line.Marker.CIRCLE);
      double[] at = Arrays.stream(x).map(share -> share * tokens).toArray();
      Line recurrent = Line.of(row.attention + ", recurrent", at, row.tokenMs);
      recurrent = recurrent.withMarker(Line.Marker.CIRCLE);
      chart = chart.with(recurrent.withColour(colour)).with(again.withColour(colour++));
    }
    return List.of(chart);
  }

  private static List<Measured> results(List<Case> rows) {
    return rows.stream().map(Case::result).filter(Objects::nonNull).toList();
  }

  /** Both ways with one attention, at all lengths. */
  record Case(
      BenchmarkedAttention attention,
      Compute compute,
      List<Integer> lengths,
      Size size,
      Measured result)
      implements InTurns<Case> {
    private static final double START_SECONDS = 8;
    private static final double SHORTEST_SECONDS = 0.06;
    private static final double OPERATIONS_A_SECOND = 1e11;

    @Override
    public String label() {
      return name() + ", " + tokens() + " tokens";
    }

    private String name() {
      return attention.label() + compute.suffix();
    }

    @Override
    public String line() {
      return format(
          "%-28s %.2f ms a token, %.2f ms in the last quarter, %d rows %.2f ms",
          label(), result.firstQuarterMs, result.lastQuarterMs, result.rows, result.rowsMs);
    }

    private int tokens() {
      return Collections.max(lengths);
    }

    /** As many as make the same work come again. */
    private static int tokensOfRun(List<Integer> lengths) {
      return Math.min(TokenSteps.TURN, Collections.max(lengths) / QUARTERS);
    }

    int tokensOfRun() {
      return tokensOfRun(lengths);
    }

    String quarter(int number) {
      return tokensOfRun() + " tokens, quarter " + (number + 1);
    }

    String more() {
      return tokensOfRun() + " tokens of " + size.batch() * MORE + " rows";
    }

    static String again(int length) {
      return "prefix of " + length;
    }

    /** Where a quarter begins, in tokens. */
    int begin(int quarter) {
      return quarter * tokens() / QUARTERS;
    }

    /** That of the last of so many tokens. */
    private int quarterOf(int length) {
      return Math.min(QUARTERS - 1, QUARTERS * (length - 1) / tokens());
    }

    @Override
    public String group() {
      return "generate";
    }

    @Override
    public Case with(Map<String, Timing> timings) {
      return new Case(attention, compute, lengths, size, Measured.of(this, timings));
    }

    /** Of weights once a token, and of states as they are in the middle of a quarter. */
    @Override
    public Map<String, Cost> costs() {
      Map<String, Cost> costs = new LinkedHashMap<>();
      for (int q = 0; q < QUARTERS; q++) {
        costs.put(quarter(q), cost(size.batch(), (begin(q) + begin(q + 1)) / 2));
      }
      costs.put(more(), cost(size.batch() * MORE, begin(1) / 2));
      lengths.forEach(l -> costs.put(again(l), Cost.ofFlop(attention.modelFlop(l, size))));
      return costs;
    }

    private Cost cost(int rows, int position) {
      double numbers = rows * attention.stateSize(position, size);
      double bytes = Float.BYTES * numbers;
      var config = PerformerConfig.of(attention.model(tokens(), size), label());
      for (var variable : Performer.shapes(config).entrySet()) {
        if (!variable.getKey().startsWith("embeddings/")) { // a row of those is read
          boolean isNarrow = compute == Compute.BFLOAT16 && variable.getKey().endsWith("/kernel");
          double count = variable.getValue().size();
          numbers += rows * count;
          bytes += (isNarrow ? Short.BYTES : Float.BYTES) * count;
        }
      }
      Cost one = new Cost(2 * numbers, bytes);
      return one.times(tokensOfRun());
    }

    @Override
    public double seconds() {
      return START_SECONDS + 3 * roundSeconds();
    }

    @Override
    public double roundSeconds() {
      double seconds = (QUARTERS + MORE) * SHORTEST_SECONDS;
      for (int length : lengths) {
        double own = attention.modelFlop(length, size) / OPERATIONS_A_SECOND;
        seconds += Math.max(SHORTEST_SECONDS, own);
      }
      return seconds;
    }

    @Override
    public Open open() throws IOException {
      Path folder = Files.createTempDirectory("performer-bench");
      try {
        Path model = folder.resolve("model");
        RandomModel.write(attention.model(tokens(), size), null, model);
        if (compute == Compute.BFLOAT16) {
          Path narrow = folder.resolve("bfloat16");
          var form = ServingForm.AS_IS.in(ServingForm.Precision.BFLOAT16);
          ServingGraph.export(SavedModelDirectory.open(model), form, narrow);
          model = narrow;
        }
        return new GenerationWork(this, TokenSteps.open(model));
      } finally {
        AtomicFiles.discard(folder);
      }
    }
  }
}
