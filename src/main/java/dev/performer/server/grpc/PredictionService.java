package dev.performer.server.grpc;

import static dev.performer.PerformerException.require;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import dev.performer.Excerpt;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.protos.ServingMessage;
import dev.performer.savedmodel.protos.TensorMessages;
import dev.performer.server.models.ExampleCalls;
import dev.performer.server.models.Lease;
import dev.performer.server.models.ModelRepository;
import dev.performer.server.models.ServedModel;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** TensorFlow Serving's PredictionService. */
record PredictionService(ModelRepository models) {
  private static final String SIGNATURES = "signature_def";

  ServerServiceDefinition on(Calls calls) {
    return Method.service(
        "PredictionService",
        calls,
        List.of(
            new Method("Classify", "ClassificationRequest", this::classify),
            new Method("Regress", "RegressionRequest", this::regress),
            new Method("Predict", "PredictRequest", this::predict),
            new Method("MultiInference", "MultiInferenceRequest", this::infer),
            new Method("GetModelMetadata", "GetModelMetadataRequest", this::metadata)));
  }

  private Lease lease(ServingMessage request) {
    require(request.has("model_spec"), "Missing ModelSpec");
    ServingMessage spec = request.part("model_spec");
    return models.lease(spec.text("name"), Specs.version(spec));
  }

  private static String signature(ServingMessage request) {
    String name = request.part("model_spec").text("signature_name");
    return name.isEmpty() ? ImportedModel.DEFAULT_SIGNATURE : name;
  }

  private ServingMessage predict(ServingMessage request, Instant deadline) {
    try (Lease lease = lease(request)) {
      ServedModel model = lease.model();
      String signature = signature(request);
      SignatureSpec spec = model.model().signatures().get(signature);
      if (spec == null) {
        String text = "Serving signature key \"%s\" not found; there are [%s]";
        String known = Excerpt.names(model.model().signatures().keySet());
        throw Statuses.refusal(Status.FAILED_PRECONDITION, text, Excerpt.of(signature), known);
      }
      Map<String, NpyArray> inputs = new TreeMap<>();
      request
          .map("inputs", ByteString.class)
          .forEach((name, x) -> inputs.put(name, TensorMessages.array(name, x)));
      List<String> filter = request.all("output_filter", String.class);
      Set<String> distinct = new HashSet<>(filter);
      require(distinct.size() == filter.size(), "duplicate output tensor alias in %s", filter);
      filter.forEach(spec::output);
      var wanted = filter.isEmpty() ? null : filter;
      var outputs = model.predict(signature, inputs, wanted, deadline);
      var response = ServingMessage.of("PredictResponse");
      response.set("model_spec", Specs.spec(model, signature));
      outputs.forEach(
          (name, y) -> response.put("outputs", name, TensorMessages.bytes(spec.output(name), y)));
      return response.build();
    }
  }

  private ServingMessage classify(ServingMessage request, Instant deadline) {
    try (Lease lease = lease(request)) {
      String signature = signature(request);
      var examples = request.part("input").examples();
      return ServingMessage.of("ClassificationResponse")
          .set("result", classes(lease.model(), signature, examples, deadline))
          .set("model_spec", Specs.spec(lease.model(), signature))
          .build();
    }
  }

  private static ServingMessage classes(
      ServedModel model, String signature, List<byte[]> examples, Instant deadline) {
    var result = ServingMessage.of("ClassificationResult");
    for (var classes : ExampleCalls.classify(model, signature, examples, deadline)) {
      var all = ServingMessage.of("Classifications");
      for (var one : classes) {
        var label = ServingMessage.of("Class").set("label", one.label()).set("score", one.score());
        all.set("classes", label.build());
      }
      result.set("classifications", all.build());
    }
    return result.build();
  }

  private ServingMessage regress(ServingMessage request, Instant deadline) {
    try (Lease lease = lease(request)) {
      String signature = signature(request);
      var examples = request.part("input").examples();
      return ServingMessage.of("RegressionResponse")
          .set("result", values(lease.model(), signature, examples, deadline))
          .set("model_spec", Specs.spec(lease.model(), signature))
          .build();
    }
  }

  private static ServingMessage values(
      ServedModel model, String signature, List<byte[]> examples, Instant deadline) {
    var result = ServingMessage.of("RegressionResult");
    for (float value : ExampleCalls.regress(model, signature, examples, deadline)) {
      result.set("regressions", ServingMessage.of("Regression").set("value", value).build());
    }
    return result.build();
  }

  /** Several signatures of one model on the same examples. */
  private ServingMessage infer(ServingMessage request, Instant deadline) {
    List<ServingMessage> tasks = request.parts("tasks");
    require(!tasks.isEmpty(), "Inference request must have at least one task");
    Set<String> names = new HashSet<>();
    Set<String> signatures = new HashSet<>();
    for (ServingMessage task : tasks) {
      names.add(task.part("model_spec").text("name"));
      String text = "Duplicate evaluation of signature: %s";
      require(signatures.add(signature(task)), text, signature(task));
    }
    String several = "All ModelSpecs in a MultiInferenceRequest must access the same model name";
    require(names.size() == 1, several);
    var examples = request.part("input").examples();
    var response = ServingMessage.of("MultiInferenceResponse");
    try (Lease lease = lease(tasks.get(0))) {
      for (ServingMessage task : tasks) {
        String signature = signature(task);
        var result = ServingMessage.of("InferenceResult");
        result.set("model_spec", Specs.spec(lease.model(), signature));
        switch (task.text("method_name")) {
          case ExampleCalls.CLASSIFY ->
              result.set(
                  "classification_result", classes(lease.model(), signature, examples, deadline));
          case ExampleCalls.REGRESS ->
              result.set("regression_result", values(lease.model(), signature, examples, deadline));
          default -> {
            String text = "Unsupported signature method_name: %s; expected %s or %s";
            String given = Excerpt.of(task.text("method_name"));
            String message = text.formatted(given, ExampleCalls.CLASSIFY, ExampleCalls.REGRESS);
            throw Statuses.refusal(Status.UNIMPLEMENTED, "%s", message);
          }
        }
        response.set("results", result.build());
      }
    }
    return response.build();
  }

  private ServingMessage metadata(ServingMessage request, Instant deadline) {
    List<String> fields = request.all("metadata_field", String.class);
    require(!fields.isEmpty(), "GetModelMetadataRequest must specify at least one metadata_field");
    for (String field : fields) {
      String text = "Metadata field %s is not supported; there is %s";
      require(field.equals(SIGNATURES), text, Excerpt.of(field), SIGNATURES);
    }
    try (Lease lease = lease(request)) {
      var signatures = ServingMessage.of("SignatureDefMap");
      lease
          .model()
          .model()
          .signatureDefs()
          .forEach((name, def) -> signatures.put(SIGNATURES, name, def.toByteString()));
      Any any =
          Any.newBuilder()
              .setTypeUrl("type.googleapis.com/tensorflow.serving.SignatureDefMap")
              .setValue(signatures.build().bytes())
              .build();
      return ServingMessage.of("GetModelMetadataResponse")
          .set("model_spec", Specs.spec(lease.model(), ""))
          .put("metadata", SIGNATURES, any)
          .build();
    }
  }
}
