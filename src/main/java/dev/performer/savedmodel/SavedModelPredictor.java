package dev.performer.savedmodel;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.attention.MachineTuning;
import dev.performer.data.NpyArray;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.tensorflow.Graph;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.OptimizerOptions;
import org.tensorflow.proto.RunOptions;

/**
 * Runs the signatures of any SavedModel on named arrays, whether or not it can be trained here.
 * Signatures that change variables, such as a training step, change them for the runs that follow.
 *
 * <p>Safe for use from many threads at a time, which share one session; close it when no call is
 * under way. Where signatures change variables, concurrent calls do so in their order.
 */
public final class SavedModelPredictor implements SignatureRunner, AutoCloseable {
  /** How long loading, and one run, may take where nothing else is given. */
  public static final Duration TIMEOUT = Duration.ofHours(1);

  // Beyond this, TensorFlow's rewrites of the graph take longer than they save: some are quadratic.
  private static final int MOST_REWRITTEN = 20_000;
  private static final int MOST_REWRITING_MS = 5_000;
  private static final Set<String> LOOPS = Set.of("While", "StatelessWhile");

  private final SavedModelDirectory directory;
  private final SavedModelBundle bundle;
  private final RunOptions run;

  private SavedModelPredictor(SavedModelDirectory directory, Duration timeout) {
    this.directory = directory;
    run = RunOptions.newBuilder().setTimeoutInMs(Math.max(1, timeout.toMillis())).build();
    directory.assets().values().forEach(SavedModelPredictor::requireFile);
    MachineTuning.settleThreads();
    var loader = SavedModelBundle.loader(directory.path().toString());
    loader.withTags(SavedModelDirectory.SERVE).withConfigProto(config(directory));
    try {
      bundle = loader.withRunOptions(run).load();
    } catch (RuntimeException e) {
      throw failure("", " was not loaded within %s", " cannot be loaded: ", e);
    }
    Map<String, String> copies = CopiedVariables.of(directory.metaGraph());
    directory.variables().forEach(variable -> copies.values().remove(variable.node()));
    try {
      CopiedVariables.fill(bundle.graph(), bundle.session(), copies);
    } catch (RuntimeException e) {
      bundle.close();
      throw failure("", " was not loaded within %s", " cannot be loaded: ", e);
    }
  }

  private static void requireFile(Path asset) {
    try {
      RegularFiles.require(asset);
    } catch (IOException e) {
      throw new PerformerException(
          "the asset " + asset + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  private static ConfigProto config(SavedModelDirectory directory) {
    ConfigProto.Builder config = ConfigProto.newBuilder();
    var graph = config.getGraphOptionsBuilder();
    var rewrites = graph.getRewriteOptionsBuilder().setMetaOptimizerTimeoutMs(MOST_REWRITING_MS);
    rewrites.setDisableMetaOptimizer(directory.size().nodes() > MOST_REWRITTEN);
    var nodes = directory.functions().nodesOf(directory.metaGraph().getGraphDef());
    if (nodes.anyMatch(node -> LOOPS.contains(node.getOp()))) {
      // A loop over constants would be run, without a timeout, to fold it into one.
      graph.getOptimizerOptionsBuilder().setOptLevel(OptimizerOptions.Level.L0);
    }
    return config.build();
  }

  private PerformerException failure(String what, String late, String failed, RuntimeException e) {
    String first = NativeErrors.firstLine(e);
    boolean isLate = first.startsWith("Timed out waiting for notification");
    String reason = isLate ? late.formatted(run.getTimeoutInMs() / 1000.0 + " s") : failed + first;
    return new PerformerException(what + directory.path() + reason, e);
  }

  public static SavedModelPredictor load(Path directory) {
    return load(SavedModelDirectory.open(directory), TIMEOUT);
  }

  /** The timeout is for loading, and then for each run: a signature may loop for ever. */
  public static SavedModelPredictor load(SavedModelDirectory directory, Duration timeout) {
    return new SavedModelPredictor(directory, timeout);
  }

  @Override
  public SavedModelDirectory directory() {
    return directory;
  }

  public Session session() {
    return bundle.session();
  }

  Graph graph() {
    return bundle.graph();
  }

  /** The values of all variables as they are now, by name. */
  public Map<String, NpyArray> values() {
    List<Variable> variables = new ArrayList<>();
    for (VariableSpec spec : directory.variables()) {
      var handle = graph().operation(spec.node()).output(0);
      var type = Tensors.javaType(spec.type());
      String name = spec.name();
      variables.add(new Variable(name, handle, type, spec.shape(), spec.trainable(), name));
    }
    return PerformerModels.values(session(), variables);
  }

  /**
   * Runs a signature on one array per input, by name. Whole numbers and floats of other width are
   * converted where no value changes; float16 and bfloat16 come out as float32.
   *
   * @throws PerformerException if a name, type or shape does not fit, or the model fails
   */
  public Map<String, NpyArray> predict(String signature, Map<String, NpyArray> inputs) {
    return predict(signature, inputs, directory.signature(signature).outputs().keySet());
  }

  /** The same for some of its outputs. @throws PerformerException also if it has no such output */
  @Override
  public Map<String, NpyArray> predict(
      String signature, Map<String, NpyArray> inputs, Collection<String> outputs) {
    SignatureSpec spec = directory.signature(signature);
    Map<String, String> tensors = new TreeMap<>();
    for (String name : outputs) {
      ArrayConversion.requireKnown(spec.output(name), "output");
      tensors.put(name, spec.output(name).tensor());
    }
    return run(spec, inputs, Map.of(), tensors);
  }

  /** Runs a signature, with feeds that it does not have itself, for tensors by name. */
  Map<String, NpyArray> run(
      SignatureSpec spec,
      Map<String, NpyArray> inputs,
      Map<String, NpyArray> more,
      Map<String, String> fetched) {
    spec.requireInputs(inputs.keySet());
    Map<String, Tensor> feeds = new LinkedHashMap<>();
    try {
      for (TensorSpec input : spec.inputs().values()) {
        feeds.put(input.tensor(), ArrayConversion.toTensor(input, inputs.get(input.name())));
      }
      more.forEach((tensor, ints) -> feeds.put(tensor, Tensors.of(ints.ints(), ints.shape())));
      return fetch(spec, feeds, fetched);
    } finally {
      feeds.values().forEach(Tensor::close);
    }
  }

  private Map<String, NpyArray> fetch(
      SignatureSpec spec, Map<String, Tensor> feeds, Map<String, String> fetched) {
    // Two outputs may be one tensor, which TensorFlow refuses to fetch twice.
    Set<String> tensors = new LinkedHashSet<>(fetched.values());
    Session.Runner runner = bundle.session().runner().setOptions(run);
    feeds.forEach(runner::feed);
    tensors.forEach(runner::fetch);
    var order = List.copyOf(tensors);
    try (var result = runner.run()) {
      Map<String, NpyArray> outputs = new TreeMap<>();
      fetched.forEach(
          (name, tensor) ->
              outputs.put(name, ArrayConversion.toArray(name, result.get(order.indexOf(tensor)))));
      return outputs;
    } catch (PerformerException e) {
      throw e;
    } catch (RuntimeException e) {
      String late = " did not finish within %s; give it more time if it is no endless loop";
      throw failure("the signature " + spec.name() + " of ", late, " failed: ", e);
    }
  }

  @Override
  public void close() {
    bundle.close();
  }
}
