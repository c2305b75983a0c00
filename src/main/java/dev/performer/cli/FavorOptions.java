package dev.performer.cli;

import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorConfig.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import picocli.CommandLine.Option;

/** How attention is estimated; null where it is not given. */
final class FavorOptions {
  @Option(
      names = "--kernel",
      description =
          "${COMPLETION-CANDIDATES} (default: softmax; in place of exact attention the one of least error).")
  private Kernel kernel;

  @Option(
      names = "--features",
      description =
          "M, the directions of a drawn projection; 0 for none (default: 256, 0 for kernels that do not estimate softmax).")
  private Integer features;

  @Option(
      names = "--lengths",
      description =
          "Of rows of a drawn projection: chi, or sqrt-d (default in place of exact attention).")
  private Projection.Lengths lengths;

  @Option(names = "--seed", description = "Of a drawn projection (default: 0; layer i adds i).")
  private Long seed;

  /** What is given. */
  FavorKeys given() {
    return FavorConfig.builder().kernel(kernel).features(features).lengths(lengths).seed(seed);
  }
}
