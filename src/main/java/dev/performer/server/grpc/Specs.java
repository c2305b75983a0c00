package dev.performer.server.grpc;

import com.google.protobuf.Int64Value;
import dev.performer.savedmodel.protos.ServingMessage;
import dev.performer.server.models.ServedModel;
import dev.performer.server.models.Version;

/** ModelSpecs: which model a request is for, and which answered it. */
final class Specs {
  private Specs() {}

  static Version version(ServingMessage spec) {
    if (spec.has("version")) {
      return Version.of(spec.part("version").number("value"));
    }
    return spec.has("version_label") ? Version.label(spec.text("version_label")) : Version.LATEST;
  }

  static ServingMessage spec(ServedModel model, String signature) {
    return ServingMessage.of("ModelSpec")
        .set("name", model.name())
        .set("version", Int64Value.of(model.version()))
        .set("signature_name", signature)
        .build();
  }
}
