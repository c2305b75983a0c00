package dev.performer.savedmodel;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import dev.performer.data.NpyArray;
import dev.performer.data.TfRecordFile;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.Tensors;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.tensorflow.Tensor;
import org.tensorflow.proto.TensorProto;

/**
 * Requests that TensorFlow Serving runs when it loads a model, so that the first one of a client is
 * no slower than the next: TFRecords of {@code tensorflow.serving.PredictionLog}.
 *
 * @see <a href="https://www.tensorflow.org/tfx/serving/saved_model_warmup">SavedModel warmup</a>
 */
public final class WarmupRequests {
  /** Where TensorFlow Serving finds them inside a SavedModel. */
  public static final Path FILE = Path.of("assets.extra", "tf_serving_warmup_requests");

  // Field numbers of PredictionLog, PredictLog, PredictRequest, its ModelSpec and its map.
  private static final int PREDICT_LOG = 6;
  private static final int REQUEST = 1;
  private static final int MODEL_SPEC = 1;
  private static final int INPUTS = 2;
  private static final int NAME = 1;
  private static final int SIGNATURE = 3;
  private static final int KEY = 1;
  private static final int VALUE = 2;

  private interface Fields {
    void write(CodedOutputStream out) throws IOException;
  }

  private WarmupRequests() {}

  /**
   * Writes a request for each signature that runs on small inputs.
   *
   * @param name of the model as clients ask for it
   * @return one line for each signature without a request
   */
  public static List<String> write(SavedModelDirectory model, String name) throws IOException {
    SampleInputs found;
    try (var predictor = SavedModelPredictor.load(model, SavedModelPredictor.TIMEOUT)) {
      found = SampleInputs.of(predictor, ModelCard.read(model.path()).orElse(null));
    }
    Path file = model.path().resolve(FILE);
    Files.createDirectories(file.getParent());
    try (OutputStream out = Files.newOutputStream(file)) {
      for (var sample : new TreeMap<>(found.samples()).entrySet()) {
        SignatureSpec signature = model.signature(sample.getKey());
        out.write(TfRecordFile.framed(log(name, signature, sample.getValue())));
      }
    }
    String without = "no warm-up request: ";
    return found.failures().stream().map(failure -> without + failure).toList();
  }

  private static byte[] log(String name, SignatureSpec signature, Map<String, NpyArray> inputs) {
    byte[] spec =
        message(
            out -> {
              out.writeString(NAME, name);
              out.writeString(SIGNATURE, signature.name());
            });
    byte[] request =
        message(
            out -> {
              out.writeByteArray(MODEL_SPEC, spec);
              for (var input : new TreeMap<>(inputs).entrySet()) {
                TensorProto tensor = tensor(signature.input(input.getKey()), input.getValue());
                byte[] entry =
                    message(
                        pair -> {
                          pair.writeString(KEY, input.getKey());
                          pair.writeMessage(VALUE, tensor);
                        });
                out.writeByteArray(INPUTS, entry);
              }
            });
    byte[] predict = message(out -> out.writeByteArray(REQUEST, request));
    return message(out -> out.writeByteArray(PREDICT_LOG, predict));
  }

  private static byte[] message(Fields fields) {
    var bytes = new ByteArrayOutputStream();
    try {
      var out = CodedOutputStream.newInstance(bytes);
      fields.write(out);
      out.flush();
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory does not fail
    }
    return bytes.toByteArray();
  }

  private static TensorProto tensor(TensorSpec input, NpyArray array) {
    try (Tensor tensor = ArrayConversion.toTensor(input, array)) {
      return TensorProto.newBuilder()
          .setDtype(input.type())
          .setTensorShape(GraphProtos.shape(tensor.shape()))
          .setTensorContent(ByteString.copyFrom(Tensors.bytes(tensor)))
          .build();
    }
  }
}
