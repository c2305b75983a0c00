package dev.performer.cli;

import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import dev.performer.study.StepBenchmark;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Scanner;

/**
 * Takes training steps as lines of standard input order them, so that several processes can be
 * measured in turns. It prints {@code ready}, and for every line with a number of steps a line with
 * the milliseconds of each, the last loss, and the peak of its memory in MB.
 */
final class StepTurns {
  private StepTurns() {}

  /** Arguments: the model as JSON, B, L. */
  public static void main(String[] args) {
    byte[] json = args[0].getBytes(StandardCharsets.UTF_8);
    PerformerConfig config =
        PerformerConfig.of(StrictJson.readTree(json, "the model"), "the model");
    int batch = Integer.parseInt(args[1]);
    int length = Integer.parseInt(args[2]);
    try (var benchmark = new StepBenchmark(config, batch, length);
        var orders = new Scanner(System.in, StandardCharsets.UTF_8)) {
      System.out.println("ready");
      while (orders.hasNextInt()) {
        double loss = 0;
        for (int i = orders.nextInt(); i > 0; i--) {
          StepBenchmark.Step step = benchmark.step();
          System.out.printf(Locale.ROOT, "%.3f ", step.milliseconds());
          loss = step.loss();
        }
        System.out.println("loss " + loss + " " + StepBenchmark.peakMb());
      }
    }
  }
}
