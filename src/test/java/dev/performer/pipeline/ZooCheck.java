package dev.performer.pipeline;

import static dev.performer.savedmodel.ImportedModel.DEFAULT_SIGNATURE;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.graph.LossGradients;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.recipe.RecipeData.Crop;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.Inspection;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.training.Feed;
import dev.performer.training.ImportedLoss;
import dev.performer.training.LabelledBatch;
import dev.performer.training.LoopOptions;
import dev.performer.training.LossTerm;
import dev.performer.training.Trainable;
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
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TNumber;

/**
 * What Java makes of the models of {@code ci/interop/zoo.py}: the verdict, predictions of every
 * signature, gradients, a fine-tuning and its export. Differences from Python go into {@code
 * java/result.json} beside each model.
 */
public final class ZooCheck {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path directory;
  private final Path model;
  private final Path java;
  private final JsonNode settings;
  private final LossTerm loss;
  private final Map<String, NpyArray> data;
  private final Map<String, NpyArray> expected;
  private final List<String> signatures;
  private final Map<String, Object> result = new LinkedHashMap<>();
  private final List<String> errors = new ArrayList<>();

  private ZooCheck(Path directory) throws IOException {
    this.directory = directory;
    settings = JSON.readTree(directory.resolve("case.json").toFile());
    loss = LossTerm.parse(settings.path("loss").textValue());
    model = directory.resolve(settings.path("model").textValue());
    java = Files.createDirectories(directory.resolve("java"));
    data = Npz.read(directory.resolve("data.npz"));
    expected = Npz.read(directory.resolve("expected.npz"));
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
    for (var signature : Inspection.of(model).signatures()) {
      if (!signature.trainable() && signatures.contains(signature.name())) {
        errors.add("verdict on " + signature.name() + ": " + signature.summary());
      }
    }
    return String.valueOf(errors.isEmpty());
  }

  private Map<String, NpyArray> inputs(ImportedModel imported, String signature) {
    Map<String, NpyArray> inputs = new TreeMap<>(data);
    inputs.keySet().retainAll(imported.signatures().get(signature).inputs().keySet());
    return inputs;
  }

  private ImportedModel load(Path directory) {
    return ImportedModel.load(directory, signatures.toArray(String[]::new));
  }

