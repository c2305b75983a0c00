package dev.performer.cli;

import static java.util.stream.Collectors.joining;

import dev.performer.PerformerException;
import dev.performer.study.AttentionBenchmark;
import dev.performer.study.Benchmark;
import dev.performer.study.BenchmarkedAttention;
import dev.performer.study.GenerationBenchmark;
import dev.performer.study.RowsBenchmark;
import dev.performer.study.ServingBenchmark;
import dev.performer.study.TrainingBenchmark;
import dev.performer.study.TrainingBenchmark.Compute;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * {@code bench}: time and memory of FAVOR+ against exact softmax attention (the paper's figure 3).
 */
@Command(
    name = "bench",
    description = "Measure time and peak memory of attention against exact softmax attention.")
final class BenchCommand extends PerformerCommand {
  @Option(
      names = "--train",
      description =
          "Measure training steps of a causal language model of 4 layers by heads × head size (default: 4 × 64).")
  private boolean train;

  @Option(
      names = "--compute",
      split = ",",
      description = "With --train: PLAIN, XLA (the step compiled), BFLOAT16 (dense layers).")
  private List<Compute> computes = List.of(Compute.PLAIN);

  @Option(
      names = "--lengths",
      split = ",",
      description =
          "Sequence lengths (default: 512,1024,2048,4096,8192,16384; with --train 1024,4096; with --generate 128,256,512,1024, of which the largest is generated).")
  private List<Integer> lengths;

  @Option(
      names = "--generate",
      description =
          "Measure generation in place of attention: a token by the recurrent form against computing the whole prefix again (a causal model of 4 layers as wide as heads × head size).")
  private boolean generate;

  @Option(
      names = "--serve",
      description =
          "Measure a server under load from another process: requests and tokens a second by clients, with batching and without; far positions, known prefixes, open sessions.")
  private boolean serve;

  @Option(
      names = "--rows",
      paramLabel = "N",
      description =
          "Measure embed, score and predict on a file of N rows, as they come and each row alone.")
  private Integer rows;

  @Option(names = "--seconds", description = "With --serve: how long each load is measured.")
  private double seconds = 8;

  @Option(names = "--batch", description = "Batch size B.")
  private int batch = 1;

  @Option(
      names = "--heads",
      description = "Heads H (default: 8; with --train, --serve and --rows 4).")
  private Integer heads;

  @Option(
      names = "--head-size",
      description = "Head size D (default: 64; with --serve and --rows 32).")
  private Integer headSize;

  @Option(
      names = "--features",
      description = "M, directions (default: 256; with --train 128, with --serve and --rows 64).")
  private Integer features;

  @Option(names = "--attention", split = ",", description = "exact, or kernels of FAVOR+.")
  private List<BenchmarkedAttention> attentions = BenchmarkedAttention.DEFAULTS;

  @Option(names = "--output", description = "Folder for bench.json, bench.md and bench.png.")
  private Path folder = Path.of("build/bench");

  @Option(names = "--timeout", description = "Minutes of a measurement; longer ones are left out.")
  private int timeout = 10;

  @Override
  public Integer call() {
    requireUsage(timeout >= 1, "--timeout must be at least 1, not %d", timeout);
    var outcome = benchmark().run(folder, Duration.ofMinutes(timeout), new Lines());
    print(outcome.table());
    print("Written: " + outcome.files().stream().map(Path::toString).collect(joining(", ")));
    return done(outcome.json());
  }

  private Benchmark<?> benchmark() {
    int kinds = (train ? 1 : 0) + (generate ? 1 : 0) + (serve ? 1 : 0) + (rows != null ? 1 : 0);
    requireUsage(kinds <= 1, "--train, --generate, --serve and --rows exclude each other");
    requireUsage(train || computes.equals(List.of(Compute.PLAIN)), "--compute needs --train");
    boolean isSmall = serve || rows != null;
    int h = heads != null ? heads : train || isSmall ? 4 : 8;
    int m = features != null ? features : train ? 128 : isSmall ? 64 : 256;
    int d = headSize != null ? headSize : isSmall ? 32 : 64;
    Benchmark.Size size =
        checked(
            "--batch, --heads, --head-size, --features", () -> new Benchmark.Size(batch, h, d, m));
    if (rows != null) {
      String main = Main.class.getName();
      var arguments = List.of(RowsBenchmark.MODEL, "--data", RowsBenchmark.INPUT);
      var commands =
          Stream.of("embed", "score", "predict")
              .map(
                  name ->
                      Stream.of(
                              List.of(main, name),
                              arguments,
                              List.of("--output", RowsBenchmark.OUTPUT))
                          .flatMap(List::stream)
                          .toList())
              .toList();
      return checked(
          "--rows", () -> new RowsBenchmark(size, rows, commands, List.of("--batch", "1")));
    }
    if (serve) {
      String port = ServingBenchmark.PORT;
      var server = List.of(Main.class.getName(), "serve", "--no-grpc", "--port", port);
      return new ServingBenchmark(size, seconds, server, List.of("--no-batching"));
    }
    return checked(
        generate ? "--generate, --lengths" : "--lengths",
        () ->
            train
                ? new TrainingBenchmark(size, lengths(1024, 4096), attentions, computes)
                : generate
                    ? new GenerationBenchmark(size, lengths(128, 256, 512, 1024), attentions)
                    : new AttentionBenchmark(
                        size, lengths(512, 1024, 2048, 4096, 8192, 16384), attentions));
  }

  private List<Integer> lengths(Integer... usual) {
    return lengths != null ? lengths : List.of(usual);
  }

  private static <T> T checked(String options, Supplier<T> made) {
    try {
      return made.get();
    } catch (PerformerException e) {
      throw new UsageException(options + ": " + e.getMessage());
    }
  }

  /** A line for every measurement, with the time that is left. */
  private static final class Lines implements Benchmark.Listener {
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
