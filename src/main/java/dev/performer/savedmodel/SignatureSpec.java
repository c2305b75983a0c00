package dev.performer.savedmodel;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
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
