package dev.performer.study;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Time of a whole training step of a causal language model: 4 layers by 256, for each attention and
 * length, each in a process of its own.
 */
public final class TrainingBenchmark {
  private static final int WARM_UP = 2;
  private static final int STEPS = 5;
  private static final int VOCABULARY = 256;
  private static final int LAYERS = 4;

  /** How a step is computed. */
  public enum Compute {
    PLAIN(""),
    XLA(", XLA"),
    BFLOAT16(", bfloat16");

    private final String suffix;

    Compute(String suffix) {
      this.suffix = suffix;
    }
  }

  /** One attention at one length. */
  public record Row(
      BenchmarkedAttention attention, Compute compute, int length, double medianMs, double peakMb) {
    String label() {
      return attention.label() + compute.suffix;
    }

    double tokensPerSecond(int batch) {
      return batch * length * 1e3 / medianMs;
    }
  }

  private TrainingBenchmark() {}

  /** The model that is measured, as JSON. */
  public static ObjectNode model(
      BenchmarkedAttention attention, int length, int heads, int headSize, int features) {
    ObjectNode model = JsonNodeFactory.instance.objectNode();
    model.put("preset", "performer").put("task", "causal-lm");
    model.put("vocabularySize", VOCABULARY).put("maxLength", length).put("layers", LAYERS);
    model.put("hiddenSize", heads * headSize).put("heads", heads).put("positions", "learned");
    model.putNull("padId");
    model.set("attention", StrictJson.tree(attention.config(true, features)));
    PerformerConfig.of(model, "the benchmark's model");
    return model;
  }

  /** Bytes that exact attention needs at the least: its weights, kept for each layer, and more. */
  public static long exactBytes(int batch, int heads, int length) {
    return 4L * 3 * LAYERS * batch * heads * length * length;
  }

  /** Forks a process that takes a few steps; the first ones, which plan the graph, do not count. */
  public static Row measure(
      BenchmarkedAttention attention, Compute compute, int length, int batch, ObjectNode model) {
    List<String> arguments =
        List.of(
            StrictJson.tree(model).toString(),
            "" + batch,
            "" + length,
            "" + (WARM_UP + STEPS),
            compute.name());
    String what = attention.label() + ", a training step at L=" + length;
    String[] answer =
        AttentionBenchmark.lastLine(StepBenchmarkFork.class, arguments, what).split(" ");
    double[] times =
        Arrays.stream(answer, WARM_UP, WARM_UP + STEPS)
            .mapToDouble(Double::parseDouble)
            .sorted()
            .toArray();
    double peak = Double.parseDouble(answer[answer.length - 1]);
    return new Row(attention, compute, length, times[STEPS / 2], peak);
  }

  public static String table(List<Row> rows, int batch) {
    StringBuilder table = new StringBuilder("| attention | L | ms a step | tokens/s | peak MB |\n");
    table.append("|---|---|---|---|---|\n");
    for (Row row : rows) {
      table.append(
          String.format(
              Locale.ROOT,
              "| %s | %d | %.0f | %.0f | %.0f |%n",
              row.label(),
              row.length(),
              row.medianMs(),
              row.tokensPerSecond(batch),
              row.peakMb()));
    }
    return table.toString();
  }

  public static List<Map<String, Object>> json(List<Row> rows, int batch) {
    List<Map<String, Object>> list = new ArrayList<>();
    for (Row row : rows) {
      Map<String, Object> entry = new LinkedHashMap<>();
      entry.put("attention", row.attention().label());
      entry.put("compute", row.compute().name().toLowerCase(Locale.ROOT));
      entry.put("length", row.length());
      entry.put("stepMs", row.medianMs());
      entry.put("tokensPerSecond", row.tokensPerSecond(batch));
      entry.put("peakMb", row.peakMb());
      list.add(entry);
    }
    return list;
  }
}
