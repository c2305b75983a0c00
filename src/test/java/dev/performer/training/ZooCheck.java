package dev.performer.training;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.Npz;
import dev.performer.graph.LossGradients;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.Inspection;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.optim.Schedule;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TNumber;

/**
 * What Java makes of the models of {@code ci/interop/zoo.py}: the verdict, predictions of every
 * signature, gradients, a training and its export. Differences from Python go into {@code
 * java/result.json} beside each model.
 */
public final class ZooCheck {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String DEFAULT = ImportedModel.DEFAULT_SIGNATURE;

  private final Path model;
  private final Path java;
  private final JsonNode settings;
  private final Map<String, NpyArray> data;
  private final Map<String, NpyArray> expected;
  private final int batch;
  private final List<String> signatures;
  private final Map<String, Object> result = new LinkedHashMap<>();
  private final List<String> errors = new ArrayList<>();

  private ZooCheck(Path directory) throws IOException {
    settings = JSON.readTree(directory.resolve("case.json").toFile());
    model = directory.resolve(settings.path("model").textValue());
    java = Files.createDirectories(directory.resolve("java"));
    data = Npz.read(directory.resolve("data.npz"));
    expected = Npz.read(directory.resolve("expected.npz"));
    batch = settings.path("batch").intValue();
    var outputs = expected.keySet().stream().filter(key -> key.startsWith("out|"));
    signatures = outputs.map(key -> key.split("\\|")[1]).distinct().toList();
  }

  /**
   * @param arguments the directory of all models, and the names of some; all where none is given
   */
  public static void main(String[] arguments) throws IOException {
    Path root = Path.of(arguments[0]);
    List<String> names = Arrays.asList(arguments).subList(1, arguments.length);
    try (Stream<Path> found = names.isEmpty() ? Files.list(root) : Stream.empty()) {
      var all = names.isEmpty() ? found.sorted() : names.stream().map(root::resolve);
      for (Path directory : all.toList()) {
        new ZooCheck(directory).check();
      }
    }
  }

  private void check() throws IOException {
    attempt("verdict", this::verdict);
    attempt("predict", this::predictions);
    attempt("gradient", this::gradients);
    attempt("curve", this::curve);
    result.put("errors", errors);
    JSON.writeValue(java.resolve("result.json").toFile(), result);
  }

  private void attempt(String what, Supplier<Object> step) {
    try {
      result.put(what, step.get());
    } catch (PerformerException e) {
      errors.add(what + ": " + e.getMessage());
    } catch (RuntimeException e) {
      errors.add(what + ": " + e);
    }
  }

  private String verdict() {
    Inspection inspection = Inspection.of(model);
    for (var signature : inspection.signatures()) {
      if (!signature.trainable() && !signature.inputs().isEmpty()) {
        errors.add("verdict on " + signature.name() + ": " + signature.summary());
      }
    }
    return String.valueOf(errors.isEmpty());
  }

  /** The first batch, as a signature takes it. */
  private Map<String, NpyArray> inputs(ImportedModel imported, String signature) {
    Map<String, NpyArray> inputs = new TreeMap<>();
    Set<String> names = imported.signatures().get(signature).inputs().keySet();
    names.forEach(name -> inputs.put(name, rows(data.get(name), 0)));
    return inputs;
  }

  /** The rows of a batch. */
  private NpyArray rows(NpyArray array, int index) {
    long[] shape = array.shape().clone();
    int size = array.bytes().length / (int) shape[0] * batch;
    shape[0] = batch;
    byte[] bytes = Arrays.copyOfRange(array.bytes(), index * size, (index + 1) * size);
    return new NpyArray(array.type(), shape, bytes);
  }

  private ImportedModel load() {
    return ImportedModel.load(model, signatures.toArray(String[]::new));
  }

