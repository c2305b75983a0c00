package dev.performer.checkpoint;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.checkpoint.ModelWeights.OptimizerState;
import dev.performer.data.Masking;
import dev.performer.data.NpyArray;
import dev.performer.data.Vocabulary;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.TextEmbedding;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/** Which tensor of a file is which variable of ours; collects all that does not fit. */
final class WeightMap {
  /** How a tensor lies in its file. */
  enum Layout {
    /** As ours, perhaps with dimensions of 1 in front. */
    SAME,
    /** PyTorch's: dense kernels {@code [out, in]}, and heads not split. */
    LINEAR,
    /** As {@link #LINEAR}, but kernels are {@code [in, out]}. */
    JOINED
  }

  /** A tensor, or one of equal parts of it along its last axis; the info is then the part's. */
  private record Source(
      String tensor, WeightFile.Info info, Layout layout, int part, int parts, float factor) {}

  final WeightFile file;
  final ImportOptions options;
  private final String scheme;
  private final Map<String, Source> sources = new TreeMap<>();
  private final Map<String, NpyArray> given = new TreeMap<>();
  private final Set<String> left;
  private final List<String> problems = new ArrayList<>();
  private final List<String> notes = new ArrayList<>();
  boolean readsValues = true; // else the result has a configuration only
  TextEmbedding embedding; // how sequences get vectors, where that is known
  String zeros = ""; // expression for the names of biases that are 0 where the file has none

  /** For the naming scheme of that label, and what is given beside the file. */
  WeightMap(WeightFile file, String scheme, ImportOptions options) {
    this.file = file;
    this.scheme = scheme;
    this.options = options;
    this.left = new TreeSet<>(file.tensors().keySet());
  }

  Path path() {
    return file.path();
  }

  void check(boolean condition, String otherwise, Object... values) {
    if (!condition) {
      throw wrong(otherwise, values);
    }
  }

  /** As {@link #check}, naming the setting that decides about it. */
  void checkGiven(String setting, boolean condition, String otherwise, Object... values) {
    if (!condition) {
      throw wrong(otherwise, values).settledBy(setting);
    }
  }

  /** What is made of the file; errors name it. */
  <T> T named(Supplier<T> made) {
    try {
      return made.get();
    } catch (PerformerException e) {
      throw e.in(path());
    }
  }

  PerformerException wrong(String what, Object... values) {
    return new PerformerException(path() + ": " + what.formatted(values));
  }

  /** Notes that a tensor is a variable. */
  void put(String variable, String tensor, Layout layout) {
    put(variable, new Source(tensor, file.tensors().get(tensor), layout, 0, 1, 1));
  }

  /** Makes equal parts along the last axis of what is a variable so far; the first has a factor. */
  void split(String variable, double factor, String... parts) {
    Source whole = sources.remove(variable);
    long[] shape = whole.info().shape().clone();
    int last = shape.length - 1;
    boolean divides = last >= 0 && shape[last] % parts.length == 0;
    String other = "%s is %s, expected %s equal parts along its last axis";
    check(divides, other, whole.tensor(), whole.info(), parts.length);
    shape[last] /= parts.length;
    var info = new WeightFile.Info(whole.info().type(), shape, whole.info().bytes() / parts.length);
    for (int i = 0; i < parts.length; i++) {
      float own = i == 0 ? (float) factor : 1;
      put(parts[i], new Source(whole.tensor(), info, whole.layout(), i, parts.length, own));
    }
  }

