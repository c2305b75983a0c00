package dev.performer.savedmodel.protos;

import static dev.performer.PerformerException.require;

import com.google.protobuf.ByteString;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TfRecordFile;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SignatureRunner;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The requests that lie in a SavedModel to warm it up: TensorFlow Serving runs each of them before
 * a version is available, and so does the server here.
 *
 * @see <a href="https://www.tensorflow.org/tfx/serving/saved_model_warmup">SavedModel warmup</a>
 */
public final class WarmUp {
  /** Where they lie in a SavedModel: PredictionLogs in a TFRecord file. */
  public static final Path FILE = Path.of("assets.extra", "tf_serving_warmup_requests");

  /** More are refused, as by TensorFlow Serving. */
  public static final int MOST = 1000;

  private static final String EXAMPLES = "inputs";

  private WarmUp() {}

  /**
   * One request.
   *
   * @param inputs an array for each of the signature's inputs
   * @param outputs those that are wanted; empty for all
   */
  public record Call(String signature, Map<String, NpyArray> inputs, List<String> outputs) {
    /** One that wants all outputs. */
    public Call(String signature, Map<String, NpyArray> inputs) {
      this(signature, inputs, List.of());
    }
  }

  /**
   * Writes the file into a SavedModel.
   *
   * @param name that the requests have for the model
   * @throws PerformerException if a call does not fit its signature, or there are too many
   */
  public static void write(SavedModelDirectory model, String name, List<Call> calls) {
    require(calls.size() <= MOST, "%d calls to warm up are more than %d", calls.size(), MOST);
    var records = new ByteArrayOutputStream();
    for (Call call : calls) {
      var spec = model.signature(call.signature);
      var modelSpec = ServingMessage.of("ModelSpec").set("name", name);
      var request = ServingMessage.of("PredictRequest");
      request.set("model_spec", modelSpec.set("signature_name", call.signature).build());
      spec.converted(call.inputs)
          .forEach(
              (key, x) -> request.put("inputs", key, TensorMessages.bytes(spec.input(key), x)));
      call.outputs.forEach(output -> request.set("output_filter", spec.output(output).name()));
      var log = ServingMessage.of("PredictLog").set("request", request.build()).build();
      var record = ServingMessage.of("PredictionLog").set("predict_log", log).build();
      records.writeBytes(TfRecordFile.framed(record.bytes().toByteArray()));
    }
    Path file = model.path().resolve(FILE);
    try {
      Files.createDirectories(file.getParent());
      Files.write(file, records.toByteArray());
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be written: " + AtomicFiles.describe(e), e);
    }
  }

  /**
   * The requests of a SavedModel; none where it has no such file.
   *
   * @throws PerformerException naming the record that is damaged or of another kind
   */
  public static List<Call> read(SavedModelDirectory model) {
    Path file = model.path().resolve(FILE);
    List<Call> calls = new ArrayList<>();
    if (!Files.exists(file)) {
      return calls;
    }
    try (TfRecordFile records = new TfRecordFile(file)) {
      int number = 0;
      for (byte[] record = records.next(); record != null; record = records.next()) {
        number++;
        require(number <= MOST, "%s has more than %d records", file, MOST);
        try {
          calls.addAll(calls(ServingMessage.parse("PredictionLog", record)));
        } catch (IOException | PerformerException e) {
          String why = e instanceof IOException ? "no PredictionLog" : e.getMessage();
          throw new PerformerException("%s, record %d: %s".formatted(file, number, why), e);
        }
      }
    }
    return calls;
  }

  private static List<Call> calls(ServingMessage log) {
    if (log.has("predict_log")) {
      ServingMessage request = log.part("predict_log").part("request");
      Map<String, NpyArray> inputs = new TreeMap<>();
      request
          .map("inputs", ByteString.class)
          .forEach((name, x) -> inputs.put(name, TensorMessages.array(name, x)));
      var outputs = request.all("output_filter", String.class);
      return List.of(new Call(signature(request), inputs, outputs));
    } else if (log.has("classify_log")) {
      return List.of(onExamples(log.part("classify_log").part("request")));
    } else if (log.has("regress_log")) {
      return List.of(onExamples(log.part("regress_log").part("request")));
    }
    String text = "expected a request to predict, classify, regress or several of these";
    require(log.has("multi_inference_log"), text);
    ServingMessage request = log.part("multi_inference_log").part("request");
    var examples = request.part("input").examples();
    return request.parts("tasks").stream().map(task -> onExamples(task, examples)).toList();
  }

  private static Call onExamples(ServingMessage request) {
    return onExamples(request, request.part("input").examples());
  }

  private static Call onExamples(ServingMessage request, List<byte[]> examples) {
    var inputs = Map.of(EXAMPLES, NpyArray.of(examples, examples.size()));
    return new Call(signature(request), inputs);
  }

  private static String signature(ServingMessage request) {
    String name = request.part("model_spec").text("signature_name");
    return name.isEmpty() ? "serving_default" : name;
  }

  /**
   * Runs the requests of a model on it.
   *
   * @throws PerformerException naming the first that fails
   */
  public static void run(SignatureRunner model) {
    List<Call> calls = read(model.directory());
    for (int i = 0; i < calls.size(); i++) {
      Call call = calls.get(i);
      try {
        var all = model.directory().signature(call.signature).outputs().keySet();
        var outputs = call.outputs.isEmpty() ? all : call.outputs;
        model.predict(call.signature, call.inputs, outputs);
      } catch (PerformerException e) {
        String text = "%s, call %d: %s";
        Path file = model.directory().path().resolve(FILE);
        throw new PerformerException(text.formatted(file, i + 1, e.getMessage()), e);
      }
    }
  }
}
