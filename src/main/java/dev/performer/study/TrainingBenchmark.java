package dev.performer.study;

import static dev.performer.study.Table.format;

import dev.performer.study.TrainingCase.Compute;
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
    implements Benchmark<TrainingCase> {

  /**
   * @throws dev.performer.PerformerException if a length is not positive, or there is none
   */
  public TrainingBenchmark {
    lengths = BenchmarkSize.checked(lengths);
  }

  @Override
  public String name() {
    return "train-bench";
  }

  @Override
  public List<TrainingCase> cases() {
    List<TrainingCase> cases = new ArrayList<>();
    for (int length : lengths) {
      for (var attention : attentions) {
        computes.forEach(c -> cases.add(new TrainingCase(attention, c, length, size, null)));
      }
    }
    return cases;
  }

  @Override
  public String table(List<TrainingCase> rows) {
    Table table = new Table("attention | L | ms a step | tokens/s | peak MB");
    for (TrainingCase row : rows) {
      var m = row.result();
      String measured =
          m == null
              ? "– | – | –"
              : format("%.0f | %.0f | %.0f", m.stepMs(), row.tokensPerSecond(), m.peakMb());
      table.row(format("%s | %d | %s", row.kind(), row.length(), measured));
    }
    return table.toString();
  }

  @Override
  public Map<String, Object> json(List<TrainingCase> rows) {
    List<Map<String, Object>> steps = new ArrayList<>();
    for (TrainingCase row : rows) {
      if (row.result() != null) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("attention", row.attention().label());
        json.put("compute", row.compute().name().toLowerCase(Locale.ROOT));
        json.put("length", row.length());
        json.put("stepMs", row.result().stepMs());
        json.put("tokensPerSecond", row.tokensPerSecond());
        json.put("peakMb", row.result().peakMb());
        steps.add(json);
      }
    }
    return Map.of("trainingSteps", steps);
  }
}