  private void put(String variable, Source source) {
    String tensor = source.tensor();
    left.remove(tensor);
    Source old = sources.put(variable, source);
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
  void note(String line, Object... values) {
    notes.add(values.length == 0 ? line : line.formatted(values));
  }

  boolean has(String variable) {
    return sources.containsKey(variable);
  }

  /** The tensor that is a variable, which must be there. */
  String tensor(String variable) {
    check(has(variable), "no tensor is %s, which this model needs", variable);
    return sources.get(variable).tensor();
  }

  /** One dimension of a variable that must be there; dense kernels are {@code [in, out]}. */
  int size(String variable, int rank, int dimension) {
    tensor(variable);
    Source source = sources.get(variable);
    long[] shape = withoutLeadingOnes(source.info().shape(), rank);
    boolean isTurned = source.layout() == Layout.LINEAR && shape.length == 2;
    long size = shape.length == rank ? shape[isTurned ? 1 - dimension : dimension] : 0;
    String expected = "%s has shape %s, expected %s dimensions of 1 or more";
    boolean isRight = size >= 1 && size <= Integer.MAX_VALUE;
    check(isRight, expected, source.tensor(), Arrays.toString(shape), rank);
    return (int) size;
  }

  /** One more than the largest i in variables named {@code layer_<i>/…}. */
  int layers() {
    return sources.keySet().stream()
        .filter(name -> name.startsWith("layer_"))
        .mapToInt(name -> Integer.parseInt(name.substring(6, name.indexOf('/'))) + 1)
        .max()
        .orElse(0);
  }

  ModelWeights finish(PerformerConfig config) {
    return finish(config, Optional.empty(), Optional.empty());
  }

  /** Reads all. What does not fit is an error, unless allowed: then notes list it. */
  ModelWeights finish(
      PerformerConfig config, Optional<Vocabulary> vocabulary, Optional<Masking> masking) {
    Map<String, Supplier<NpyArray>> readers = readers(config);
    if (!problems.isEmpty()) {
      if (!options.allowMissing()) {
        String heading =
            "%s does not fit a model of the scheme %s, and missing weights were not allowed";
        throw new PerformerException(heading.formatted(path(), scheme), problems)
            .settledBy("allowMissing");
      }
      String all = String.join("; ", Excerpt.items(problems));
      note("what does not fit was left out or has initial values: " + all);
    }
    Map<String, NpyArray> weights = new LinkedHashMap<>();
    if (!readsValues) {
      return made(config, weights, Optional.empty(), vocabulary, masking);
    }
    readers.forEach((variable, reader) -> weights.put(variable, reader.get()));
    drawProjections(weights, config);
    List<String> bad = new ArrayList<>(weights.keySet());
    bad.removeIf(name -> isFinite(weights.get(name).floats()));
    if (!bad.isEmpty()) {
      note("warning: NaN or infinite values in " + Excerpt.names(bad));
    }
    Optional<OptimizerState> optimizer = optimizer(weights);
    return made(config, weights, optimizer, vocabulary, masking);
  }

  private ModelWeights made(
      PerformerConfig config,
      Map<String, NpyArray> weights,
      Optional<OptimizerState> optimizer,
      Optional<Vocabulary> vocabulary,
      Optional<Masking> masking) {
    var vectors = Optional.ofNullable(embedding);
    return new ModelWeights(
        scheme, config, weights, optimizer, vocabulary, masking, vectors, notes);
  }

  /** How to get each variable; finds all problems. */
  private Map<String, Supplier<NpyArray>> readers(PerformerConfig config) {
    Map<String, Supplier<NpyArray>> readers = new LinkedHashMap<>();
    List<String> missing = new ArrayList<>(); // behind what is there and wrong, as lists are cut
    Performer.shapes(config)
        .forEach((name, shape) -> readers.put(name, reader(name, shape.asArray(), missing)));
    problems.addAll(missing);
    Set<String> unknown = new TreeSet<>(given.keySet());
    unknown.addAll(sources.keySet());
    unknown.removeAll(readers.keySet());
    for (String variable : unknown) {
      String tensor = has(variable) ? ": " + sources.get(variable).tensor() : "";
      problems.add("this model has no " + variable + tensor);
    }
    left.forEach(tensor -> problems.add("left over: " + tensor + " " + file.tensors().get(tensor)));
    return readers;
  }

  private Supplier<NpyArray> reader(String variable, long[] shape, List<String> missing) {
    Source source = sources.get(variable);
    NpyArray value = given.get(variable);
    String expected = Arrays.toString(shape);
    if (source == null && value == null) {
      if (!isProjection(variable) && !variable.matches(zeros)) {
        missing.add("missing: " + variable + " " + expected);
      }
    } else if (source == null) {
      if (Arrays.equals(value.shape(), shape)) {
        return () -> value;
      }
      String found = Arrays.toString(value.shape());
      problems.add("%s became %s, expected %s".formatted(variable, found, expected));
    } else if (source.info().type().startsWith("complex")) {
      String type = source.info().type();
      problems.add("%s is %s, but %s is real".formatted(source.tensor(), type, variable));
    } else if (fits(source, shape)) {
      return () -> laidOut(source, shape);
    } else {
      String found = Arrays.toString(source.info().shape());
      String wrong = "%s has shape %s, but %s has %s";
      problems.add(wrong.formatted(source.tensor(), found, variable, expected));
    }
    return () -> isProjection(variable) ? null : initial(variable, shape); // null is to be drawn
  }

  private static boolean isProjection(String variable) {
    return variable.endsWith("/projection");
  }

  private static boolean fits(Source source, long[] shape) {
    long[] found = source.info().shape();
    if (source.layout() == Layout.JOINED && found.length == 2 && found[0] == 1) {
      return product(shape, 0, shape.length) == found[1]; // a bias
    } else if (source.layout() == Layout.SAME) {
      return Arrays.equals(withoutLeadingOnes(found, shape.length), shape);
    } else if (found.length == 1) {
      return product(shape, 0, shape.length) == found[0];
    }
    int in = source.layout() == Layout.LINEAR ? 1 : 0;
    IntStream splits = IntStream.range(1, found.length == 2 ? shape.length : 0);
    return splits.anyMatch(
        split ->
            product(shape, 0, split) == found[in]
                && product(shape, split, shape.length) == found[1 - in]);
  }

  private static long product(long[] shape, int from, int to) {
    return Arrays.stream(shape, from, to).reduce(1, (a, b) -> a * b);
  }

  private static long[] withoutLeadingOnes(long[] shape, int rank) {
    int ones = 0;
    while (shape.length - ones > rank && shape[ones] == 1) {
      ones++;
    }
    return Arrays.copyOfRange(shape, ones, shape.length);
  }

  private NpyArray laidOut(Source source, long[] shape) {
    NpyArray read = file.read(source.tensor());
    boolean isTurned = source.layout() == Layout.LINEAR && read.shape().length == 2;
    float[] values = (isTurned ? transposed(read, 1, 0) : read).floats();
    return NpyArray.of(source.parts() == 1 ? values : part(values, source), shape);
  }

  private static float[] part(float[] whole, Source source) {
    long[] shape = source.info().shape();
    int width = (int) shape[shape.length - 1];
    float[] part = new float[whole.length / source.parts()];
    for (int i = 0; i < part.length; i++) {
      int row = i / width * source.parts() + source.part();
      part[i] = source.factor() * whole[row * width + i % width];
    }
    return part;
  }

  /** With the axes in another order, as NumPy's transpose. */
  static NpyArray transposed(NpyArray array, int... axes) {
    int rank = axes.length;
    long[] shape = Arrays.stream(axes).mapToLong(axis -> array.shape()[axis]).toArray();
    long[] strides = // of the old array, in the new order
        Arrays.stream(axes).mapToLong(axis -> product(array.shape(), axis + 1, rank)).toArray();
    float[] old = array.floats();
    float[] result = new float[old.length];
    for (int n = 0; n < result.length; n++) {
      long place = 0;
      long rest = n;
      for (int i = rank - 1; i >= 0; i--) {
        place += rest % shape[i] * strides[i];
        rest /= shape[i];
      }
      result[n] = old[(int) place];
    }
    return NpyArray.of(result, shape);
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
    int absent = Collections.frequency(weights.values(), null);
    if (absent == 0) {
      return;
    }
    var drawn = Performer.projections(config);
    weights.replaceAll(
        (name, value) -> {
          var p = drawn.get(name);
          return value != null ? value : NpyArray.of(p.values(), p.rows(), p.columns());
        });
    note(
        "projections are not in the file; %s were drawn anew as the attention entries of the configuration say: %s",
        absent, config.toJson().path("attention"));
  }

  private static boolean isFinite(float[] values) {
    return IntStream.range(0, values.length).allMatch(i -> Float.isFinite(values[i]));
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
    return new AdamMoments(file, notes::add).state(trained, weights);
  }
}
