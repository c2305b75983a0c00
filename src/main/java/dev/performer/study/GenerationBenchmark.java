package dev.performer.study;

import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Scale;
import dev.performer.chart.Line;
import dev.performer.study.GenerationCase.Measured;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Generation token by token against computing the whole prefix again.
 *
 * @param lengths where the prefix is computed again; the largest is how much is generated
 */
public record GenerationBenchmark(
    BenchmarkSize size, List<Integer> lengths, List<BenchmarkedAttention> attentions)
    implements Benchmark<GenerationCase, Measured> {
  /** So many that a quarter differs measurably from another. */
  private static final int LEAST_TOKENS = 16;

  private static final int POINTS = 32;

  /**
   * @throws PerformerException if a length is not positive, or none is long enough
   */
  public GenerationBenchmark {
    lengths = BenchmarkSize.checked(lengths);
    attentions = List.copyOf(attentions);
    if (Collections.max(lengths) < LEAST_TOKENS) {
      throw new PerformerException(
          "generation is measured over at least " + LEAST_TOKENS + " tokens, not " + lengths);
    }
  }

  @Override
  public String name() {
    return "generate";
  }

  @Override
  public List<GenerationCase> cases() {
    return attentions.stream().map(a -> new GenerationCase(a, lengths, size)).toList();
  }

  @Override
  public Class<Measured> resultType() {
    return Measured.class;
  }

  @Override
  public String line(GenerationCase measured, Measured result) {
    return String.format(
        Locale.ROOT,
        "%-28s %.2f ms a token, %.2f ms in the last quarter",
        measured.label(),
        result.firstQuarterMs(),
        result.lastQuarterMs());
  }

  /** Milliseconds a token in the first and last quarter, and of computing the prefix again. */
  @Override
  public String table(List<Row<GenerationCase, Measured>> rows) {
    StringBuilder text =
        new StringBuilder("| attention | token, first quarter | last quarter | last / first |");
    lengths.forEach(l -> text.append(" prefix of ").append(l).append(" again |"));
    text.append("\n|---|---|---|---|").append("---|".repeat(lengths.size())).append('\n');
    for (Measured row : results(rows)) {
      text.append(
          String.format(
              Locale.ROOT,
              "| %s | %.2f ms | %.2f ms | %.2f |",
              row.attention(),
              row.firstQuarterMs(),
              row.lastQuarterMs(),
              row.growth()));
      for (int length : lengths) {
        text.append(
            String.format(
                Locale.ROOT,
                " %.1f ms, %.1f× |",
                row.recomputeMs().get(length),
                row.timesFaster().get(length)));
      }
      text.append('\n');
    }
    return text.append(
            "\nMilliseconds a token, each the fastest of several runs; ×: how many times faster the"
                + " recurrent form is at that length.\n")
        .toString();
  }

  @Override
  public Map<String, Object> json(List<Row<GenerationCase, Measured>> rows) {
    return Map.of("rows", results(rows));
  }

  /** Both ways over the length. */
  @Override
  public List<Chart> charts(List<Row<GenerationCase, Measured>> rows) {
    Chart chart =
        Chart.of("One more token", "tokens so far", "milliseconds")
            .withSize(900, 560)
            .withScales(Scale.POWERS_OF_TWO, Scale.DECADES)
            .withLegend(Chart.Legend.INSIDE);
    int colour = 0;
    for (Measured row : results(rows)) {
      double[] times = row.tokenMs();
      int step = Math.max(1, times.length / POINTS);
      double[] x =
          IntStream.range(0, times.length / step).mapToDouble(i -> (i + 1) * step).toArray();
      double[] y =
          IntStream.range(0, x.length)
              .mapToDouble(
                  i -> Arrays.stream(times, i * step, (i + 1) * step).average().orElseThrow())
              .toArray();
      chart =
          chart
              .with(Line.of(row.attention() + ", recurrent", x, y).withColour(colour))
              .with(
                  Line.of(
                          row.attention() + ", prefix again",
                          row.recomputeMs().keySet(),
                          row.recomputeMs().values())
                      .withColour(colour++)
                      .withDash(Line.Dash.DASHED)
                      .withMarker(Line.Marker.CIRCLE));
    }
    return List.of(chart);
  }

  private static List<Measured> results(List<Row<GenerationCase, Measured>> rows) {
    return rows.stream().filter(Row::isMeasured).map(Row::result).toList();
  }
}
