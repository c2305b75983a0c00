package dev.performer.cli;

import static java.util.stream.Collectors.joining;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Threefry;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.pipeline.AttentionRun;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "attend",
    description = {
      "Run one attention on arrays, forward and backward.",
      "",
      "In: q [B,L,H,D], k [B,S,H,D], v [B,S,H,V]; optional P [M,D] (one direction a row), mask [B,S] (1 = keep), g [B,L,H,V] (upstream gradient).",
      "Out, in float64 if an input is: out [B,L,H,V], P if one was used; with g also dq, dk, dv and, where P was given, dP."
    })
final class AttendCommand extends PerformerCommand {
  @Mixin private SharedOptions.Favor options;

  @Parameters(index = "0", paramLabel = "X.npz", description = "The arrays.")
  private Path inputs;

  @Option(names = "--output", required = true, description = "Y.npz, for the results.")
  private Path target;

  @Option(names = "--convention", description = "performer, google-tf, google-jax, model-garden.")
  private Convention convention = Convention.PERFORMER;

  @Option(names = "--causal", description = "Position l attends to positions 0 ... l.")
  private boolean causal;

  @Option(names = "--exact", description = "Exact softmax attention instead of FAVOR+.")
  private boolean exact;

  @Option(names = "--chunk", description = "Length of causal chunks (default: chosen by M and V).")
  private Integer chunk;

  @Option(names = "--projection", description = "orthogonal or iid (default: orthogonal).")
  private Directions directions;

  @Option(names = "--threefry", description = "JAX's: legacy or partitionable (default: legacy).")
  private Threefry.Stream threefry;

  @Option(
      names = "--numerical-stabilizer",
      description =
          "Google's argument of that name (default: the convention's): in its JAX code what guards the denominator and is added to softmax features, elsewhere what is added to features.")
  private Double numericalStabilizer;

  @Option(
      names = "--epsilon",
      description = "Added to features; kernel_epsilon in JAX (default: the convention's).")
  private Double epsilon;

  @Override
  public Integer call() {
    Map<String, NpyArray> arrays = Npz.read(inputs);
    long start = System.nanoTime();
    Map<String, NpyArray> results = attend(arrays);
    double seconds = (System.nanoTime() - start) / 1e9;
    warnOfInfinities(arrays, results);
    write(target, results);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("output", target);
    json.put("seconds", seconds);
    results.forEach((name, array) -> json.put(name, array.shape()));
    return done(json);
  }

  private Map<String, NpyArray> attend(Map<String, NpyArray> arrays) {
    var attention = exact ? AttentionRun.exact(causal) : AttentionRun.favor(favor());
    try {
      return attention.run(arrays);
    } catch (PerformerException e) {
      throw e.settings().contains(AttentionRun.PROJECTION)
          ? new UsageException(e.getMessage())
          : e.in(inputs);
    }
  }

  private FavorConfig favor() {
    var others =
        FavorConfig.builder()
            .kernel(Kernel.DEFAULT)
            .convention(convention)
            .causal(causal)
            .chunk(chunk)
            .directions(directions)
            .threefry(threefry)
            .numericalStabilizer(numericalStabilizer)
            .epsilon(epsilon);
    return options.given().over(others).build();
  }

  private void warnOfInfinities(Map<String, NpyArray> arrays, Map<String, NpyArray> results) {
    String wrong = notFinite(results);
    if (!wrong.isEmpty()) {
      String given = notFinite(arrays);
      String why =
          given.isEmpty()
              ? "; the inputs are finite: they are too large, or a denominator is 0"
              : ", as in the inputs %s of %s".formatted(given, inputs);
      System.err.println("Warning: NaN or infinite numbers in " + wrong + why);
    }
  }

  private static String notFinite(Map<String, NpyArray> arrays) {
    return arrays.keySet().stream()
        .filter(name -> !Arrays.stream(arrays.get(name).doubles()).allMatch(Double::isFinite))
        .sorted()
        .collect(joining(", "));
  }
}
