package dev.performer.study;

import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Precision;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * A process that takes training steps: as many as its fourth argument says, or as it is told line
 * by line, so that several processes can be measured in turns. Then it prints {@code ready}, and
 * for every line with a number of steps a line with the milliseconds of each, the last loss, and
 * the peak of its memory in MB.
 */
final class StepBenchmarkFork {
  private StepBenchmarkFork() {}

  /**
   * Arguments: the model as JSON, B, L, the number of steps where no line tells it, and a {@link
   * TrainingBenchmark.Compute} if it is not the plain one.
   */
  public static void main(String[] args) throws IOException {
    byte[] json = args[0].getBytes(StandardCharsets.UTF_8);
    PerformerConfig config =
        PerformerConfig.of(StrictJson.readTree(json, "the model"), "the model");
    TrainingBenchmark.Compute compute =
        TrainingBenchmark.Compute.valueOf(args.length > 4 ? args[4] : "PLAIN");
    try (StepBenchmark benchmark =
            StepBenchmark.open(
                config,
                Integer.parseInt(args[1]),
                Integer.parseInt(args[2]),
                compute == TrainingBenchmark.Compute.XLA,
                compute == TrainingBenchmark.Compute.BFLOAT16
                    ? Precision.BFLOAT16
                    : Precision.FLOAT32);
        BufferedReader commands =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      if (args.length > 3) {
        System.out.println(steps(benchmark, Integer.parseInt(args[3])));
        return;
      }
      System.out.println("ready");
      for (String line = commands.readLine(); line != null; line = commands.readLine()) {
        System.out.println(steps(benchmark, Integer.parseInt(line.strip())));
      }
    }
  }

  private static String steps(StepBenchmark benchmark, int count) throws IOException {
    StringBuilder answer = new StringBuilder();
    double loss = 0;
    for (int i = 0; i < count; i++) {
      StepBenchmark.Step step = benchmark.step();
      answer.append(String.format(Locale.ROOT, "%.3f ", step.milliseconds()));
      loss = step.loss();
    }
    return answer + "loss " + loss + " " + BenchmarkFork.residentMb("VmHWM");
  }
}