  /** As the model is, and imported as one graph. */
  private double predictions() {
    double worst = 0;
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model);
        ImportedModel imported = load();
        Session session = new Session(imported.graph())) {
      imported.restore(session);
      Map<String, NpyArray> actual = outputs(imported, session);
      for (String name : signatures) {
        predictor
            .predict(name, inputs(imported, name))
            .forEach((output, array) -> actual.put("as is|" + name + "|" + output, array));
      }
      for (var entry : actual.entrySet()) {
        NpyArray wanted = expected.get(entry.getKey().replace("as is|", "out|"));
        worst = Math.max(worst, difference(entry.getValue(), wanted, 1));
      }
    }
    return worst;
  }

  /** Of all signatures, by {@code out|SIGNATURE|NAME}. */
  private Map<String, NpyArray> outputs(ImportedModel imported, Session session) {
    Map<String, NpyArray> arrays = new TreeMap<>();
    for (String signature : signatures) {
      Map<String, Output<?>> outputs = new LinkedHashMap<>();
      Set<String> names = imported.signatures().get(signature).outputs().keySet();
      names.forEach(
          name -> outputs.put("out|" + signature + "|" + name, imported.output(signature, name)));
      arrays.putAll(run(imported, signature, session, outputs, Map.of()));
    }
    return arrays;
  }

  /** On the first batch. */
  private Map<String, NpyArray> run(
      ImportedModel imported,
      String signature,
      Session session,
      Map<String, Output<?>> outputs,
      Map<Operand<?>, NpyArray> more) {
    try (Feed feed = new Feed()) {
      inputs(imported, signature)
          .forEach((name, array) -> put(feed, imported.input(signature, name), array));
      more.forEach((placeholder, array) -> put(feed, placeholder, array));
      Ops tf = Ops.create(imported.graph());
      var wide = outputs.values().stream().map(output -> wide(tf, output)).toList();
      Map<String, NpyArray> arrays = new LinkedHashMap<>();
      try (Result run = feed.run(session, wide)) {
        for (String name : outputs.keySet()) {
          Tensor tensor = run.get(arrays.size());
          arrays.put(name, NpyArray.of(Tensors.doubles(tensor), tensor.shape().asArray()));
        }
      }
      return arrays;
    }
  }

  @SuppressWarnings("unchecked")
  private static Output<TFloat64> wide(Ops tf, Output<?> output) {
    return tf.dtypes.cast((Operand<TNumber>) output, TFloat64.class).asOutput();
  }

  private static void put(Feed feed, Operand<?> placeholder, NpyArray array) {
    if (array.type() == NpyType.FLOAT32) {
      feed.put(placeholder, Tensors.of(array.floats(), array.shape()));
    } else {
      feed.put(placeholder, array.ints(), array.shape());
    }
  }

  /** Largest difference, relative to the largest expected value, or to the least scale. */
  private static double difference(NpyArray array, NpyArray expected, double least) {
    double[] actual = array.doubles();
    double[] wanted = expected.doubles();
    if (actual.length != wanted.length) {
      return Double.MAX_VALUE;
    }
    double scale = Math.max(least, largest(wanted));
    double worst = 0;
    for (int i = 0; i < wanted.length; i++) {
      double d = Math.abs(actual[i] - wanted[i]);
      worst = Math.max(worst, Double.isFinite(d) ? d : Double.MAX_VALUE);
    }
    return worst / scale;
  }

  private static double largest(double[] values) {
    return Arrays.stream(values).map(Math::abs).max().orElse(0);
  }

  /**
   * Every variable relative to its own largest gradient; where that is under a thousandth of the
   * model's, which is rounding alone in the biases of keys, to that thousandth.
   */
  private double gradients() {
    try (ImportedModel imported = load()) {
      Graph graph = imported.graph();
      var loss = loss(imported);
      List<Variable> variables = imported.variables().stream().filter(Variable::trainable).toList();
      variables.stream()
          .filter(variable -> !expected.containsKey("trainable|" + variable.checkpointKey()))
          .forEach(variable -> errors.add("not trainable in Python: " + variable.name()));
      var trainable = imported.trainability(DEFAULT, output()).trainable();
      var found = LossGradients.find(graph, loss.value(), trainable);
      Ops tf = Ops.create(graph);
      Map<String, Output<?>> gradients = new TreeMap<>();
      for (int i = 0; i < found.size(); i++) {
        String key = trainable.get(i).checkpointKey();
        found.get(i).ifPresent(g -> gradients.put(key, tf.identity(g).asOutput()));
      }
      Map<String, NpyArray> values;
      try (Session session = new Session(graph)) {
        imported.restore(session);
        var target = Map.<Operand<?>, NpyArray>of(loss.target(), rows(data.get("target"), 0));
        values = run(imported, DEFAULT, session, gradients, target);
      }
      double greatest = 0;
      for (var entry : expected.entrySet()) {
        if (entry.getKey().startsWith("grad|")) {
          greatest = Math.max(greatest, largest(entry.getValue().doubles()));
        }
      }
      double worst = 0;
      for (Variable variable : variables) {
        NpyArray wanted = expected.get("grad|" + variable.checkpointKey());
        NpyArray value = values.get(variable.checkpointKey());
        if ((wanted == null) != (value == null)) {
          errors.add((value == null ? "no gradient here: " : "none in Python: ") + variable.name());
          worst = Double.MAX_VALUE;
        } else if (wanted != null) {
          double own = difference(value, wanted, 1e-3 * greatest);
          worst = Math.max(worst, own);
        }
      }
      return worst;
    }
  }

  private String output() {
    return settings.path("output").textValue();
  }

  private record Loss(Output<TFloat32> value, Operand<?> target) {}

  private Loss loss(ImportedModel imported) {
    Ops tf = Ops.create(imported.graph()).withSubScope("loss");
    Output<TFloat32> output = imported.output(DEFAULT, output()).expect(TFloat32.class);
    Operand<TInt32> flat = tf.constant(new int[] {-1});
    if (settings.path("loss").textValue().equals("mse")) {
      Placeholder<TFloat32> target = tf.placeholder(TFloat32.class);
      var errors = tf.math.squaredDifference(output, target);
      return new Loss(tf.math.mean(tf.reshape(errors, flat), tf.constant(0)).asOutput(), target);
    }
    Placeholder<TInt32> target = tf.placeholder(TInt32.class);
    var last = tf.math.sub(tf.rank(output), tf.constant(1));
    var classes = tf.gather(tf.shape(output), last, tf.constant(0));
    var matrix = tf.reshape(output, tf.stack(List.of(tf.constant(-1), classes)));
    var each = tf.nn.sparseSoftmaxCrossEntropyWithLogits(matrix, tf.reshape(target, flat)).loss();
    return new Loss(tf.math.mean(each, tf.constant(0)).asOutput(), target);
  }

  /** Trains, exports, and gives the greatest difference of the curves as a share of the decline. */
  private double curve() {
    double[] wanted = expected.get("losses").doubles();
    double[] losses = new double[wanted.length];
    try (ImportedModel imported = load()) {
      Loss loss = loss(imported);
      Ops tf = Ops.create(imported.graph());
      var one = tf.constant(1.0);
      var sum = tf.dtypes.cast(loss.value(), TFloat64.class);
      Trainable trainable =
          Trainable.builder(imported.graph(), imported::variables, imported::restore)
              .loss(loss.value())
              .sums(tf.stack(List.of(sum, tf.constant(Double.NaN), one)).asOutput())
              .feed(labelled -> feed(imported, loss, labelled.inputs()[0]))
              .build();
      Progress progress =
          new Progress() {
            @Override
            public void step(long step, double value, double tokensPerSecond) {
              losses[(int) step - 1] = value;
            }
          };
      LoopOptions options =
          LoopOptions.builder()
              .steps(losses.length)
              .schedule(new Schedule.Constant(settings.path("learningRate").doubleValue(), 0))
              .clipNorm(0)
              .evaluateEvery(0)
              .build()
              .with(JSON.createObjectNode().set("optimizer", settings.path("optimizer")), "case");
      int count = (int) (data.get("target").shape()[0] / batch);
      var source = new Rows(count, true);
      var validation = Validation.of(trainable, new Rows(count, false));
      Path run = java.resolve("run");
      try (Trainer trainer = Trainer.start(trainable, source, validation, options, run, progress)) {
        trainer.run();
        export(imported, trainable, trainer.session());
      }
    }
    double decline = wanted[0] - wanted[wanted.length - 1];
    if (decline < 0.05 * wanted[0]) {
      errors.add(
          "Python's loss goes from %f to %f only".formatted(wanted[0], wanted[wanted.length - 1]));
    }
    double worst = 0;
    for (int i = 0; i < losses.length; i++) {
      worst = Math.max(worst, Math.abs(losses[i] - wanted[i]) / decline);
    }
    return worst;
  }

  private Feed feed(ImportedModel imported, Loss loss, int index) {
    Feed feed = new Feed();
    Set<String> names = imported.signatures().get(DEFAULT).inputs().keySet();
    names.forEach(name -> put(feed, imported.input(DEFAULT, name), rows(data.get(name), index)));
    put(feed, loss.target(), rows(data.get("target"), index));
    return feed;
  }

  /** Writes the trained model, and what Python shall find in it. */
  private void export(ImportedModel imported, Trainable trainable, Session session) {
    WeightReplacement.of(model).export(session, imported.variables(), java.resolve("model"));
    Map<String, NpyArray> arrays = outputs(imported, session);
    Map<String, NpyArray> weights = trainable.weights(session);
    for (Variable variable : imported.variables()) {
      arrays.put("variable|" + variable.checkpointKey(), weights.get(variable.name()));
    }
    Npz.write(java.resolve("trained.npz"), arrays);
  }

  /** Batches by their index. */
  private static final class Rows implements BatchSource {
    private final int count;
    private final boolean isEndless;
    private BatchPosition position = BatchPosition.START;

    Rows(int count, boolean isEndless) {
      this.count = count;
      this.isEndless = isEndless;
    }

    @Override
    public boolean hasNext() {
      return isEndless || position.index() < count;
    }

    @Override
    public LabelledBatch next() {
      int[] index = {(int) position.index() % count};
      position = position.next();
      return new LabelledBatch(1, 1, index, new int[] {1}, index, new float[] {1});
    }

    @Override
    public BatchPosition position() {
      return position;
    }

    @Override
    public void restore(BatchPosition other) {
      position = other;
    }

    @Override
    public String name() {
      return "data.npz";
    }

    @Override
    public void close() {}
  }
}
