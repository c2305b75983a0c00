package dev.performer.savedmodel;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.data.NpyArray;
import dev.performer.graph.NativeErrors;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.tensorflow.Result;
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
 * <p>Safe for use from many threads at a time: {@link #predict} runs in the caller's thread and
 * shares one session. Close it when no call is under way. Where signatures change variables, the
 * order of concurrent calls is the order of the changes.
 */
public final class SavedModelPredictor implements AutoCloseable {
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
    var loader = SavedModelBundle.loader(directory.path().toString());
    loader.withTags(SavedModelDirectory.SERVE).withConfigProto(config(directory));
    try {
      bundle = loader.withRunOptions(run).load();
    } catch (RuntimeException e) {
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
    graph
        .getRewriteOptionsBuilder()
        .setDisableMetaOptimizer(directory.size().nodes() > MOST_REWRITTEN)
        .setMetaOptimizerTimeoutMs(MOST_REWRITING_MS);
    if (directory.hasOp(LOOPS)) {
      // A loop over constants would be run, without a timeout, to fold it into one.
      graph.getOptimizerOptionsBuilder().setOptLevel(OptimizerOptions.Level.L0);
    }
    return config.build();
  }

  private PerformerException failure(String what, String late, String failed, RuntimeException e) {
    String timeout = run.getTimeoutInMs() / 1000.0 + " s";
    boolean isLate =
        String.valueOf(e.getMessage()).startsWith("Timed out waiting for notification");
    String reason = isLate ? late.formatted(timeout) : failed + NativeErrors.firstLine(e);
    return new PerformerException(what + directory.path() + reason, e);
  }

  /** Loads a model. @throws PerformerException if it is not a SavedModel or damaged */
  public static SavedModelPredictor load(Path directory) {
    return load(SavedModelDirectory.open(directory), TIMEOUT);
  }

  /**
   * Loads a model that was opened already.
   *
   * @param timeout how long loading, and then each run, may take: a signature may loop for ever
   */
  public static SavedModelPredictor load(SavedModelDirectory directory, Duration timeout) {
    return new SavedModelPredictor(directory, timeout);
  }

  /** What was loaded. */
  public SavedModelDirectory directory() {
    return directory;
  }

  /** The session that runs the model; closed with it. */
  public Session session() {
    return bundle.session();
  }

  /**
   * Runs a signature.
   *
   * @param inputs one array per input, named like the signature's; whole numbers and floats of
   *     other width are converted where no value changes
   * @return one array per output; float16 and bfloat16 come as float32
   * @throws PerformerException if a name, type or shape does not fit, or the model fails
   */
  public Map<String, NpyArray> predict(String signature, Map<String, NpyArray> inputs) {
    SignatureSpec spec = directory.signature(signature);
    checkNames(spec, inputs);
    spec.outputs().values().forEach(out -> ArrayConversion.requireKnown(out, "output"));
    Map<String, Tensor> feeds = new LinkedHashMap<>();
    try {
      for (TensorSpec input : spec.inputs().values()) {
        feeds.put(input.tensor(), ArrayConversion.toTensor(input, inputs.get(input.name())));
      }
      return run(spec, feeds);
    } finally {
      feeds.values().forEach(Tensor::close);
    }
  }

  private Map<String, NpyArray> run(SignatureSpec spec, Map<String, Tensor> feeds) {
    // Two outputs may be one tensor, which TensorFlow refuses to fetch twice.
    Set<String> tensors = new LinkedHashSet<>();
    spec.outputs().values().forEach(output -> tensors.add(output.tensor()));
    Session.Runner runner = bundle.session().runner().setOptions(run);
    feeds.forEach(runner::feed);
    tensors.forEach(runner::fetch);
    var order = List.copyOf(tensors);
    try (Result result = runner.run()) {
      Map<String, NpyArray> outputs = new TreeMap<>();
      for (TensorSpec output : spec.outputs().values()) {
        Tensor tensor = result.get(order.indexOf(output.tensor()));
        outputs.put(output.name(), ArrayConversion.toArray(output.name(), tensor));
      }
      return outputs;
    } catch (PerformerException e) {
      throw e;
    } catch (RuntimeException e) {
      String late = " did not finish within %s; give it more time if it is no endless loop";
      throw failure("the signature " + spec.name() + " of ", late, " failed: ", e);
    }
  }

  private void checkNames(SignatureSpec spec, Map<String, NpyArray> inputs) {
    Set<String> missing = new TreeSet<>(spec.inputs().keySet());
    Set<String> unknown = new TreeSet<>(inputs.keySet());
    if (!missing.equals(unknown)) {
      missing.removeAll(inputs.keySet());
      unknown.removeAll(spec.inputs().keySet());
      throw new PerformerException(
          ("the signature " + spec.name() + " takes " + spec.inputs().values())
              + (missing.isEmpty() ? "" : "; missing: " + missing)
              + (unknown.isEmpty() ? "" : "; unknown: " + unknown));
    }
  }

  /** Frees the model. */
  @Override
  public void close() {
    bundle.close();
  }
}
