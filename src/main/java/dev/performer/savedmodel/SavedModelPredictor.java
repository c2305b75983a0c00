package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.NativeErrors;
import java.nio.file.Path;
import java.util.ArrayList;
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

/**
 * Runs the signatures of any SavedModel on named arrays, whether or not it can be trained here.
 * Signatures that change variables, such as a training step, change them for the runs that follow.
 */
public final class SavedModelPredictor implements AutoCloseable {
  private final SavedModelDirectory directory;
  private final SavedModelBundle bundle;

  private SavedModelPredictor(SavedModelDirectory directory) {
    this.directory = directory;
    try {
      bundle = SavedModelBundle.load(directory.path().toString(), SavedModelDirectory.SERVE);
    } catch (RuntimeException e) {
      throw new PerformerException(
          directory.path() + " cannot be loaded: " + NativeErrors.firstLine(e), e);
    }
  }

  /**
   * Loads a model.
   *
   * @throws PerformerException if it is not a SavedModel or damaged
   */
  public static SavedModelPredictor load(Path directory) {
    return new SavedModelPredictor(SavedModelDirectory.open(directory));
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
   * @param signature its name
   * @param inputs one array per input, named like the signature's; whole numbers and floats of
   *     other width are converted where no value changes
   * @return one array per output; float16 and bfloat16 come as float32
   * @throws PerformerException if a name, type or shape does not fit, or the model fails
   */
  public Map<String, NpyArray> predict(String signature, Map<String, NpyArray> inputs) {
    SignatureSpec spec = directory.signature(signature);
    checkNames(spec, inputs);
    spec.outputs().values().forEach(ArrayConversion::checkOutput);
    Map<String, Tensor> feeds = new LinkedHashMap<>();
    try {
      spec.inputs()
          .values()
          .forEach(
              input ->
                  feeds.put(
                      input.tensor(), ArrayConversion.toTensor(input, inputs.get(input.name()))));
      return run(spec, feeds);
    } finally {
      feeds.values().forEach(Tensor::close);
    }
  }

  private Map<String, NpyArray> run(SignatureSpec spec, Map<String, Tensor> feeds) {
    // Two outputs may be one tensor, which TensorFlow refuses to fetch twice.
    Set<String> tensors = new LinkedHashSet<>();
    spec.outputs().values().forEach(output -> tensors.add(output.tensor()));
    Session.Runner runner = bundle.session().runner();
    feeds.forEach(runner::feed);
    tensors.forEach(runner::fetch);
    List<String> order = new ArrayList<>(tensors);
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
      throw new PerformerException(
          "the signature "
              + spec.name()
              + " of "
              + directory.path()
              + " failed: "
              + NativeErrors.firstLine(e),
          e);
    }
  }

  private void checkNames(SignatureSpec spec, Map<String, NpyArray> inputs) {
    Set<String> missing = new TreeSet<>(spec.inputs().keySet());
    missing.removeAll(inputs.keySet());
    Set<String> unknown = new TreeSet<>(inputs.keySet());
    unknown.removeAll(spec.inputs().keySet());
    if (!missing.isEmpty() || !unknown.isEmpty()) {
      throw new PerformerException(
          "the signature "
              + spec.name()
              + " takes "
              + spec.inputs().values()
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
