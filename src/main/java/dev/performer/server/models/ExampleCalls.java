package dev.performer.server.models;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.SignatureSpec;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Signatures that classify examples or give each a number, as TensorFlow Serving runs them. */
public final class ExampleCalls {
  /** The method name of signatures that classify. */
  public static final String CLASSIFY = "tensorflow/serving/classify";

  /** The method name of signatures that give numbers. */
  public static final String REGRESS = "tensorflow/serving/regress";

  private static final String INPUTS = "inputs";
  private static final String CLASSES = "classes";
  private static final String SCORES = "scores";
  private static final String OUTPUTS = "outputs";

  private ExampleCalls() {}

  /** A class of an example. @param label empty where the signature has no classes */
  public record Label(String label, float score) {}

  /**
   * The classes of each example.
   *
   * @param examples serialized {@code tf.Example}s
   * @param deadline when the caller gives up; null for never
   * @throws PerformerException if the signature does not classify, or cannot read the examples
   */
  public static List<List<Label>> classify(
      ServedModel model, String signature, List<byte[]> examples, Instant deadline) {
    SignatureSpec spec = spec(model, signature, CLASSIFY);
    Collection<String> names = spec.outputs().keySet();
    boolean isKnown = names.contains(CLASSES) || names.contains(SCORES);
    String text = "the signature %s has outputs %s; expected \"classes\" or \"scores\" to classify";
    require(isKnown, text, signature, names);
    Map<String, NpyArray> outputs = run(model, spec, examples, deadline);
    NpyArray classes = outputs.get(CLASSES);
    NpyArray scores = outputs.get(SCORES);
    requireMatrix(CLASSES, classes, NpyType.STRING, examples.size());
    requireMatrix(SCORES, scores, NpyType.FLOAT32, examples.size());
    int width = (int) (classes == null ? scores : classes).shape()[1];
    boolean isEven = classes == null || scores == null || scores.shape()[1] == width;
    String uneven = "Tensors class and score should match in dim_size(1). Got %s vs. %s";
    require(isEven, uneven, classes, scores);
    List<byte[]> labels = classes == null ? List.of() : classes.strings();
    float[] values = scores == null ? new float[labels.size()] : scores.floats();
    List<List<Label>> all = new ArrayList<>();
    for (int r = 0; r < examples.size(); r++) {
      List<Label> own = new ArrayList<>();
      for (int c = r * width; c < (r + 1) * width; c++) {
        byte[] label = labels.isEmpty() ? new byte[0] : labels.get(c);
        own.add(new Label(new String(label, StandardCharsets.UTF_8), values[c]));
      }
      all.add(own);
    }
    return all;
  }

  private static void requireMatrix(String name, NpyArray array, NpyType type, int rows) {
    boolean fits =
        array == null
            || array.type() == type && array.shape().length == 2 && array.shape()[0] == rows;
    String text = "the output %s is %s; expected %s [batch_size %d, num_classes]";
    require(fits, text, name, array, type.label(), rows);
  }

  /**
   * The number of each example.
   *
   * @param examples serialized {@code tf.Example}s
   * @param deadline when the caller gives up; null for never
   * @throws PerformerException if the signature gives no numbers, or cannot read the examples
   */
  public static float[] regress(
      ServedModel model, String signature, List<byte[]> examples, Instant deadline) {
    SignatureSpec spec = spec(model, signature, REGRESS);
    boolean isKnown = spec.outputs().keySet().equals(Set.of(OUTPUTS));
    String text = "the signature %s has outputs %s; expected one, \"outputs\", to regress";
    require(isKnown, text, signature, spec.outputs().keySet());
    NpyArray outputs = run(model, spec, examples, deadline).get(OUTPUTS);
    long[] shape = outputs.shape();
    boolean isColumn = shape.length == 1 || shape.length == 2 && shape[1] == 1;
    boolean fits = outputs.type() == NpyType.FLOAT32 && isColumn && shape[0] == examples.size();
    String unfit = "the output %s is %s; expected float32 [batch_size] or [batch_size, 1]";
    require(fits, unfit, OUTPUTS, outputs);
    return outputs.floats();
  }

  private static SignatureSpec spec(ServedModel model, String signature, String method) {
    var signatures = model.model().signatures();
    SignatureSpec spec = signatures.get(signature);
    String unknown = "No signature was found with the name: %s; there are %s";
    require(spec != null, unknown, signature, signatures.keySet());
    String other = "Expected signature method_name of %s to be %s. Was: %s";
    require(spec.method().equals(method), other, signature, method, spec.method());
    boolean isOne = spec.inputs().size() == 1 && spec.inputs().containsKey(INPUTS);
    String inputs = "the signature %s takes %s; expected one input, \"inputs\", of examples";
    require(isOne, inputs, signature, spec.inputs().values());
    return spec;
  }

  private static Map<String, NpyArray> run(
      ServedModel model, SignatureSpec spec, List<byte[]> examples, Instant deadline) {
    require(!examples.isEmpty(), "Input is empty.");
    Map<String, NpyArray> inputs = Map.of(INPUTS, NpyArray.of(examples, examples.size()));
    return model.predict(spec.name(), inputs, null, deadline);
  }
}
