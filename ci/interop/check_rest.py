"""Serves SavedModels and gets from the REST API, with Python's own HTTP client, and from gRPC what TensorFlow computes: python check_rest.py WORK_DIR

Each signature of the models in savedmodels/reference and of src/test/resources/savedmodels/served, in rows and in columns; classes,
regressions, status and metadata; a new version that comes while requests go on. Prints the largest difference.
"""
import base64
import glob
import inspect
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc_client
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2

TOLERANCE = 1e-5
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
DEFAULTS = [name for name in inspect.signature(json_format.MessageToDict).parameters if name in
            ("always_print_fields_with_no_presence", "including_default_value_fields")][0]


class Server:
    def __init__(self, log, *arguments):
        command = [os.path.join(ROOT, "performer"), "serve", *arguments, "--port", "0", "--grpc-port", "0", "--poll-interval", "0.1s"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(log, "w"), text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready: http://"):
            sys.exit(f"no server: {line}{open(log).read()}")
        self.url = line.split()[1] + "/v1/models/"
        self.grpc = grpc_client.Client(line.split()[2].removeprefix("grpc://"))

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=60) as response:
                return 200, json.load(response)
        except urllib.error.HTTPError as e:
            return e.code, json.load(e)

    def get(self, path, body=None):
        status, value = self.call(path, body)
        if status != 200:
            sys.exit(f"{path}: {status} {value}")
        return value

    def stop(self):
        self.process.terminate()
        if self.process.wait(60) != 0:
            sys.exit(f"the server ended with {self.process.returncode}")


def plain(value):
    """An array as JSON has it."""
    array = np.asarray(value)
    if array.dtype != object and array.dtype.kind != "S":
        return (array.astype(np.float32) if array.dtype.name == "bfloat16" else array).tolist()
    return np.frompyfunc(lambda b: {"b64": base64.b64encode(b).decode()}, 1, 1)(array).tolist() if array.ndim else plain([value])[0]


def bytes_of(value):
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def made(spec, name, batch, random):
    if spec.shape.rank is None:
        return tf.constant(random.random([batch, 2, 1]), spec.dtype)
    shape = [size or (7 if axis else batch) for axis, size in enumerate(spec.shape)]
    if spec.dtype == tf.string:
        words = [b"\xff\x00", "søz".encode(), b"", b"word"]
        return tf.constant(np.array([words[i % 4] for i in range(int(np.prod(shape)))], object).reshape(shape))
    if spec.dtype == tf.bool:
        return tf.constant(random.random(shape) < 0.5)
    value = np.ones(shape) if "mask" in name else np.zeros(shape) if "type" in name else random.integers(2, 10, shape)
    value = value if spec.dtype.is_integer or "mask" in name else random.normal(size=shape)
    return tf.cast(np.abs(value) if spec.dtype == tf.float64 else value, spec.dtype)


def difference(name, found, expected):
    """Relative to the largest value, absolute below 1; of what is no float 0 or infinity."""
    expected = expected.numpy()
    if expected.dtype == object or isinstance(expected, bytes):
        found = np.frompyfunc(bytes_of, 1, 1)(np.array(found, object)) if np.ndim(expected) else bytes_of(found)
        return 0 if np.array_equal(found, expected) else np.inf
    array = np.array(found).reshape(np.shape(expected)) if np.size(expected) == 0 else np.array(found)
    if array.shape != expected.shape:
        sys.exit(f"{name}: the shape is {array.shape}, not {expected.shape}")
    if expected.dtype.kind in "biu":
        return 0 if array.dtype.kind == expected.dtype.kind.replace("u", "i") and np.array_equal(array, expected) else np.inf
    expected = expected.astype(np.float64)
    if not np.array_equal(np.isnan(array), np.isnan(expected)):
        return np.inf
    return float(np.nanmax(np.abs(array - expected), initial=0)) / max(1, float(np.nanmax(np.abs(expected), initial=0)))


