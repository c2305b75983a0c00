package dev.performer.study;

import static dev.performer.study.Table.format;

import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Scale;
import dev.performer.chart.Line;
import dev.performer.study.GenerationCase.Measured;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Generation token by token against computing the whole prefix again.
 *
 * @param lengths where the prefix is computed again; the largest is how much is generated
 */
public record GenerationBenchmark(
    BenchmarkSize size, List<Integer> lengths, List<BenchmarkedAttention> attentions)
    implements Benchmark<GenerationCase> {
  /** So many that a quarter differs measurably from another. */
  private static final int LEAST_TOKENS = 16;

  private static final int POINTS = 32;

  /**
   * @throws PerformerException if a length is not positive, or none is long enough
   */
  public GenerationBenchmark {
    lengths = BenchmarkSize.checked(lengths);
    PerformerException.require(
        Collections.max(lengths) >= LEAST_TOKENS,
        "generation is measured over at least %d tokens, not %s",
        LEAST_TOKENS,
        lengths);
  }

  @Override
  public String name() {
    return "generate";
  }

  @Override
  public List<GenerationCase> cases() {
    return attentions.stream().map(a -> new GenerationCase(a, lengths, size, null)).toList();
  }

  /** Milliseconds a token in the first and last quarter, and of computing the prefix again. */
  @Override
  public String table(List<GenerationCase> rows) {
    String again =
        lengths.stream().map(l -> " | prefix of " + l + " again").collect(Collectors.joining());
    Table table =
        new Table("attention | token, first quarter | last quarter | last / first" + again);
    for (Measured row : results(rows)) {
      StringBuilder cells = new StringBuilder(row.attention());
      cells.append(
          format(
              " | %.2f ms | %.2f ms | %.2f",
              row.firstQuarterMs(), row.lastQuarterMs(), row.growth()));
      for (int length : lengths) {
        double times = row.timesFaster().get(length);
        cells.append(format(" | %.1f ms, %.1f×", row.recomputeMs().get(length), times));
      }
      table.row(cells.toString());
    }
    return table
        + "\nMilliseconds a token, each the fastest of several runs; ×: how many times faster the"
        + " recurrent form is at that length.\n";
  }

  @Override
  public Map<String, Object> json(List<GenerationCase> rows) {
    return Map.of("rows", results(rows));
  }

  /** Both ways over the length. */
  @Override
  public List<Chart> charts(List<GenerationCase> rows) {
    Chart chart =
        Chart.of("One more token", "tokens so far", "milliseconds")
            .withSize(900, 560)
            .withScales(Scale.POWERS_OF_TWO, Scale.DECADES)
            .withLegend(Chart.Legend.INSIDE);
    int colour = 0;
    for (Measured row : results(rows)) {
      int step = Math.max(1, row.tokenMs().length / POINTS);
      double[] x =
          IntStream.rangeClosed(1, row.tokenMs().length / step)
              .mapToDouble(i -> i * step)
              .toArray();
      double[] y =
          Arrays.stream(x)
              .map(at -> GenerationCase.mean(row.tokenMs(), (int) at - step, (int) at))
              .toArray();
      var again = row.recomputeMs();
      chart =
          chart
              .with(Line.of(row.attention() + ", recurrent", x, y).withColour(colour))
              .with(
                  Line.of(row.attention() + ", prefix again", again.keySet(), again.values())
                      .withColour(colour++)
                      .withDash(Line.Dash.DASHED)
                      .withMarker(Line.Marker.CIRCLE));
    }
    return List.of(chart);
  }

  private static List<Measured> results(List<GenerationCase> rows) {
    return rows.stream().map(GenerationCase::result).filter(Objects::nonNull).toList();
  }
}
