package dev.performer.study;

import dev.performer.chart.Chart;
import dev.performer.study.TrainingCase.Compute;
import dev.performer.study.TrainingCase.Measured;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Whole training steps by attention and length.
 *
 * @param lengths L
 * @param computes how steps are computed, each measured
 */
public record TrainingBenchmark(
    BenchmarkSize size,
    List<Integer> lengths,
    List<BenchmarkedAttention> attentions,
    List<Compute> computes)
    implements Benchmark<TrainingCase, Measured> {

  /**
   * @throws dev.performer.PerformerException if a length is not positive, or there is none
   */
  public TrainingBenchmark {
    lengths = BenchmarkSize.checked(lengths);
    attentions = List.copyOf(attentions);
    computes = List.copyOf(computes);
  }

  @Override
  public String name() {
    return "train-bench";
  }

  @Override
  public List<TrainingCase> cases() {
    List<TrainingCase> cases = new ArrayList<>();
    for (int length : lengths) {
      for (BenchmarkedAttention attention : attentions) {
        for (Compute compute : computes) {
          cases.add(new TrainingCase(attention, compute, length, size));
        }
      }
    }
    return cases;
  }

  @Override
  public Class<Measured> resultType() {
    return Measured.class;
  }

  @Override
  public String line(TrainingCase measured, Measured result) {
    return String.format(
        Locale.ROOT,
        "%-28s L=%-6d %8.0f ms a step, peak %6.0f MB",
        measured.kind(),
        measured.length(),
        result.stepMs(),
        result.peakMb());
  }

  @Override
  public String table(List<Row<TrainingCase, Measured>> rows) {
    StringBuilder table = new StringBuilder("| attention | L | ms a step | tokens/s | peak MB |\n");
    table.append("|---|---|---|---|---|\n");
    for (Row<TrainingCase, Measured> row : rows) {
      String measured =
          row.isMeasured()
              ? String.format(
                  Locale.ROOT,
                  "%.0f | %.0f | %.0f",
                  row.result().stepMs(),
                  tokensPerSecond(row),
                  row.result().peakMb())
              : "– | – | –";
      table.append(
          "| %s | %d | %s |%n".formatted(row.measured().kind(), row.measured().length(), measured));
    }
    return table.toString();
  }

  private double tokensPerSecond(Row<TrainingCase, Measured> row) {
    return size.batch() * row.measured().length() * 1e3 / row.result().stepMs();
  }

  @Override
  public Map<String, Object> json(List<Row<TrainingCase, Measured>> rows) {
    List<Map<String, Object>> list = new ArrayList<>();
    for (Row<TrainingCase, Measured> row : rows) {
      if (row.isMeasured()) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("attention", row.measured().attention().label());
        entry.put("compute", row.measured().compute().name().toLowerCase(Locale.ROOT));
        entry.put("length", row.measured().length());
        entry.put("stepMs", row.result().stepMs());
        entry.put("tokensPerSecond", tokensPerSecond(row));
        entry.put("peakMb", row.result().peakMb());
        list.add(entry);
      }
    }
    return Map.of("trainingSteps", list);
  }

  @Override
  public List<Chart> charts(List<Row<TrainingCase, Measured>> rows) {
    return List.of();
  }
}
