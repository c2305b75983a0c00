package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.Attention;
import dev.performer.attention.Convention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.Threefry;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.Npz;
import dev.performer.graph.Tensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code attend}: one attention on arrays, to check us against any other implementation. */
@Command(
    name = "attend",
    description = {
      "Run one attention on arrays, forward and backward.",
      "",
      "In: q [B,L,H,D], k [B,S,H,D], v [B,S,H,V]; optional P [M,D] (one direction a row), mask [B,S] (1 = keep), g [B,L,H,V] (upstream gradient).",
      "Out, in float64 if an input is: out [B,L,H,V], P if one was used; with g also dq, dk, dv and, where P was given, dP."
    })
final class AttendCommand implements Callable<Integer> {
  private static final Set<String> KNOWN = Set.of("q", "k", "v", "P", "mask", "g");

  @Mixin private OutputOptions output;

  @Parameters(index = "0", paramLabel = "X.npz", description = "The arrays.")
  private Path inputs;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "Y.npz",
      description = "Where the results go.")
  private Path target;

  @Option(names = "--kernel", description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Kernel kernel = Kernel.DEFAULT;

  @Option(
      names = "--convention",
      completionCandidates = Conventions.class,
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Convention convention = Convention.PERFORMER;

  @Option(names = "--causal", description = "Position l attends to positions 0 ... l.")
  private boolean causal;

  @Option(names = "--exact", description = "Exact softmax attention instead of FAVOR+.")
  private boolean exact;

  @Option(
      names = "--chunk",
      description = "Chunk length of causal attention (default: chosen by M and V).")
  private Integer chunk;

  @Option(
      names = "--features",
      description =
          "M, the directions that are drawn, rows of P, where no P is given (default: 256 for softmax kernels, 0 = no projection for the others).")
  private Integer features;

  @Option(names = "--seed", description = "Seed of the projection (default: 0).")
  private Long seed;

  @Option(
      names = "--projection",
      description =
          "${COMPLETION-CANDIDATES} (default: orthogonal). Conventions draw what they can.")
  private Directions directions;

  @Option(
      names = "--lengths",
      description =
          "Lengths of the rows of P: ${COMPLETION-CANDIDATES}; chi is unbiased, sqrt-d regularised (default: chi).")
  private Lengths lengths;

  @Option(
      names = "--threefry",
      description =
          "JAX's random stream, convention google-jax: ${COMPLETION-CANDIDATES} (default: legacy).")
  private Threefry.Stream threefry;

  @Option(
      names = "--numerical-stabilizer",
      paramLabel = "X",
      description =
          "Google's argument of that name (default: the convention's): in its JAX code what guards the denominator and is added to softmax features, elsewhere what is added to features.")
  private Double numericalStabilizer;

  @Option(
      names = "--epsilon",
      paramLabel = "X",
      description =
          "What is added to features; kernel_epsilon in Google's JAX code (default: the convention's).")
  private Double epsilon;

  @Override
  public Integer call() {
    Map<String, NpyArray> arrays = Npz.read(inputs);
    check(arrays);
    Map<String, NpyArray> results = new LinkedHashMap<>();
    FavorConfig favor = exact ? null : favor(arrays);
    NpyArray projection = exact ? null : projection(arrays, favor);
    long start = System.nanoTime();
    boolean isWide = arrays.values().stream().anyMatch(a -> a.type() == NpyType.FLOAT64);
    if (isWide) {
      attend(TFloat64.class, arrays, favor, projection, results);
    } else {
      attend(TFloat32.class, arrays, favor, projection, results);
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    if (projection != null) {
      results.put("P", projection);
    }
    Npz.write(target, results);
    warnOfInfinities(arrays, results);
    for (Map.Entry<String, NpyArray> e : results.entrySet()) {
      output.text().println(e.getKey() + " " + e.getValue());
    }
    output.text().println("Written: " + target);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("output", target.toString());
    json.put("seconds", seconds);
    results.forEach((name, array) -> json.put(name, array.shape()));
    output.printJson(json);
    return 0;
  }

  private void warnOfInfinities(Map<String, NpyArray> arrays, Map<String, NpyArray> results) {
    List<String> wrong = notFinite(results);
    if (!wrong.isEmpty()) {
      List<String> given = notFinite(arrays);
      System.err.println(
          "Warning: NaN or infinite numbers in "
              + String.join(", ", wrong)
              + (given.isEmpty()
                  ? "; the inputs are finite: they are too large, or a denominator is 0"
                  : ", as in the inputs " + String.join(", ", given) + " of " + inputs));
    }
  }

  private static List<String> notFinite(Map<String, NpyArray> arrays) {
    return arrays.entrySet().stream()
        .filter(e -> Arrays.stream(e.getValue().doubles()).anyMatch(x -> !Double.isFinite(x)))
        .map(Map.Entry::getKey)
        .sorted()
        .toList();
  }

  /** Names, ranks and sizes, so that what TensorFlow gets fits together. */
  private void check(Map<String, NpyArray> arrays) {
    for (String name : arrays.keySet()) {
      if (!KNOWN.contains(name)) {
        throw new PerformerException(
            inputs + ": unknown array '" + name + "'; known are q, k, v, P, mask, g");
      }
    }
    long[] q = shape(arrays, "q", 4, null);
    long[] k = shape(arrays, "k", 4, new long[] {q[0], -1, q[2], q[3]});
    long[] v = shape(arrays, "v", 4, new long[] {q[0], k[1], q[2], -1});
    if (arrays.containsKey("P")) {
      shape(arrays, "P", 2, new long[] {-1, q[3]});
    }
    if (arrays.containsKey("mask")) {
      shape(arrays, "mask", 2, new long[] {q[0], k[1]});
    }
    if (arrays.containsKey("g")) {
      shape(arrays, "g", 4, new long[] {q[0], q[1], q[2], v[3]});
    }
    if (Arrays.stream(q).anyMatch(d -> d == 0) || Arrays.stream(v).anyMatch(d -> d == 0)) {
      throw new PerformerException(
          inputs
              + ": q "
              + Arrays.toString(q)
              + " and v "
              + Arrays.toString(v)
              + " must not be empty");
    }
    if (exact && arrays.containsKey("P")) {
      throw new PerformerException(
          inputs + ": --exact takes no projection P; remove it or leave out --exact");
    }
  }

  /** The shape of a float array; {@code expected} has -1 where any size will do. */
  private long[] shape(Map<String, NpyArray> arrays, String name, int rank, long[] expected) {
    NpyArray array = arrays.get(name);
    if (array == null) {
      throw new PerformerException(
          inputs + ": no array '" + name + "'; q, k and v are needed, found " + arrays.keySet());
    }
    boolean mask = name.equals("mask");
    if (!mask && array.type() != NpyType.FLOAT32 && array.type() != NpyType.FLOAT64) {
      throw new PerformerException(
          inputs + ": array '" + name + "' is " + array.type().label() + "; expected float32");
    }
    long[] shape = array.shape();
    boolean fits = shape.length == rank;
    for (int i = 0; fits && expected != null && i < rank; i++) {
      fits = expected[i] < 0 || expected[i] == shape[i];
    }
    if (!fits) {
      String want =
          expected == null ? "[B, L, H, D]" : Arrays.toString(expected).replace("-1", "any");
      throw new PerformerException(
          inputs
              + ": array '"
              + name
              + "' has shape "
              + Arrays.toString(shape)
              + "; expected "
              + want);
    }
    return shape;
  }

  private FavorConfig favor(Map<String, NpyArray> arrays) {
    NpyArray given = arrays.get("P");
    return FavorConfig.builder()
        .kernel(kernel)
        .convention(convention)
        .causal(causal)
        .chunk(chunk)
        .features(given == null ? features : Integer.valueOf((int) given.shape()[0]))
        .directions(directions)
        .lengths(lengths)
        .threefry(threefry)
        .seed(seed)
        .numericalStabilizer(numericalStabilizer)
        .epsilon(epsilon)
        .build();
  }

  private static NpyArray projection(Map<String, NpyArray> arrays, FavorConfig favor) {
    if (arrays.containsKey("P")) {
      return arrays.get("P");
    }
    int headSize = Math.toIntExact(arrays.get("q").shape()[3]);
    try {
      return favor.draw(headSize).map(p -> NpyArray.of(p.values(), p.shape())).orElse(null);
    } catch (PerformerException e) {
      throw new UsageException(e.getMessage() + "; or give P");
    }
  }

  private <T extends TFloating> void attend(
      Class<T> type,
      Map<String, NpyArray> arrays,
      FavorConfig favor,
      NpyArray projection,
      Map<String, NpyArray> results) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Map<String, Operand<T>> in = new LinkedHashMap<>();
      Map<String, NpyArray> feeds = new LinkedHashMap<>(arrays);
      if (projection != null) {
        feeds.put("P", projection);
      }
      feeds.forEach(
          (name, array) ->
              in.put(name, tf.placeholder(type, Placeholder.shape(Shape.of(array.shape())))));
      Operand<T> out =
          attention(favor, in.get("P"))
              .attendPositionsFirst(tf, in.get("q"), in.get("k"), in.get("v"), in.get("mask"));
      Map<String, Output<?>> fetches = new LinkedHashMap<>();
      fetches.put("out", out.asOutput());
      if (in.containsKey("g")) {
        List<String> names =
            arrays.containsKey("P") ? List.of("q", "k", "v", "P") : List.of("q", "k", "v");
        Output<?>[] x = names.stream().map(n -> in.get(n).asOutput()).toArray(Output<?>[]::new);
        Output<?>[] dx =
            graph.addGradients(
                "gradients",
                new Output<?>[] {out.asOutput()},
                x,
                new Output<?>[] {in.get("g").asOutput()});
        for (int i = 0; i < dx.length; i++) {
          fetches.put("d" + names.get(i), dx[i]);
        }
      }
      run(session, type, in, feeds, fetches, results);
    }
  }

  private Attention attention(FavorConfig favor, Operand<? extends TNumber> projection) {
    if (exact) {
      return new ExactAttention(causal);
    }
    return projection == null ? FavorAttention.of(favor) : FavorAttention.of(favor, projection);
  }

  private static <T extends TFloating> void run(
      Session session,
      Class<T> type,
      Map<String, Operand<T>> in,
      Map<String, NpyArray> feeds,
      Map<String, Output<?>> fetches,
      Map<String, NpyArray> results) {
    boolean isWide = type == TFloat64.class;
    Session.Runner runner = session.runner();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try {
      feeds.forEach(
          (name, array) ->
              tensors.put(
                  name,
                  isWide
                      ? Tensors.of(array.doubles(), array.shape())
                      : Tensors.of(array.floats(), array.shape())));
      tensors.forEach((name, tensor) -> runner.feed(in.get(name), tensor));
      fetches.values().forEach(runner::fetch);
      try (Result result = runner.run()) {
        int i = 0;
        for (String name : fetches.keySet()) {
          Tensor tensor = result.get(i++);
          long[] shape = tensor.shape().asArray();
          results.put(
              name,
              isWide
                  ? NpyArray.of(Tensors.doubles(tensor), shape)
                  : NpyArray.of(Tensors.floats(tensor), shape));
        }
      }
    } finally {
      tensors.values().forEach(Tensor::close);
    }
  }

  /** The labels of all conventions. */
  static final class Conventions implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return Convention.labels().iterator();
    }
  }
}
