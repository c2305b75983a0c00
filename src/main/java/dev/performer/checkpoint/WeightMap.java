package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.data.Masking;
import dev.performer.data.NpyArray;
import dev.performer.data.Vocabulary;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.tensorflow.ndarray.Shape;

/** Which tensor of a file is which variable of ours; collects all that does not fit. */
final class WeightMap {
  /** How a tensor lies in its file. */
  enum Layout {
    /** As ours. */
    SAME,
    /** As ours, with dimensions of 1 in front. */
    LEADING_ONES,
    /** PyTorch's: dense kernels {@code [out, in]}, and heads not split. */
    LINEAR
  }

  private record Source(String tensor, WeightFile.Info info, Layout layout) {}

  private final WeightFile file;
  private final Map<String, Source> sources = new TreeMap<>();
  private final Map<String, NpyArray> given = new TreeMap<>();
  private final Set<String> left;
  private final List<String> problems = new ArrayList<>();
  private final List<String> notes = new ArrayList<>();

  WeightMap(WeightFile file) {
    this.file = file;
    this.left = new TreeSet<>(file.tensors().keySet());
  }

  Path path() {
    return file.path();
  }

  /** Notes that a tensor is a variable. */
  void put(String variable, String tensor, Layout layout) {
    left.remove(tensor);
    Source old = sources.put(variable, new Source(tensor, file.tensors().get(tensor), layout));
    if (old != null) {
      problems.add("both %s and %s are %s".formatted(old.tensor(), tensor, variable));
    }
  }

  /** Notes that a tensor is not needed. */
  void ignore(String tensor) {
    left.remove(tensor);
  }

  /** Tensors that nothing was noted of, which are not needed. */
  List<String> ignoreRest() {
    List<String> rest = List.copyOf(left);
    left.clear();
    return rest;
  }

  /** A value that the file does not have, or not as ours. */
  void give(String variable, NpyArray value) {
    given.put(variable, value);
  }

  /** A line about what was assumed. */
  void note(String line) {
    notes.add(line);
  }

  boolean has(String variable) {
    return sources.containsKey(variable);
  }

  /**
   * One dimension of a variable that a scheme cannot do without; dense kernels are {@code [in,
   * out]}.
   *
   * @param rank that the variable must have
   */
  int size(String variable, int rank, int dimension) {
    Source source = sources.get(variable);
    require(source != null, "%s: no tensor is %s, which this model needs", path(), variable);
    long[] shape = source.info().shape();
    if (source.layout() == Layout.LEADING_ONES) {
      shape = withoutLeadingOnes(shape, rank);
    } else if (source.layout() == Layout.LINEAR && shape.length == 2) {
      shape = new long[] {shape[1], shape[0]};
    }
    if (shape.length != rank || shape[dimension] < 1 || shape[dimension] > Integer.MAX_VALUE) {
      throw new PerformerException(
          "%s: %s has shape %s, expected %s dimensions of 1 or more"
              .formatted(path(), source.tensor(), Arrays.toString(shape), rank));
    }
    return (int) shape[dimension];
  }

  /** One more than the largest i in variables named {@code layer_<i>/…}. */
  int layers() {
    return sources.keySet().stream()
        .filter(name -> name.startsWith("layer_"))
        .mapToInt(name -> Integer.parseInt(name.substring(6, name.indexOf('/'))) + 1)
        .max()
        .orElse(0);
  }

  ModelWeights finish(String label, PerformerConfig config, ImportOptions options) {
    return finish(label, config, options, Optional.empty(), Optional.empty());
  }

  /**
   * Reads everything.
   *
   * @throws PerformerException that lists all that is missing, left over or mis-shaped, unless the
   *     options allow it: then notes list it, and what is missing gets initial values
   */
  ModelWeights finish(
      String label,
      PerformerConfig config,
      ImportOptions options,
      Optional<Vocabulary> vocabulary,
      Optional<Masking> masking) {
    Map<String, Shape> shapes = Performer.shapes(config);
    findProblems(shapes);
    if (!problems.isEmpty()) {
      if (!options.allowMissing()) {
        throw new PerformerException(
                "%s does not fit a model of the scheme %s, and missing weights were not allowed"
                    .formatted(path(), label),
                problems)
            .settledBy("allowMissing");
      }
      String all = String.join("; ", Excerpt.items(problems));
      note("what does not fit was left out or has initial values: " + all);
    }
    Map<String, NpyArray> weights = new LinkedHashMap<>();
    shapes.forEach((name, shape) -> weights.put(name, value(name, shape.asArray())));
    drawProjections(weights, config);
    noteNotFinite(weights);
    Optional<OptimizerState> optimizer = optimizer(weights);
    return new ModelWeights(label, config, weights, optimizer, vocabulary, masking, notes);
  }

