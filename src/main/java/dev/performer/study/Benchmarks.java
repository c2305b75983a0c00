package dev.performer.study;

import com.fasterxml.jackson.annotation.JsonValue;
import dev.performer.PerformerException;
import dev.performer.study.TrainingBenchmark.Compute;
import dev.performer.training.Memory;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** All benchmarks, by name. A new one is one constant here. */
public enum Benchmarks {
  /** Attention alone over the length: the paper's figure 3. */
  ATTENTION(
      "attention alone, forward and with gradients",
      new Defaults(8, 64, 256, List.of(512, 1024, 2048, 4096, 8192, 16384)),
      s -> new AttentionBenchmark(s.size(), s.lengths(), s.attentions())),
  /** Parts of a layer. */
  LAYERS(
      "the parts of a Transformer's layer, forward and with gradients",
      new Defaults(4, 64, 128, List.of(1024, 4096)),
      s -> new LayerBenchmark(s.size(), s.lengths())),
  /** Whole encoders, forward. */
  ENCODER(
      "the hidden states of a whole encoder, by attention",
      new Defaults(12, 32, 256, List.of(2048)),
      s -> new EncoderBenchmark(s.size(), s.lengths(), s.attentions(), s.layers())),
  /** Whole training steps. */
  TRAIN(
      "training steps of a causal language model of 4 layers",
      new Defaults(4, 64, 128, List.of(1024, 4096)),
      s -> new TrainingBenchmark(s.size(), s.lengths(), s.attentions(), s.computes())),
  /** Memory of training steps. */
  LENGTH(
      "training steps on long sequences, by what they keep of the forward pass",
      new Defaults(8, 64, 256, List.of(4096, 16384, 65536)),
      s -> new LengthBenchmark(s.size(), s.lengths(), s.attentions(), s.layers(), s.memories())),
  /** Decoding token by token. */
  GENERATE(
      "a token by the recurrent form against computing the whole prefix again",
      new Defaults(8, 64, 256, List.of(128, 256, 512, 1024)),
      s -> new GenerationBenchmark(s.size(), s.lengths(), s.attentions(), s.computes())),
  /** Models into graphs. */
  IMPORT(
      "a model's way into a session and into a trainable graph",
      new Defaults(4, 64, 128, List.of()),
      s -> new ImportBenchmark(s.size(), List.of(2, 12))),
  /** Commands from their start to their end. */
  START_UP(
      "commands from their start to their end",
      new Defaults(4, 32, 64, List.of()),
      s -> new StartBenchmark(s.size(), s.commands().program(), s.commands().started())),
  /** A server under load. */
  SERVE(
      "a server under load from another process",
      new Defaults(4, 32, 64, List.of()),
      s ->
          new ServingBenchmark(
              s.size(), s.seconds(), s.commands().serve(), s.commands().unbatched())),
  /** Commands on files of rows. */
  ROWS(
      "embed, score and predict on a file of rows",
      new Defaults(4, 32, 64, List.of()),
      s -> new RowsBenchmark(s.size(), s.rows(), s.commands().onRows(), s.commands().alone()));

  private final String description;
  private final Defaults defaults;
  private final Function<Settings, Benchmark<?>> made;

  Benchmarks(String description, Defaults defaults, Function<Settings, Benchmark<?>> made) {
    this.description = description;
    this.defaults = defaults;
    this.made = made;
  }

  /** What a benchmark takes where nothing is chosen. */
  private record Defaults(int heads, int headSize, int features, List<Integer> lengths) {}

  /**
   * How the command line is called, which is above this room: main classes or files of programs,
   * and arguments.
   *
   * @param program what runs a command whose arguments follow
   * @param started commands whose start is measured, as {@link RowsBenchmark} has them
   * @param serve a server, the port being {@link ServingBenchmark#PORT}
   * @param unbatched more arguments, for a server that runs each call alone
   * @param onRows commands on rows, as {@link RowsBenchmark} has them
   * @param alone more arguments, for rows that run alone
   */
  public record Commands(
      List<String> program,
      List<List<String>> started,
      List<String> serve,
      List<String> unbatched,
      List<List<String>> onRows,
      List<String> alone) {}

  /** What is chosen; null for the benchmark's own. */
  public record Choice(
      int batch,
      Integer heads,
      Integer headSize,
      Integer features,
      List<Integer> lengths,
      List<BenchmarkedAttention> attentions,
      List<Compute> computes,
      List<Memory> memories,
      int layers,
      double seconds,
      int rows,
      Commands commands) {}

  /** A choice with the defaults of a benchmark. */
  private record Settings(Choice choice, Benchmark.Size size, List<Integer> lengths) {
    List<BenchmarkedAttention> attentions() {
      return choice.attentions;
    }

    List<Compute> computes() {
      return choice.computes;
    }

    List<Memory> memories() {
      return choice.memories;
    }

    int layers() {
      return choice.layers;
    }

    double seconds() {
      return choice.seconds;
    }

    int rows() {
      return choice.rows;
    }

    Commands commands() {
      return choice.commands;
    }
  }

  /** By {@link #label}, in letters of any case. */
  public static Benchmarks of(String name) {
    String wanted = name.toLowerCase(Locale.ROOT);
    return Arrays.stream(values())
        .filter(b -> b.label().equals(wanted))
        .findFirst()
        .orElseThrow(
            () ->
                new PerformerException(
                    "there is no benchmark %s; there are %s".formatted(name, names())));
  }

  /** Of all. */
  public static String names() {
    return Stream.of(values()).map(Benchmarks::label).collect(Collectors.joining(", "));
  }

  /** Its name in commands. */
  @JsonValue
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** What it measures. */
  public String description() {
    return description;
  }

  /** The sizes that all cases have. @throws PerformerException for sizes below 1 */
  public Benchmark.Size size(Choice choice) {
    return new Benchmark.Size(
        choice.batch,
        choice.heads != null ? choice.heads : defaults.heads,
        choice.headSize != null ? choice.headSize : defaults.headSize,
        choice.features != null ? choice.features : defaults.features);
  }

  /** Plans it. @throws PerformerException if what is chosen does not go together */
  public Benchmark<?> plan(Choice choice) {
    var lengths = choice.lengths != null ? choice.lengths : defaults.lengths;
    return made.apply(new Settings(choice, size(choice), lengths));
  }
}
