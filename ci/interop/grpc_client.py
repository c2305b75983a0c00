"""TensorFlow Serving's gRPC API as PyPI's tensorflow-serving-api speaks it; check_rest.py asks it beside REST, of the same server."""
import os
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (classification_pb2, get_model_metadata_pb2, get_model_status_pb2, inference_pb2, model_management_pb2,
                                     model_service_pb2_grpc, predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc,
                                     regression_pb2)

TOLERANCE = 1e-5


class Client:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, model, signature, inputs, outputs=(), version=None):
        request = predict_pb2.PredictRequest(output_filter=outputs)
        request.model_spec.name, request.model_spec.signature_name = model, signature
        if version:
            request.model_spec.version.value = version
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value))
        return self.prediction.Predict(request, timeout=60)

    def compare(self, model, signature, inputs, expected):
        """The largest difference; values go once as bytes and once in the field of their type, as clients in other languages write them."""
        worst = 0
        for proto in (tf.make_tensor_proto, typed):
            response = self.predict(model, signature, {name: proto(value.numpy()) for name, value in inputs.items()})
            spec = response.model_spec
            if (spec.name, spec.signature_name, spec.version.value) != (model, signature, 1) or set(response.outputs) != set(expected):
                sys.exit(f"gRPC {model} {signature}: the answer is {spec} with {sorted(response.outputs)}")
            for name, value in expected.items():
                worst = max(worst, difference(f"gRPC {model} {signature} {name}", tf.make_ndarray(response.outputs[name]), value.numpy()))
        one = sorted(expected)[0]
        if list(self.predict(model, signature, {k: v.numpy() for k, v in inputs.items()}, [one], 1).outputs) != [one]:
            sys.exit(f"gRPC {model} {signature}: output_filter is not kept")
        if not worst <= TOLERANCE:
            sys.exit(f"gRPC {model} {signature}: differs by {worst}")
        return worst

    def metadata(self, model, path):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = model
        found = get_model_metadata_pb2.SignatureDefMap()
        self.prediction.GetModelMetadata(request, timeout=60).metadata["signature_def"].Unpack(found)
        graph = saved_model_pb2.SavedModel.FromString(open(f"{path}/saved_model.pb", "rb").read()).meta_graphs[0]
        if dict(found.signature_def) != dict(graph.signature_def):
            sys.exit(f"gRPC {model}: the metadata differ")
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = model
        versions = self.models.GetModelStatus(status, timeout=60).model_version_status
        if [(v.version, v.state, v.status.error_code) for v in versions] != [(1, get_model_status_pb2.ModelVersionStatus.AVAILABLE, 0)]:
            sys.exit(f"gRPC {model}: the status is {versions}")

    def examples(self, model, examples, context, classes, scores, values):
        """Classifies, regresses and does both at once. @param classes, scores, values what TensorFlow computes of the examples"""
        request = {kind: make() for kind, make in (("classify", classification_pb2.ClassificationRequest),
                                                   ("regress", regression_pb2.RegressionRequest), ("both", inference_pb2.MultiInferenceRequest))}
        for message in request.values():
            given = message.input.example_list_with_context if context else message.input.example_list
            given.examples.extend(examples)
            if context:
                given.context.CopyFrom(context)
        request["classify"].model_spec.name = request["regress"].model_spec.name = model
        request["regress"].model_spec.signature_name = "regression"
        for signature, method in (("serving_default", "classify"), ("regression", "regress")):
            task = request["both"].tasks.add(method_name=f"tensorflow/serving/{method}")
            task.model_spec.name, task.model_spec.signature_name = model, signature
        both = self.prediction.MultiInference(request["both"], timeout=60).results
        found = [(self.prediction.Classify(request["classify"], timeout=60).result, self.prediction.Regress(request["regress"], timeout=60).result),
                 (both[0].classification_result, both[1].regression_result)]
        for classified, regressed in found:
            labels = [[c.label.encode() for c in row.classes] for row in classified.classifications]
            if not np.array_equal(labels, classes):
                sys.exit(f"gRPC: classes differ: {labels}, not {classes}")
            difference("gRPC scores", np.array([[c.score for c in row.classes] for row in classified.classifications], np.float32), scores)
            difference("gRPC regression", np.array([[r.value] for r in regressed.regressions], np.float32), values)

    def reload(self, models):
        """Takes over a configuration. @param models folders by name"""
        request = model_management_pb2.ReloadConfigRequest()
        for name, path in models.items():
            request.config.model_config_list.config.add(name=name, base_path=path, model_platform="tensorflow")
        return self.models.HandleReloadConfigRequest(request, timeout=60)

    def health(self):
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        if check(b"", timeout=60) != b"\x08\x01":
            sys.exit("gRPC: the server says that it is not healthy")

    def refuses(self, code, part, call):
        try:
            call()
        except grpc.RpcError as e:
            if e.code() != code or part not in e.details():
                sys.exit(f"gRPC: {e.code()} {e.details()}, not {code} {part}")
            return
        sys.exit(f"gRPC: no error, but expected {code} {part}")

    def errors(self, model, path, models):
        """What TensorFlow Serving refuses, with its codes. @param model of one input x, float32 [?] @param models that are served, by name"""
        x = {"x": np.float32([1, 2])}
        code = grpc.StatusCode
        self.refuses(code.NOT_FOUND, "Servable not found for request: Latest(none)", lambda: self.predict("none", "", x))
        self.refuses(code.NOT_FOUND, f"Specific({model}, 9)", lambda: self.predict(model, "", x, version=9))
        self.refuses(code.FAILED_PRECONDITION, "none", lambda: self.predict(model, "none", x))
        self.refuses(code.INVALID_ARGUMENT, "no", lambda: self.predict(model, "", x, ["no"]))
        self.refuses(code.INVALID_ARGUMENT, "z", lambda: self.predict(model, "", {"z": x["x"]}))
        self.refuses(code.INVALID_ARGUMENT, "int64", lambda: self.predict(model, "", {"x": np.int64([1])}))
        self.refuses(code.INVALID_ARGUMENT, "shape", lambda: self.predict(model, "", {"x": np.float32([[1]])}))
        short = tf.make_tensor_proto(x["x"])
        short.tensor_content = b"123"
        self.refuses(code.INVALID_ARGUMENT, "tensor parsing error", lambda: self.predict(model, "", {"x": short}))
        self.refuses(code.INVALID_ARGUMENT, "outside", lambda: self.reload({**models, "outside": "/"}))