def predicted(server, model, signature, function, random):
    """The largest difference, and how many answers were compared."""
    specs = function.structured_input_signature[1]
    worst, count = 0, 0
    for batch in (1, 3):
        inputs = {name: made(spec, name, batch, random) for name, spec in specs.items()}
        expected = function(**inputs)
        columns = {name: plain(value.numpy()) for name, value in inputs.items()}
        if signature != "train_step":  # which may run once alone
            worst = max(worst, server.grpc.compare(model, signature, inputs, expected))
        body = {"signature_name": signature, "inputs": columns}
        found = server.get(model + ":predict", body)["outputs"]
        found = found if len(expected) > 1 else {next(iter(expected)): found}
        results = [(name, found[name]) for name in expected]
        has_rows = all(value.shape.rank and value.shape[0] == batch for value in [*inputs.values(), *expected.values()])
        if has_rows:
            rows = [{name: value[i] for name, value in columns.items()} for i in range(batch)]
            found = server.get(model + "/versions/1:predict", {"instances": rows, "signature_name": signature})["predictions"]
            found = found if len(expected) > 1 else [{next(iter(expected)): row} for row in found]
            results += [(name, [row[name] for row in found]) for name in expected]
        for name, value in results:
            worst = max(worst, difference(f"{model} {signature} {name}", value, expected[name]))
            count += 1
    if not worst <= TOLERANCE:
        sys.exit(f"{model} {signature}: differs by {worst}")
    return worst, count


def metadata(server, model, path):
    graph = saved_model_pb2.SavedModel.FromString(open(f"{path}/saved_model.pb", "rb").read()).meta_graphs[0]
    options = {"preserving_proto_field_name": True, DEFAULTS: True}
    expected = {key: json_format.MessageToDict(value, **options) for key, value in graph.signature_def.items()}
    server.grpc.metadata(model, path)
    found = server.get(model + "/metadata")
    if found["model_spec"] != {"name": model, "signature_name": "", "version": "1"}:
        sys.exit(f"{model}: model_spec is {found['model_spec']}")
    if found["metadata"]["signature_def"]["signature_def"] != expected:
        sys.exit(f"{model}: the metadata differ")
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    if server.get(model) != {"model_version_status": [status]}:
        sys.exit(f"{model}: the status is {server.get(model)}")


def estimator(server, path):
    """tf.Examples as JSON, and as TensorFlow reads them."""
    functions = tf.saved_model.load(path).signatures
    examples = [{"x": [1.5, -0.25], "k": 3, "word": "red"}, {"x": [0.0, 2.0], "tags": ["a", "b"], "word": {"b64": "/w=="}}]
    context = {"k": 2}

    def feature(value):
        values = value if isinstance(value, list) else [value]
        values = [bytes_of(v) if isinstance(v, (str, dict)) else v for v in values]
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def serialized(example):
        return tf.train.Example(features=tf.train.Features(feature={k: feature(v) for k, v in example.items()})).SerializeToString()

    for shared in ({}, {"context": context}):
        inputs = tf.constant([serialized({**shared.get("context", {}), **example}) for example in examples])
        body = {"examples": examples, **shared}
        found = server.get("estimator:classify", body)["results"]
        expected = functions["serving_default"](inputs=inputs)
        values = functions["regression"](inputs=inputs)["outputs"]
        parsed = [tf.train.Example.FromString(serialized(example)) for example in examples]
        added = tf.train.Example.FromString(serialized(shared["context"])) if shared else None
        server.grpc.examples("estimator", parsed, added, expected["classes"].numpy(), expected["scores"].numpy(), values.numpy())
        labels = [[label.encode() for label, score in row] for row in found]
        scores = [[score for label, score in row] for row in found]
        if not np.array_equal(labels, expected["classes"].numpy()) or difference("scores", scores, expected["scores"]) > TOLERANCE:
            sys.exit(f"classes differ: {found}, not {expected}")
        found = server.get("estimator:regress", {**body, "signature_name": "regression"})["results"]
        if difference("regression", [[value] for value in found], values) > TOLERANCE:
            sys.exit(f"regressions differ: {found}")
        found = server.get("estimator:predict", {"inputs": plain(inputs.numpy()), "signature_name": "predict"})["outputs"]
        for name, value in functions["predict"](examples=inputs).items():
            if difference(name, found[name], value) > TOLERANCE:
                sys.exit(f"{name} differs: {found[name]}, not {value}")


