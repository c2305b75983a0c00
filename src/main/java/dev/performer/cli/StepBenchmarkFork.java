package dev.performer.cli;

import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import dev.performer.training.StepBenchmark;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * A process that takes training steps when it is told to, so that several can be measured in turns:
 * prints {@code ready}, then for every line with a number takes so many steps and prints a line
 * with the milliseconds of each, and the last loss.
 */
final class StepBenchmarkFork {
  private StepBenchmarkFork() {}

  /** Arguments: the model as JSON, B, L. */
  public static void main(String[] args) throws IOException {
    PerformerConfig config =
        PerformerConfig.of(
            StrictJson.readTree(args[0].getBytes(StandardCharsets.UTF_8), "the model"),
            "the model");
    try (StepBenchmark benchmark =
            StepBenchmark.open(config, Integer.parseInt(args[1]), Integer.parseInt(args[2]));
        BufferedReader commands =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      System.out.println("ready");
      for (String line = commands.readLine(); line != null; line = commands.readLine()) {
        StringBuilder answer = new StringBuilder();
        double loss = 0;
        for (int i = 0; i < Integer.parseInt(line.strip()); i++) {
          StepBenchmark.Step step = benchmark.step();
          answer.append(String.format(Locale.ROOT, "%.3f ", step.milliseconds()));
          loss = step.loss();
        }
        System.out.println(answer + "loss " + loss);
      }
    }
  }
}
