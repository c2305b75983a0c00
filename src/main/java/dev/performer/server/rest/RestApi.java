package dev.performer.server.rest;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import dev.performer.server.http.Api;
import dev.performer.server.http.Call;
import dev.performer.server.http.Failure;
import dev.performer.server.http.Handler;
import dev.performer.server.http.Json;
import dev.performer.server.http.Refusal;
import dev.performer.server.http.Routes;
import dev.performer.server.http.Schema;
import dev.performer.server.models.ExampleCalls;
import dev.performer.server.models.Lease;
import dev.performer.server.models.ModelRepository;
import dev.performer.server.models.ServedModel;
import dev.performer.server.models.Version;
import java.io.IOException;
import java.util.Map;
import java.util.function.Function;

/**
 * TensorFlow Serving's REST API: status, metadata, {@code :predict}, {@code :classify} and {@code
 * :regress}.
 */
public final class RestApi implements Api {
  private static final String MODEL = "/v1/models/{model}";
  private static final Map<String, Function<Call, Version>> VERSIONS =
      Map.of(
          "", call -> Version.LATEST,
          "/versions/{version}", call -> version(call.parameter("version")),
          "/labels/{label}", call -> Version.label(call.parameter("label")));

  private static final JsonNode SIGNATURE = Schema.of("string", "serving_default if not given");

  private final ModelRepository repository;
  private final int mostRows;

  /** Serves what a repository holds, which stays its owner's. */
  public RestApi(ModelRepository repository) {
    this.repository = repository;
    mostRows = repository.options().mostRows();
  }

  @Override
  public String name() {
    return "tensorflow-serving";
  }

  @Override
  public void mount(Routes routes) {
    VERSIONS.forEach((path, version) -> mount(routes, MODEL + path, version));
  }

  private void mount(Routes routes, String path, Function<Call, Version> version) {
    ObjectNode versions = Schema.object();
    JsonNode state = Schema.any("version, state and status");
    Schema.require(versions, "model_version_status", Schema.array(state, "by version"));
    routes
        .get(path, call -> status(call, version.apply(call)))
        .summary("How far versions of a model are.")
        .response(versions);
    ObjectNode metadata = Schema.object();
    Schema.require(metadata, "model_spec", Schema.any("name and version"));
    Schema.require(metadata, "metadata", Schema.any("signature_def: the signatures by name"));
    routes
        .get(path + "/metadata", withModel(version, RestApi::metadata))
        .summary("The signatures of a model.")
        .response(metadata);
    ObjectNode inputs = Schema.with(Schema.object(), "signature_name", SIGNATURE);
    Schema.with(inputs, "instances", Schema.array(Schema.any("a row"), "rows of the inputs"));
    Schema.with(inputs, "inputs", Schema.any("the input, or inputs by name"));
    ObjectNode outputs = Schema.object();
    Schema.with(outputs, "predictions", Schema.array(Schema.any("a row"), "rows of the outputs"));
    Schema.with(outputs, "outputs", Schema.any("the output, or outputs by name"));
    routes
        .post(path + ":predict", withModel(version, this::predict))
        .summary("Runs a signature on 'instances' (rows) or 'inputs' (columns).")
        .request(inputs)
        .response(outputs);
    ObjectNode example = Schema.map(Schema.any("a value or a list"), "features by name");
    ObjectNode examples = Schema.with(Schema.object(), "signature_name", SIGNATURE);
    Schema.require(examples, "examples", Schema.array(example, "at least one"));
    Schema.with(examples, "context", example);
    routes
        .post(path + ":classify", withModel(version, this::classify))
        .summary("Classifies 'examples'.")
        .request(examples)
        .response(results("pairs of label and score, of each example"));
    routes
        .post(path + ":regress", withModel(version, this::regress))
        .summary("Gives each of 'examples' a number.")
        .request(examples)
        .response(results("a number of each example"));
  }

  private static ObjectNode results(String what) {
    return Schema.require(Schema.object(), "results", Schema.array(Schema.any(what), what));
  }

  @Override
  public JsonNode error(Failure failure) {
    return Json.object().put("error", failure.message());
  }

  private static Version version(String number) {
    require(number.matches("[0-9]+"), "Malformed request: '%s' is no version number", number);
    try {
      return Version.of(Long.parseLong(number));
    } catch (NumberFormatException e) {
      throw new Refusal(400, "Failed to convert version: " + number + " to numeric.");
    }
  }

  private interface OnModel {
    void handle(Call call, ServedModel model) throws IOException;
  }

  private Handler withModel(Function<Call, Version> version, OnModel handler) {
    return call -> {
      try (Lease lease = repository.lease(call.parameter("model"), version.apply(call))) {
        call.model(lease.model().name());
        handler.handle(call, lease.model());
      } catch (JsonProcessingException e) {
        throw new Refusal(400, "JSON Parse error: " + StrictJson.reason(e));
      }
    };
  }

  private void status(Call call, Version version) {
    String name = call.parameter("model");
    ObjectNode status = Metadata.status(repository.status(name, version), repository.config());
    call.model(name);
    ObjectNode body = isOfOpenAi(call) ? card(name) : Json.object();
    call.respond(200, body.setAll(status));
  }

  /** This path is of OpenAI's API, too, whose clients look for other keys. */
  private static boolean isOfOpenAi(Call call) {
    String agent = call.header("User-Agent");
    return call.header("X-Stainless-Lang") != null || agent != null && agent.startsWith("OpenAI/");
  }

  private ObjectNode card(String name) {
    try (Lease lease = repository.lease(name, Version.LATEST)) {
      return Json.object()
          .put("id", name)
          .put("object", "model")
          .put("created", lease.model().created().getEpochSecond())
          .put("owned_by", "performer");
    }
  }

  private static void metadata(Call call, ServedModel model) {
    call.respond(200, Metadata.signatures(model));
  }

  private void predict(Call call, ServedModel model) throws IOException {
    var request = PredictRequest.read(call, model.model().signatures(), mostRows);
    String signature = request.signature().name();
    Map<String, NpyArray> outputs =
        model.predict(signature, request.inputs(), null, call.deadline());
    long values = outputs.values().stream().mapToLong(NpyArray::size).sum();
    String text = "the outputs have %d elements; this API gives %d at most: send fewer rows";
    require(values <= TensorReader.MOST, text, values, TensorReader.MOST);
    respond(call, TensorWriter.write(outputs, request.isRow()));
  }

  private void classify(Call call, ServedModel model) throws IOException {
    var request = ExamplesRequest.read(call, mostRows);
    var all =
        ExampleCalls.classify(model, request.signature(), request.examples(), call.deadline());
    respond(
        call,
        TensorWriter.document(
            json -> {
              json.writeArrayFieldStart("results");
              for (var labels : all) {
                json.writeStartArray();
                for (var label : labels) {
                  json.writeStartArray();
                  json.writeString(label.label());
                  json.writeNumber(label.score());
                  json.writeEndArray();
                }
                json.writeEndArray();
              }
              json.writeEndArray();
            }));
  }

  private void regress(Call call, ServedModel model) throws IOException {
    var request = ExamplesRequest.read(call, mostRows);
    float[] values =
        ExampleCalls.regress(model, request.signature(), request.examples(), call.deadline());
    respond(
        call,
        TensorWriter.document(
            json -> {
              json.writeArrayFieldStart("results");
              for (float value : values) {
                json.writeNumber(value);
              }
              json.writeEndArray();
            }));
  }

  private static void respond(Call call, byte[] json) {
    call.respond(200, "application/json", json);
  }
}
