package dev.performer.savedmodel;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.tensorflow.proto.SignatureDef;
import org.tensorflow.proto.TensorInfo;

/**
 * One signature of a SavedModel.
 *
 * @param name its key, such as {@code serving_default}
 * @param method the method name that TensorFlow Serving looks at
 * @param inputs by name, sorted
 * @param outputs by name, sorted
 */
public record SignatureSpec(
    String name, String method, Map<String, TensorSpec> inputs, Map<String, TensorSpec> outputs) {

  static SignatureSpec of(String name, SignatureDef definition) {
    var inputs = specs(definition.getInputsMap());
    var outputs = specs(definition.getOutputsMap());
    return new SignatureSpec(name, definition.getMethodName(), inputs, outputs);
  }

  private static Map<String, TensorSpec> specs(Map<String, TensorInfo> infos) {
    Map<String, TensorSpec> specs = new TreeMap<>();
    infos.forEach((key, info) -> specs.put(key, TensorSpec.of(key, info)));
    return Collections.unmodifiableMap(specs);
  }

  /** The input of that name. @throws PerformerException that lists those there are */
  public TensorSpec input(String input) {
    return find(inputs, input, "input");
  }

  /** The output of that name. @throws PerformerException that lists those there are */
  public TensorSpec output(String output) {
    return find(outputs, output, "output");
  }

  /** Fails, naming what is missing and what is unknown, unless these are the inputs. */
  void requireInputs(Set<String> given) {
    if (!inputs.keySet().equals(given)) {
      Set<String> missing = new TreeSet<>(inputs.keySet());
      missing.removeAll(given);
      Set<String> unknown = new TreeSet<>(given);
      unknown.removeAll(inputs.keySet());
      String message = "the signature " + name + " takes " + inputs.values();
      message += missing.isEmpty() ? "" : "; missing: " + missing;
      throw new PerformerException(message + (unknown.isEmpty() ? "" : "; unknown: " + unknown));
    }
  }

  /**
   * What a run would feed: an array for each input, in its type; float32 for half precision.
   *
   * @throws PerformerException if a name, type or shape does not fit
   */
  public Map<String, NpyArray> converted(Map<String, NpyArray> given) {
    requireInputs(given.keySet());
    Map<String, NpyArray> fit = new LinkedHashMap<>();
    inputs.forEach((key, input) -> fit.put(key, ArrayConversion.converted(input, given.get(key))));
    return fit;
  }

  private TensorSpec find(Map<String, TensorSpec> specs, String key, String kind) {
    TensorSpec spec = specs.get(key);
    if (spec == null) {
      throw new PerformerException(
          "the signature %s has no %s %s; it has [%s]"
              .formatted(name, kind, key, Excerpt.names(specs.keySet())));
    }
    return spec;
  }
}