  private void findProblems(Map<String, Shape> shapes) {
    List<String> missing = new ArrayList<>(); // behind what is there and wrong, as lists are cut
    shapes.forEach(
        (variable, s) -> {
          long[] shape = s.asArray();
          String expected = Arrays.toString(shape);
          Source source = sources.get(variable);
          NpyArray value = given.get(variable);
          if (source != null && isComplex(source)) {
            problems.add(
                "%s is %s, but %s is real"
                    .formatted(source.tensor(), source.info().type(), variable));
          } else if (source != null && !fits(source, shape)) {
            String found = Arrays.toString(source.info().shape());
            problems.add(
                "%s has shape %s, but %s has %s"
                    .formatted(source.tensor(), found, variable, expected));
          } else if (source == null && value != null && !Arrays.equals(value.shape(), shape)) {
            String found = Arrays.toString(value.shape());
            problems.add("%s became %s, expected %s".formatted(variable, found, expected));
          } else if (source == null && value == null && !isProjection(variable)) {
            missing.add("missing: " + variable + " " + expected);
          }
        });
    problems.addAll(missing);
    for (String variable : given.keySet()) {
      if (!shapes.containsKey(variable)) {
        problems.add("this model has no variable " + variable);
      }
    }
    sources.forEach(
        (variable, source) -> {
          if (!shapes.containsKey(variable)) {
            problems.add("this model has no " + variable + ": " + source.tensor());
          }
        });
    left.forEach(tensor -> problems.add("left over: " + tensor + " " + file.tensors().get(tensor)));
  }

  private static boolean isProjection(String variable) {
    return variable.endsWith("/projection");
  }

  private static boolean isComplex(Source source) {
    return source.info().type().startsWith("complex");
  }

  private static boolean fits(Source source, long[] shape) {
    long[] found = source.info().shape();
    if (isComplex(source)) {
      return false;
    }
    return switch (source.layout()) {
      case SAME -> Arrays.equals(found, shape);
      case LEADING_ONES -> Arrays.equals(withoutLeadingOnes(found, shape.length), shape);
      case LINEAR ->
          found.length == 1
              ? product(shape, 0, shape.length) == found[0]
              : found.length == 2
                  && IntStream.range(1, shape.length)
                      .anyMatch(
                          split ->
                              product(shape, 0, split) == found[1]
                                  && product(shape, split, shape.length) == found[0]);
    };
  }

  private static long product(long[] shape, int from, int to) {
    return Arrays.stream(shape, from, to).reduce(1, (a, b) -> a * b);
  }

  private static long[] withoutLeadingOnes(long[] shape, int rank) {
    long[] rest = shape;
    while (rest.length > rank && rest[0] == 1) {
      rest = Arrays.copyOfRange(rest, 1, rest.length);
    }
    return rest;
  }

  /** Null for a projection that is to be drawn. */
  private NpyArray value(String variable, long[] shape) {
    Source source = sources.get(variable);
    NpyArray value = given.get(variable);
    if (source != null && fits(source, shape)) {
      return laidOut(source, shape);
    } else if (source == null && value != null && Arrays.equals(value.shape(), shape)) {
      return value;
    }
    return isProjection(variable) ? null : initial(variable, shape);
  }

  private NpyArray laidOut(Source source, long[] shape) {
    NpyArray read = file.read(source.tensor());
    float[] values = read.floats();
    if (source.layout() == Layout.LINEAR && read.shape().length == 2) {
      int out = (int) read.shape()[0];
      int in = (int) read.shape()[1];
      float[] turned = new float[values.length];
      for (int i = 0; i < in; i++) {
        for (int o = 0; o < out; o++) {
          turned[i * out + o] = values[o * in + i];
        }
      }
      values = turned;
    }
    return NpyArray.of(values, shape);
  }

  /** What a new model would begin with: ones, zeros, or small normal numbers. */
  private static NpyArray initial(String variable, long[] shape) {
    float[] values = new float[Math.toIntExact(product(shape, 0, shape.length))];
    if (variable.endsWith("/scale")) {
      Arrays.fill(values, 1);
    } else if (!variable.endsWith("/bias")) {
      Random random = new Random(variable.hashCode());
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (0.02 * random.nextGaussian());
      }
    }
    return NpyArray.of(values, shape);
  }

  private void drawProjections(Map<String, NpyArray> weights, PerformerConfig config) {
    long absent = weights.values().stream().filter(Objects::isNull).count();
    if (absent == 0) {
      return;
    }
    Map<String, ProjectionMatrix> drawn = Performer.projections(config);
    weights.replaceAll(
        (name, value) -> {
          ProjectionMatrix p = drawn.get(name);
          return value != null ? value : NpyArray.of(p.values(), p.rows(), p.columns());
        });
    note(
        "projections are not in the file; %s were drawn anew as the attention entries of the configuration say: %s"
            .formatted(absent, config.toJson().path("attention")));
  }

  private void noteNotFinite(Map<String, NpyArray> weights) {
    List<String> bad = new ArrayList<>();
    weights.forEach(
        (name, value) -> {
          float[] x = value.floats();
          if (!IntStream.range(0, x.length).allMatch(i -> Float.isFinite(x[i]))) {
            bad.add(name);
          }
        });
    if (!bad.isEmpty()) {
      note("warning: NaN or infinite values in " + Excerpt.names(bad));
    }
  }

  private Optional<OptimizerState> optimizer(Map<String, NpyArray> weights) {
    Map<String, String> trained = new LinkedHashMap<>();
    for (String variable : weights.keySet()) {
      Source source = sources.get(variable);
      if (source != null && source.layout() != Layout.LINEAR) {
        trained.put(variable, source.tensor());
      } else if (!isProjection(variable)) {
        return Optional.empty(); // weights that the optimizer has not seen
      }
    }
    return new AdamMoments(file, notes::add).state(trained, weights);
  }
}