def reloaded(server, base):
    """A new version is served, without one failed request, and the old one goes."""
    failed, calls, stop = [], [0], threading.Event()

    def ask():
        while not stop.is_set():
            status, value = server.call("versioned:predict", {"instances": [1.0, 2.0]})
            calls[0] += 1
            if status != 200 or value != {"predictions": [2.5, 3.0]}:
                failed.append((status, value))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    os.makedirs(f"{base}/2/variables")
    shutil.copy(f"{base}/1/saved_model.pb", f"{base}/2")  # half a version
    deadline = time.time() + 60
    while not any(v["version"] == "2" and v["state"] == "END" for v in server.get("versioned")["model_version_status"]):
        if time.time() > deadline:
            sys.exit(f"half a version has no error: {server.get('versioned')}")
        time.sleep(0.05)
    shutil.copytree(f"{base}/1/variables", f"{base}/2/variables", dirs_exist_ok=True)
    wanted = [("2", "AVAILABLE"), ("1", "END")]
    while [(v["version"], v["state"]) for v in server.get("versioned")["model_version_status"]] != wanted:
        if time.time() > deadline:
            sys.exit(f"the new version is not served: {server.get('versioned')}")
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(f"{len(failed)} requests failed during a reload: {failed[0]}")
    return calls[0]


def cold(server, base):
    """A version that cannot be warmed up is not served."""
    shutil.copytree(f"{base}/2", f"{base}/new")
    grpc_client.warm_up(f"{base}/new", [("", {"x": np.float32([1])}), ("", {"x": np.float32([[1]])})])
    os.rename(f"{base}/new", f"{base}/3")
    deadline = time.time() + 60
    while not (found := [v for v in server.get("versioned")["model_version_status"] if (v["version"], v["state"]) == ("3", "END")]):
        if time.time() > deadline:
            sys.exit(f"a version with a wrong request to warm up has no error: {server.get('versioned')}")
        time.sleep(0.05)
    if "tf_serving_warmup_requests, call 2: " not in found[0]["status"]["error_message"]:
        sys.exit(f"the error of a request to warm up is {found[0]}")
    if server.get("versioned:predict", {"instances": [1.0]}) != {"predictions": [2.5]}:
        sys.exit("the version before is not served")


def main(work):
    models = {os.path.basename(os.path.dirname(path)): path for path in sorted(glob.glob(f"{ROOT}/savedmodels/reference/*/*saved_model"))}
    served = f"{ROOT}/src/test/resources/savedmodels/served"
    models.update({name: f"{served}/{name}" for name in ("types", "estimator")})
    base = f"{work}/versioned"
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(models["types"], f"{base}/1")
    grpc_client.warm_up(f"{base}/1", [("", {"x": np.float32([1])}), ("image", {"image_bytes": ["a", "bc"]})])
    server = Server(f"{work}/serve.log", *[f"{name}={path}" for name, path in models.items()], f"versioned={base}")
    random = np.random.default_rng(5)
    worst, count = 0, 0
    for name, path in models.items():
        metadata(server, name, path)
        if name != "estimator":
            for signature, function in tf.saved_model.load(path).signatures.items():
                difference_of, compared = predicted(server, name, signature, function, random)
                worst, count = max(worst, difference_of), count + compared
    estimator(server, models["estimator"])
    status, value = server.call("none:predict", {"instances": [1]})
    if (status, value) != (404, {"error": "Servable not found for request: Latest(none)"}):
        sys.exit(f"an unknown model: {status} {value}")
    calls = reloaded(server, base)
    cold(server, base)
    folders = {**models, "versioned": base}
    server.grpc.health()
    server.grpc.errors("types", models["types"], folders)
    server.grpc.reload({**folders, "again": models["types"]})
    if server.get("again:predict", {"instances": [1.0]}) != {"predictions": [2.5]}:
        sys.exit("what gRPC made the server load is not served")
    server.grpc.reload(folders)
    server.stop()
    print(f"REST and gRPC: {len(models)} models, {count} outputs as TensorFlow computes them, differences up to {worst:.1e}; "
          f"{calls} requests through a reload", file=sys.stderr)


main(sys.argv[1])
