package dev.performer.cli;

import static java.util.stream.Collectors.joining;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.attention.MachineTuning;
import dev.performer.study.Benchmark;
import dev.performer.study.BenchmarkedAttention;
import dev.performer.study.Benchmarks;
import dev.performer.study.Rounds;
import dev.performer.study.RowsBenchmark;
import dev.performer.study.ServingBenchmark;
import dev.performer.study.TrainingBenchmark.Compute;
import dev.performer.study.TuningBenchmark;
import dev.performer.training.Memory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * {@code bench}: time and memory of FAVOR+ against exact softmax attention (the paper's figure 3).
 */
@Command(
    name = "bench",
    description = "Measure time and peak memory of attention against exact softmax attention.")
final class BenchCommand extends PerformerCommand {
  private static final int DEFAULT_ROWS = 2000;

  /** Names of benchmarks, from their registry. */
  private static final class Names extends ArrayList<String> {
    private static final long serialVersionUID = 1;

    Names() {
      super(Stream.of(Benchmarks.values()).map(Benchmarks::label).toList());
    }
  }

  @Parameters(
      paramLabel = "NAME",
      arity = "0..*",
      completionCandidates = Names.class,
      description = "What to measure: ${COMPLETION-CANDIDATES} (default: attention).")
  private List<String> names = List.of();

  @Option(
      names = "--train",
      description =
          "Measure training steps of a causal language model of 4 layers by heads × head size (default: 4 × 64).")
  private boolean train;

  @Option(
      names = "--compute",
      split = ",",
      description =
          "With --train: PLAIN, XLA (the step compiled), BFLOAT16 (dense layers); with --generate PLAIN, BFLOAT16 (weights of the export).")
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

  @Option(
      names = "--attention",
      split = ",",
      description =
          "exact, reformer, linformer, or kernels of FAVOR+; KERNEL+16 has a window of 16 keys on each side, and the first key as a sink.")
  private List<BenchmarkedAttention> attentions = BenchmarkedAttention.DEFAULTS;

  @Option(
      names = "--memory",
      split = ",",
      description = "Of length: PLAIN, RECOMPUTE, SEGMENTS (default: all).")
  private List<Memory> memories = List.of(Memory.values());

  @Option(names = "--layers", description = "Of length and encoder: layers of the model.")
  private int layers = 6;

  @Option(names = "--output", description = "Folder for bench.json, bench.md and bench.png.")
  private Path folder = Path.of("build/bench");

  @Option(names = "--timeout", description = "Minutes of a measurement; longer ones are left out.")
  private int timeout = 10;

  @Option(
      names = "--rounds",
      description = "How often cases take turns that are open at the same time.")
  private int rounds = Rounds.DEFAULT.most();

  @Option(
      names = "--profile",
      description =
          "Trace the ops in place of timing: which kinds of ops take the time, and the dearest nodes.")
  private boolean profile;

  @Option(
      names = "--against",
      paramLabel = "FILE",
      description =
          "Compare with the .json file of an earlier run of the same cases; differences beyond the noise of the runs are named.")
  private Path against;

  @Option(
      names = "--tune",
      description =
          "Find the fastest chunk lengths of causal attention and number of threads, and keep them for this machine in the user's cache folder; models use them from then on (rounding changes, results do not).")
  private boolean tune;

  @Override
  public Integer call() {
    if (tune) {
      return tuned();
    }
    requireUsage(timeout >= 1, "--timeout must be at least 1, not %d", timeout);
    var taken = checked("--rounds", () -> new Rounds(rounds, Rounds.DEFAULT.seconds()));
    Duration limit = Duration.ofMinutes(timeout);
    ObjectNode all = JsonNodeFactory.instance.objectNode();
    List<Benchmarks> chosen = chosen();
    boolean isOne = against == null || chosen.size() == 1 && !profile;
    requireUsage(isOne, "--against compares one benchmark's times");
    Map<Benchmarks, Benchmark<?>> planned = new LinkedHashMap<>();
    chosen.forEach(one -> planned.put(one, planned(one)));
    for (var entry : planned.entrySet()) {
      var benchmark = entry.getValue();
      var lines = new Lines();
      var outcome =
          profile
              ? benchmark.profile(folder, limit, lines)
              : benchmark.run(folder, limit, taken, against, lines);
      print(outcome.table());
      print("Written: " + outcome.files().stream().map(Path::toString).collect(joining(", ")));
      all.set(entry.getKey().label(), outcome.json());
    }
    return done(all.size() == 1 ? all.get(chosen.get(0).label()) : all);
  }

  private int tuned() {
    requireUsage(names.isEmpty() && against == null && !profile, "--tune goes alone");
    Path file = MachineTuning.file();
    requireUsage(file != null, "-D%s=none wants no tuning", MachineTuning.PROPERTY);
    var taken = checked("--rounds", () -> new Rounds(rounds, Rounds.DEFAULT.seconds()));
    var benchmark = TuningBenchmark.USUAL;
    var outcome = benchmark.run(folder, Duration.ofMinutes(timeout), taken, null, new Lines());
    TuningBenchmark.keep(outcome, file);
    print(outcome.table());
    print("Written: " + file);
    return done(outcome.json());
  }

  /** Those of names, or of a flag. */
  private List<Benchmarks> chosen() {
    var named = checked("NAME", () -> names.stream().map(Benchmarks::of).distinct().toList());
    List<Benchmarks> flags = new ArrayList<>();
    if (train) {
      flags.add(Benchmarks.TRAIN);
    }
    if (generate) {
      flags.add(Benchmarks.GENERATE);
    }
    if (serve) {
      flags.add(Benchmarks.SERVE);
    }
    if (rows != null && !named.contains(Benchmarks.ROWS)) {
      flags.add(Benchmarks.ROWS);
    }
    requireUsage(
        flags.size() <= 1 && (flags.isEmpty() || named.isEmpty()),
        "--train, --generate, --serve and --rows exclude each other%s",
        named.isEmpty() ? "" : ", and names of benchmarks");
    List<Benchmarks> chosen = named.isEmpty() ? flags : named;
    chosen = chosen.isEmpty() ? List.of(Benchmarks.ATTENTION) : chosen;
    boolean computesDiffer =
        chosen.contains(Benchmarks.TRAIN) || chosen.contains(Benchmarks.GENERATE);
    requireUsage(
        computesDiffer || computes.equals(List.of(Compute.PLAIN)),
        "--compute needs --train or --generate, or train or generate");
    return chosen;
  }

  private Benchmark<?> planned(Benchmarks of) {
    var choice =
        new Benchmarks.Choice(
            batch,
            heads,
            headSize,
            features,
            lengths,
            attentions,
            computes,
            memories,
            layers,
            seconds,
            rows == null ? DEFAULT_ROWS : rows,
            commands());
    checked("--batch, --heads, --head-size, --features", () -> of.size(choice));
    String options =
        switch (of) {
          case GENERATE -> "--generate, --lengths, --compute";
          case ROWS -> "--rows";
          default -> "--lengths";
        };
    return checked(options, () -> of.plan(choice));
  }

  private static Benchmarks.Commands commands() {
    String main = Main.class.getName();
    Path launcher = home().resolve("performer");
    List<String> java =
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
            "-cp",
            System.getProperty("java.class.path"),
            main);
    boolean isLaunched =
        System.getProperty("performer.home") != null && Files.isExecutable(launcher);
    return new Benchmarks.Commands(
        isLaunched ? List.of(launcher.toString()) : java,
        List.of(
            List.of("--version"),
            List.of("--help"),
            List.of("inspect", RowsBenchmark.MODEL),
            onRows("predict")),
        List.of(main, "serve", "--no-grpc", "--port", ServingBenchmark.PORT),
        List.of("--no-batching"),
        Stream.of("embed", "score", "predict")
            .map(name -> Stream.concat(Stream.of(main), onRows(name).stream()).toList())
            .toList(),
        List.of("--batch", "1"));
  }

  private static List<String> onRows(String command) {
    return List.of(
        command,
        RowsBenchmark.MODEL,
        "--data",
        RowsBenchmark.INPUT,
        "--output",
        RowsBenchmark.OUTPUT);
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
