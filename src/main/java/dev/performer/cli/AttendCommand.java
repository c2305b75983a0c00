package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.Attention;
import dev.performer.attention.Convention;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.Npz;
import dev.performer.graph.Tensors;
import java.nio.file.Path;
import java.util.Arrays;
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
      "In: q [B,L,H,D], k [B,S,H,D], v [B,S,H,V]; optional P [M,D], mask [B,S] (1 = keep), g [B,L,H,V] (upstream gradient).",
      "Out: out [B,L,H,V], P if one was used; with g also dq, dk, dv and, where P was given, dP."
    })
final class AttendCommand implements Callable<Integer> {
  private static final Set<String> KNOWN = Set.of("q", "k", "v", "P", "mask", "g");

  @Mixin private OutputOptions output;
  @Mixin private ProjectionOptions projectionOptions;

  @Parameters(index = "0", paramLabel = "X.npz", description = "The arrays.")
  private Path inputs;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "Y.npz",
      description = "Where the results go.")
  private Path target;

  @Option(
      names = "--kernel",
      defaultValue = "softmax",
      description =
          "softmax, hyperbolic, trigonometric, favor++, expmod, relu, elu, square, exp, identity, gelu, tanh, sigmoid, cos, sin, abs, requ, shifted-elu (default: ${DEFAULT-VALUE}).")
  private Kernel kernel;

  @Option(
      names = "--convention",
      defaultValue = "performer",
      description = "performer, google-tf, google-jax or model-garden (default: ${DEFAULT-VALUE}).")
  private Convention convention;

  @Option(names = "--causal", description = "Position l attends to positions 0 ... l.")
  private boolean causal;

  @Option(names = "--exact", description = "Exact softmax attention instead of FAVOR+.")
  private boolean exact;

  @Option(
      names = "--chunk",
      defaultValue = "0",
      description = "Chunk length of causal attention (default: chosen by M and V).")
  private int chunk;

  @Override
  public Integer call() {
    Map<String, NpyArray> arrays = Npz.read(inputs);
    check(arrays);
    Map<String, NpyArray> results = new LinkedHashMap<>();
    NpyArray projection = exact ? null : projection(arrays);
    long start = System.nanoTime();
    attend(arrays, projection, results);
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

  private NpyArray projection(Map<String, NpyArray> arrays) {
    NpyArray given = arrays.get("P");
    if (given != null) {
      return NpyArray.of(given.floats(), given.shape());
    }
    int headSize = Math.toIntExact(arrays.get("q").shape()[3]);
    return projectionOptions.draw(kernel, convention, headSize);
  }

  private void attend(
      Map<String, NpyArray> arrays, NpyArray projection, Map<String, NpyArray> results) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Map<String, Operand<TFloat32>> in = new LinkedHashMap<>();
      Map<String, NpyArray> feeds = new LinkedHashMap<>(arrays);
      if (projection != null) {
        feeds.put("P", projection);
      }
      feeds.forEach(
          (name, array) ->
              in.put(
                  name,
                  tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(array.shape())))));
      Operand<TFloat32> out =
          attention(in.get("P"))
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
      run(session, in, feeds, fetches, results);
    }
  }

  private Attention attention(Operand<TFloat32> projection) {
    if (exact) {
      return new ExactAttention(causal);
    }
    FavorConfig config =
        FavorConfig.of(kernel).withConvention(convention).withCausal(causal).withChunk(chunk);
    return projection == null
        ? FavorAttention.of(config.withFeatures(0))
        : FavorAttention.of(config, projection);
  }

  private static void run(
      Session session,
      Map<String, Operand<TFloat32>> in,
      Map<String, NpyArray> feeds,
      Map<String, Output<?>> fetches,
      Map<String, NpyArray> results) {
    Session.Runner runner = session.runner();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try {
      feeds.forEach((name, array) -> tensors.put(name, Tensors.of(array.floats(), array.shape())));
      tensors.forEach((name, tensor) -> runner.feed(in.get(name), tensor));
      fetches.values().forEach(runner::fetch);
      try (Result result = runner.run()) {
        int i = 0;
        for (String name : fetches.keySet()) {
          Tensor tensor = result.get(i++);
          results.put(name, NpyArray.of(Tensors.floats(tensor), tensor.shape().asArray()));
        }
      }
    } finally {
      tensors.values().forEach(Tensor::close);
    }
  }
}
