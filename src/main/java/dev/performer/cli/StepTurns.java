package dev.performer.cli;

import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import dev.performer.study.StepBenchmark;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * Takes training steps as lines of standard input order them, so that several processes can be
 * measured in turns. It prints {@code ready}, and for every line with a number of steps a line with
 * the milliseconds of each, the last loss, and the peak of its memory in MB.
 */
final class StepTurns {
  private StepTurns() {}

  /** Arguments: the model as JSON, B, L. */
  public static void main(String[] args) throws IOException {
    byte[] json = args[0].getBytes(StandardCharsets.UTF_8);
    PerformerConfig config =
        PerformerConfig.of(StrictJson.readTree(json, "the model"), "the model");
    try (StepBenchmark benchmark =
            new StepBenchmark(config, Integer.parseInt(args[1]), Integer.parseInt(args[2]));
        BufferedReader orders =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      System.out.println("ready");
      for (String line = orders.readLine(); line != null; line = orders.readLine()) {
        System.out.println(steps(benchmark, Integer.parseInt(line.strip())));
      }
    }
  }

  private static String steps(StepBenchmark benchmark, int count) {
    StringBuilder answer = new StringBuilder();
    double loss = 0;
    for (int i = 0; i < count; i++) {
      StepBenchmark.Step step = benchmark.step();
      answer.append(String.format(Locale.ROOT, "%.3f ", step.milliseconds()));
      loss = step.loss();
    }
    return answer + "loss " + loss + " " + StepBenchmark.peakMb();
  }
}