def warm_up(path, requests):
    """Writes PredictRequests into a SavedModel as TensorFlow Serving wants them. @param requests inputs by signature"""
    os.makedirs(f"{path}/assets.extra", exist_ok=True)
    with tf.io.TFRecordWriter(f"{path}/assets.extra/tf_serving_warmup_requests") as writer:
        for signature, inputs in requests:
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


FIELDS = {"float32": "float_val", "float64": "double_val", "int32": "int_val", "uint8": "int_val", "int64": "int64_val", "bool": "bool_val",
          "float16": "half_val", "bfloat16": "half_val", "object": "string_val"}


def typed(value):
    """A tensor with its values in the field of its type."""
    array = np.asarray(value)
    proto = tf.make_tensor_proto(value)
    proto.ClearField("tensor_content")
    field = FIELDS.get(array.dtype.name, "string_val")
    proto.ClearField(field)
    flat = array.view(np.uint16) if field == "half_val" else array
    getattr(proto, field).extend(flat.ravel().tolist())
    return proto


def difference(name, found, expected):
    """Relative to the largest value, absolute below 1; fails for another type or shape, or where what is no float differs."""
    expected = np.asarray(expected)
    if found.shape != expected.shape or (expected.dtype.kind not in "OS" and found.dtype != expected.dtype):
        sys.exit(f"{name}: {found.dtype} {found.shape}, not {expected.dtype} {expected.shape}")
    if expected.dtype.kind not in "f" and expected.dtype.name != "bfloat16":
        if not np.array_equal(found, expected):
            sys.exit(f"{name}: {found}, not {expected}")
        return 0
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    worst = float(np.max(np.abs(found - expected), initial=0)) / max(1, float(np.max(np.abs(expected), initial=0)))
    if not worst <= TOLERANCE:
        sys.exit(f"{name}: differs by {worst}")
    return worst
