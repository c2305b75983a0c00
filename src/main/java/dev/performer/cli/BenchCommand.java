package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.study.AttentionBenchmark;
import dev.performer.study.Benchmark;
import dev.performer.study.BenchmarkRun;
import dev.performer.study.BenchmarkSize;
import dev.performer.study.BenchmarkedAttention;
import dev.performer.study.GenerationBenchmark;
import dev.performer.study.TrainingBenchmark;
import dev.performer.study.TrainingCase.Compute;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * {@code bench}: time and memory of FAVOR+ against exact softmax attention (the paper's figure 3).
 */
@Command(
    name = "bench",
    description = "Measure time and peak memory of attention against exact softmax attention.")
final class BenchCommand implements Callable<Integer> {
  @Mixin private OutputOptions output;

  @Option(
      names = "--train",
      description =
          "Measure whole training steps of a causal language model of 4 layers by heads × head size,"
              + " 4 × 64 by default, in place of attention alone.")
  private boolean train;

  @Option(
      names = "--compute",
      split = ",",
      description =
          "With --train: PLAIN, XLA (the step compiled), BFLOAT16 (dense layers), or several"
              + " (default: PLAIN).")
  private List<Compute> computes = List.of(Compute.PLAIN);

  @Option(
      names = "--lengths",
      split = ",",
      description = {
        "Sequence lengths (default: 512,1024,2048,4096,8192,16384; with --train 1024,4096; with",
        "--generate 128,256,512,1024, of which the largest is generated)."
      })
  private List<Integer> lengths;

  @Option(
      names = "--generate",
      description = {
        "Measure generation in place of attention: a token by the recurrent form against computing",
        "the whole prefix again (a causal model of 4 layers as wide as heads × head size)."
      })
  private boolean generate;

  @Option(
      names = "--batch",
      defaultValue = "1",
      description = "Batch size B (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(names = "--heads", description = "Heads H (default: 8; with --train 4).")
  private Integer heads;

  @Option(
      names = "--head-size",
      defaultValue = "64",
      description = "Head size D (default: ${DEFAULT-VALUE}).")
  private int headSize;

  @Option(
      names = "--features",
      description =
          "M, the directions of a projection, where a kernel needs one (default: 256; with --train 128).")
  private Integer features;

  @Option(
      names = "--attention",
      split = ",",
      description = "Only these: exact, or kernels of FAVOR+ (default: ${DEFAULT-VALUE}).")
  private List<BenchmarkedAttention> attentions = BenchmarkedAttention.DEFAULTS;

  @Option(
      names = "--output",
      defaultValue = "build/bench",
      description = "Folder for bench.json, bench.md and bench.png (default: ${DEFAULT-VALUE}).")
  private Path folder;

  @Option(
      names = "--timeout",
      defaultValue = "10",
      paramLabel = "MINUTES",
      description =
          "Of one measurement; what takes longer is left out (default: ${DEFAULT-VALUE}).")
  private int timeout;

  @Override
  public Integer call() {
    if (timeout < 1) {
      throw new UsageException("--timeout must be at least 1, not " + timeout);
    }
    return run(benchmark());
  }

  private Benchmark<?> benchmark() {
    if (train && generate) {
      throw new UsageException("--train and --generate exclude each other");
    }
    if (!train && !computes.equals(List.of(Compute.PLAIN))) {
      throw new UsageException("--compute needs --train");
    }
    BenchmarkSize size =
        checked(
            "--batch, --heads, --head-size, --features",
            () ->
                new BenchmarkSize(
                    batch,
                    heads != null ? heads : train ? 4 : 8,
                    headSize,
                    features != null ? features : train ? 128 : 256));
    if (train) {
      List<Integer> at = lengths != null ? lengths : List.of(1024, 4096);
      return checked("--lengths", () -> new TrainingBenchmark(size, at, attentions, computes));
    }
    if (generate) {
      List<Integer> at = lengths != null ? lengths : List.of(128, 256, 512, 1024);
      return checked("--generate, --lengths", () -> new GenerationBenchmark(size, at, attentions));
    }
    List<Integer> at = lengths != null ? lengths : List.of(512, 1024, 2048, 4096, 8192, 16384);
    return checked("--lengths", () -> new AttentionBenchmark(size, at, attentions));
  }

  private static <T> T checked(String options, Supplier<T> made) {
    try {
      return made.get();
    } catch (PerformerException e) {
      throw new UsageException(options + ": " + e.getMessage());
    }
  }

  private int run(Benchmark<?> benchmark) {
    BenchmarkRun.Outcome outcome =
        new BenchmarkRun(folder, Duration.ofMinutes(timeout)).run(benchmark, new Lines());
    output.text().println(outcome.table());
    String files = outcome.files().stream().map(Path::toString).collect(Collectors.joining(", "));
    output.text().println("Written: " + files);
    output.printJson(outcome.json());
    return 0;
  }

  /** A line for every measurement, with the time that is left. */
  private static final class Lines implements BenchmarkRun.Listener {
    @Override
    public void starts(int measurements, Duration estimate) {
      System.err.printf("%d measurements, about %s on two cores%n", measurements, words(estimate));
    }

    @Override
    public void measured(String line, Duration left) {
      System.err.println(line + (left.toSeconds() < 1 ? "" : "; about " + words(left) + " left"));
    }

    private static String words(Duration time) {
      return time.toSeconds() < 100
          ? Math.max(1, time.toSeconds()) + " s"
          : Math.round(time.toSeconds() / 60.0) + " min";
    }
  }
}
