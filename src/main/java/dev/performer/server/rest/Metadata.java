package dev.performer.server.rest;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.server.http.Json;
import dev.performer.server.models.ModelConfig;
import dev.performer.server.models.ModelStatus;
import dev.performer.server.models.ServedModel;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.tensorflow.proto.SignatureDef;
import org.tensorflow.proto.TensorInfo;

/** Protobuf's JSON of a model's status and signatures. */
final class Metadata {
  private Metadata() {}

  static ObjectNode status(List<ModelStatus> versions, ModelConfig config) {
    ArrayNode all = Json.array();
    for (ModelStatus version : versions) {
      ObjectNode one = all.addObject();
      one.put("version", Long.toString(version.version()));
      one.put("state", version.state().name());
      ObjectNode status = one.putObject("status");
      status.put("error_code", version.code().name());
      status.put("error_message", config.withoutPaths(version.error()));
    }
    return Json.object().set("model_version_status", all);
  }

  static JsonNode signatures(ServedModel model) {
    ObjectNode all = Json.object();
    ObjectNode spec = all.putObject("model_spec");
    spec.put("name", model.name());
    spec.put("signature_name", "");
    spec.put("version", Long.toString(model.version()));
    ObjectNode map = all.putObject("metadata").putObject("signature_def");
    ObjectNode signatures = map.putObject("signature_def");
    new TreeMap<>(model.model().signatureDefs())
        .forEach((name, signature) -> signatures.set(name, signature(signature)));
    return all;
  }

  private static ObjectNode signature(SignatureDef signature) {
    ObjectNode node = Json.object();
    node.set("inputs", tensors(signature.getInputsMap()));
    node.set("outputs", tensors(signature.getOutputsMap()));
    node.put("method_name", signature.getMethodName());
    node.putObject("defaults");
    return node;
  }

  private static ObjectNode tensors(Map<String, TensorInfo> infos) {
    ObjectNode node = Json.object();
    new TreeMap<>(infos).forEach((name, info) -> node.set(name, tensor(info)));
    return node;
  }

  private static ObjectNode tensor(TensorInfo info) {
    ObjectNode node = Json.object();
    node.put("dtype", info.getDtype().name());
    ObjectNode shape = node.putObject("tensor_shape");
    ArrayNode sizes = shape.putArray("dim");
    for (var dimension : info.getTensorShape().getDimList()) {
      sizes
          .addObject()
          .put("size", Long.toString(dimension.getSize()))
          .put("name", dimension.getName());
    }
    shape.put("unknown_rank", info.getTensorShape().getUnknownRank());
    return node.put("name", info.getName());
  }
}