  /** As the model is, and imported as one graph. */
  private double predictions() {
    double worst = 0;
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model);
        ImportedModel imported = load(model);
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
      var spec = imported.signatures().get(signature);
      Map<String, Output<?>> outputs = new TreeMap<>();
      for (String name : spec.outputs().keySet()) {
        outputs.put("out|" + signature + "|" + name, imported.output(signature, name));
      }
      try (Feed feed = new Feed()) {
        inputs(imported, signature)
            .forEach(
                (name, array) ->
                    feed.put(
                        imported.input(signature, name),
                        ImportedModel.tensor(spec.input(name), array)));
        arrays.putAll(run(session, feed, outputs));
      }
    }
    return arrays;
  }

  @SuppressWarnings("unchecked")
  private static Map<String, NpyArray> run(
      Session session, Feed feed, Map<String, Output<?>> outputs) {
    List<Output<TFloat64>> wide = new ArrayList<>();
    for (Output<?> output : outputs.values()) {
      Ops tf = Ops.create(output.env());
      wide.add(tf.dtypes.cast((Operand<TNumber>) output, TFloat64.class).asOutput());
    }
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    try (Result run = feed.run(session, wide)) {
      for (String name : outputs.keySet()) {
        Tensor tensor = run.get(arrays.size());
        arrays.put(name, NpyArray.of(Tensors.doubles(tensor), tensor.shape().asArray()));
      }
    }
    return arrays;
  }

  /** Largest difference, relative to the largest expected value, or to the least scale. */
  private static double difference(NpyArray array, NpyArray expected, double least) {
    double[] actual = array.doubles();
    double[] wanted = expected.doubles();
    if (!Arrays.equals(array.shape(), expected.shape())) {
      return Double.MAX_VALUE;
    }
    double worst = 0;
    for (int i = 0; i < wanted.length; i++) {
      double d = Math.abs(actual[i] - wanted[i]);
      worst = Math.max(worst, Double.isFinite(d) ? d : Double.MAX_VALUE);
    }
    return worst / Math.max(least, largest(expected));
  }

  private static double largest(NpyArray array) {
    return Arrays.stream(array.doubles()).map(Math::abs).max().orElse(0);
  }

  private LabelledBatch batch() {
    float[] weights = new float[(int) data.get("target").shape()[0]];
    Arrays.fill(weights, 1);
    return LabelledBatch.of(weights.length, new int[0], weights, new float[0], data);
  }

  private Trainable trainable(ImportedModel imported) {
    return ImportedLoss.of(imported, DEFAULT_SIGNATURE, List.of(loss), batch()).trainable();
  }

  /**
   * Every variable relative to its own largest gradient; where that is under a thousandth of the
   * model's, which is rounding alone in the biases of keys, to that thousandth.
   */
  private double gradients() {
    try (ImportedModel imported = load(model)) {
      Trainable graph = trainable(imported);
      var trainable = imported.trainability(DEFAULT_SIGNATURE, loss.output()).trainable();
      var found = LossGradients.find(imported.graph(), graph.loss(), trainable);
      Ops tf = Ops.create(imported.graph());
      Map<String, Output<?>> gradients = new TreeMap<>();
      for (int i = 0; i < found.size(); i++) {
        String key = trainable.get(i).checkpointKey();
        found.get(i).ifPresent(g -> gradients.put(key, tf.identity(g).asOutput()));
      }
      Map<String, NpyArray> values;
      try (Session session = new Session(imported.graph());
          Feed feed = graph.feed().apply(batch())) {
        imported.restore(session);
        values = run(session, feed, gradients);
      }
      var python = expected.keySet().stream().filter(key -> key.startsWith("grad|"));
      double scale = 1e-3 * python.mapToDouble(key -> largest(expected.get(key))).max().orElse(0);
      double worst = 0;
      for (Variable variable : imported.variables()) {
        String key = variable.checkpointKey();
        if (variable.trainable() != expected.containsKey("trainable|" + key)) {
          errors.add("trainable is not what it is in Python: " + variable.name());
        }
        NpyArray wanted = expected.get("grad|" + key);
        if ((wanted == null) != (values.get(key) == null)) {
          errors.add((wanted == null ? "none in Python: " : "no gradient: ") + variable.name());
        } else if (wanted != null) {
          worst = Math.max(worst, difference(values.get(key), wanted, scale));
        }
      }
      return worst;
    }
  }

  /** Trains and exports; gives the greatest difference of the curves as a share of the decline. */
  private double curve() {
    double[] wanted = expected.get("losses").doubles();
    double[] losses = new double[wanted.length];
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
    Path examples = directory.resolve("data.npz");
    var all = new BatchSize.Sequences((int) data.get("target").shape()[0]);
    var outcome =
        FineTuneJob.of(Model.open(model), FineTuneTask.of(loss), examples, java.resolve("run"))
            .validation(examples)
            .batching(new SequenceBatching(null, Crop.START, all, true))
            .options(options)
            .run(progress);
    double trained = outcome.result().best().loss();
    double exported = describe(outcome.model().orElseThrow());
    if (!(Math.abs(exported - trained) <= 1e-5)) {
      errors.add("the export's loss is %f, it was %f".formatted(exported, trained));
    }
    double decline = wanted[0] - wanted[wanted.length - 1];
    if (decline < 0.05 * wanted[0]) {
      errors.add("Python's loss falls by %f of %f only".formatted(decline, wanted[0]));
    }
    double worst = 0;
    for (int i = 0; i < losses.length; i++) {
      worst = Math.max(worst, Math.abs(losses[i] - wanted[i]) / decline);
    }
    return worst;
  }

  /** Writes what Python shall find in an export, and gives its loss. */
  private double describe(Path exported) {
    try (ImportedModel imported = load(exported);
        Session session = new Session(imported.graph())) {
      imported.restore(session);
      Map<String, NpyArray> arrays = outputs(imported, session);
      var values = PerformerModels.values(session, imported.variables());
      for (Variable variable : imported.variables()) {
        arrays.put("variable|" + variable.checkpointKey(), values.get(variable.name()));
      }
      Npz.write(java.resolve("trained.npz"), arrays);
      Trainable graph = trainable(imported);
      try (Feed feed = graph.feed().apply(batch())) {
        return run(session, feed, Map.of("loss", graph.loss())).get("loss").doubles()[0];
      }
    }
  }
}
