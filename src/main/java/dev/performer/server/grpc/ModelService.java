package dev.performer.server.grpc;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.savedmodel.protos.ServingMessage;
import dev.performer.server.models.ModelConfig;
import dev.performer.server.models.ModelConfig.Policy;
import dev.performer.server.models.ModelConfig.Served;
import dev.performer.server.models.ModelRepository;
import dev.performer.server.models.ModelStatus;
import io.grpc.ServerServiceDefinition;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** TensorFlow Serving's ModelService. */
record ModelService(ModelRepository models) {
  ServerServiceDefinition on(Calls calls) {
    return Method.service(
        "ModelService",
        calls,
        List.of(
            new Method("GetModelStatus", "GetModelStatusRequest", this::status),
            new Method("HandleReloadConfigRequest", "ReloadConfigRequest", this::reload)));
  }

  private ServingMessage status(ServingMessage request, Instant deadline) {
    require(request.has("model_spec"), "Missing ModelSpec");
    ServingMessage spec = request.part("model_spec");
    var response = ServingMessage.of("GetModelStatusResponse");
    for (ModelStatus status : models.status(spec.text("name"), Specs.version(spec))) {
      var error = status(status.code().number(), models.config().withoutPaths(status.error()));
      var version = ServingMessage.of("ModelVersionStatus").set("version", status.version());
      version.set("state", number(status.state())).set("status", error);
      response.set("model_version_status", version.build());
    }
    return response.build();
  }

  private static ServingMessage status(int code, String message) {
    return ServingMessage.of("StatusProto")
        .set("error_code", code)
        .set("error_message", message)
        .build();
  }

  private static int number(ModelStatus.State state) {
    return 10 * (state.ordinal() + 1); // START 10, LOADING 20 … END 50
  }

  private ServingMessage reload(ServingMessage request, Instant deadline) {
    ServingMessage config = request.part("config");
    String other = "only a model_config_list can be taken over, no custom_model_config";
    require(config.has("model_config_list"), other);
    List<Served> served = new ArrayList<>();
    for (ServingMessage one : config.part("model_config_list").parts("config")) {
      String platform = one.text("model_platform");
      String text = "the model platform %s is not served; expected tensorflow";
      require(platform.isEmpty() || platform.equals("tensorflow"), text, Excerpt.of(platform));
      var labels = one.map("version_labels", Long.class);
      Policy policy = policy(one.part("model_version_policy"));
      served.add(new Served(one.text("name"), path(one.text("base_path")), policy, labels));
    }
    models.reloadWithin(new ModelConfig(served));
    return ServingMessage.of("ReloadConfigResponse").set("status", status(0, "")).build();
  }

  private static Path path(String text) {
    try {
      return Path.of(text);
    } catch (InvalidPathException e) {
      throw new PerformerException("base_path is no path: " + Excerpt.of(text), e);
    }
  }

  private static Policy policy(ServingMessage policy) {
    if (policy.has("all")) {
      return new Policy.All();
    } else if (policy.has("specific")) {
      return new Policy.Specific(Set.copyOf(policy.part("specific").all("versions", Long.class)));
    }
    long latest = policy.part("latest").number("num_versions") & 0xffffffffL; // unsigned
    return new Policy.Latest(latest == 0 ? 1 : (int) Math.min(latest, Integer.MAX_VALUE));
  }
}
