package dev.performer.checkpoint;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
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

  private record Source(String tensor, Layout layout) {}

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

  /** Notes that a tensor is a variable. */
  void put(String variable, String tensor, Layout layout) {
    left.remove(tensor);
    Source old = sources.put(variable, new Source(tensor, layout));
    if (old != null) {
      problems.add("both " + old.tensor() + " and " + tensor + " are " + variable);
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

  /** The lines so far. */
  List<String> notes() {
    return List.copyOf(notes);
  }

  boolean has(String variable) {
    return sources.containsKey(variable);
  }

  /** Shape of a variable's tensor in the file; dense kernels as {@code [in, out]}. */
  Optional<long[]> shape(String variable) {
    Source source = sources.get(variable);
    if (source == null) {
      return Optional.empty();
    }
    long[] shape = file.tensors().get(source.tensor()).shape();
    if (source.layout() == Layout.LEADING_ONES) {
      return Optional.of(withoutLeadingOnes(shape, variable.endsWith("/class_token") ? 1 : 2));
    }
    return Optional.of(
        source.layout() == Layout.LINEAR && shape.length == 2 ? reversed(shape) : shape);
  }

  /**
   * One dimension of a variable that a scheme cannot do without.
   *
   * @param rank that the variable must have
   */
  int size(String variable, int rank, int dimension) {
    long[] shape =
        shape(variable)
            .orElseThrow(
                () ->
                    new PerformerException(
                        file.path() + ": no tensor is " + variable + ", which this model needs"));
    if (shape.length != rank || shape[dimension] < 1 || shape[dimension] > Integer.MAX_VALUE) {
      throw new PerformerException(
          "%s: %s has shape %s, expected %s dimensions of 1 or more"
              .formatted(
                  file.path(), sources.get(variable).tensor(), Arrays.toString(shape), rank));
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

  /**
   * Reads everything.
   *
   * @throws PerformerException that lists all that is missing, left over or mis-shaped, unless
   *     {@code allowMissing}: then notes list it, and what is missing gets initial values
   */
  ModelWeights finish(String label, PerformerConfig config, boolean allowMissing) {
    Map<String, Shape> shapes = Performer.shapes(config);
    Map<String, NpyArray> weights = new LinkedHashMap<>();
    List<String> missing = new ArrayList<>(); // behind what is there and wrong, as lists are cut
    for (Map.Entry<String, Shape> e : shapes.entrySet()) {
      String variable = e.getKey();
      long[] shape = e.getValue().asArray();
      if (sources.containsKey(variable)) {
        checkShape(variable, sources.get(variable), shape);
      } else if (given.containsKey(variable)) {
        long[] found = given.get(variable).shape();
        if (!Arrays.equals(found, shape)) {
          problems.add(
              "%s became %s, expected %s"
                  .formatted(variable, Arrays.toString(found), Arrays.toString(shape)));
          given.remove(variable);
        }
      } else if (!isProjection(variable)) {
        missing.add("missing: " + variable + " " + Arrays.toString(shape));
      }
    }
    problems.addAll(missing);
    given.keySet().stream()
        .filter(variable -> !shapes.containsKey(variable))
        .forEach(v -> problems.add("this model has no variable " + v));
    sources.keySet().stream()
        .filter(variable -> !shapes.containsKey(variable))
        .forEach(v -> problems.add("this model has no " + v + ": " + sources.get(v).tensor()));
    left.forEach(tensor -> problems.add("left over: " + tensor + " " + info(tensor)));
    settleProblems(label, allowMissing);
    Map<String, NpyArray> projections = new TreeMap<>();
    if (shapes.keySet().stream()
        .anyMatch(v -> isProjection(v) && !sources.containsKey(v) && !given.containsKey(v))) {
      Performer.projections(config)
          .forEach(
              (name, p) -> projections.put(name, NpyArray.of(p.values(), p.rows(), p.columns())));
    }
    for (Map.Entry<String, Shape> e : shapes.entrySet()) {
      String name = e.getKey();
      long[] shape = e.getValue().asArray();
      Source source = sources.get(name);
      boolean isRead = source != null && fits(source, shape);
      NpyArray value =
          isRead
              ? laidOut(source, shape)
              : given.containsKey(name)
                  ? given.get(name)
                  : isProjection(name) ? projections.get(name) : initial(name, shape);
      weights.put(name, value);
    }
    noteProjections(projections, config);
    noteNotFinite(weights);
    Optional<OptimizerState> optimizer = optimizer(weights);
    return new ModelWeights(
        label, config, weights, optimizer, Optional.empty(), Optional.empty(), List.copyOf(notes));
  }

  private Optional<OptimizerState> optimizer(Map<String, NpyArray> weights) {
    Map<String, String> trained = new LinkedHashMap<>();
    for (String variable : weights.keySet()) {
      Source source = sources.get(variable);
      if (source != null && source.layout() == Layout.SAME) {
        trained.put(variable, source.tensor());
      } else if (!isProjection(variable)) {
        return Optional.empty(); // weights that the optimizer has not seen
      }
    }
    return new KerasOptimizer(file, notes::add).state(trained, weights);
  }

  private void settleProblems(String label, boolean allowMissing) {
    if (problems.isEmpty()) {
      return;
    }
    if (!allowMissing) {
      throw new PerformerException(
              "%s does not fit a model of the scheme %s, and missing weights were not allowed"
                  .formatted(file.path(), label),
              problems)
          .settledBy("allowMissing");
    }
    notes.add(
        "what does not fit was left out or has initial values: "
            + String.join("; ", Excerpt.items(problems)));
  }

  private static boolean isProjection(String variable) {
    return variable.endsWith("/projection");
  }

  private WeightFile.Info info(String tensor) {
    return file.tensors().get(tensor);
  }

  private void checkShape(String variable, Source source, long[] shape) {
    if (isComplex(source)) {
      problems.add(
          "%s is %s, but %s is real"
              .formatted(source.tensor(), info(source.tensor()).type(), variable));
    } else if (!fits(source, shape)) {
      problems.add(
          "%s has shape %s, but %s has %s"
              .formatted(
                  source.tensor(),
                  Arrays.toString(info(source.tensor()).shape()),
                  variable,
                  Arrays.toString(shape)));
    }
  }

  private boolean isComplex(Source source) {
    return info(source.tensor()).type().startsWith("complex");
  }

  private boolean fits(Source source, long[] shape) {
    if (isComplex(source)) {
      return false;
    }
    long[] found = info(source.tensor()).shape();
    if (source.layout() == Layout.LEADING_ONES) {
      return Arrays.equals(withoutLeadingOnes(found, shape.length), shape);
    }
    if (source.layout() == Layout.SAME || Arrays.equals(found, shape) && found.length == 1) {
      return Arrays.equals(found, shape);
    }
    if (found.length == 1) {
      return product(shape, 0, shape.length) == found[0];
    }
    for (int split = 1; split < shape.length; split++) {
      if (found.length == 2
          && product(shape, 0, split) == found[1]
          && product(shape, split, shape.length) == found[0]) {
        return true;
      }
    }
    return false;
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

  private static long[] reversed(long[] shape) {
    return new long[] {shape[1], shape[0]};
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
      java.util.Random random = new java.util.Random(variable.hashCode());
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (0.02 * random.nextGaussian());
      }
    }
    return NpyArray.of(values, shape);
  }

  private void noteProjections(Map<String, NpyArray> drawn, PerformerConfig config) {
    if (!drawn.isEmpty()) {
      notes.add(
          ("projections are not in the file; %s were drawn anew as the attention entries"
                  + " of the configuration say: %s")
              .formatted(drawn.size(), config.toJson().path("attention")));
    }
  }

  private void noteNotFinite(Map<String, NpyArray> weights) {
    List<String> bad = new ArrayList<>();
    weights.forEach(
        (name, value) -> {
          for (float x : value.floats()) {
            if (!Float.isFinite(x)) {
              bad.add(name);
              break;
            }
          }
        });
    if (!bad.isEmpty()) {
      notes.add("warning: NaN or infinite values in " + Excerpt.names(bad));
    }
  }
}
