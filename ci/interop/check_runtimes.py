"""Converts each signature of SavedModels to ONNX and TensorFlow Lite, and compares what onnxruntime and the TFLite interpreter compute with
TensorFlow, at several batch sizes and lengths: python check_runtimes.py OUTPUT_DIR MODEL[:SIGNATURE,...[:onnx|docs|command]]...

Conversion is by the script that ./performer export runs: called here, by the command itself (command), or in the words of docs/serving.md
(docs). The longest input is the model's own limit where its performer.json has one, or 130; 64 for an import. Prints a table.
"""
import contextlib
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx.convert

TOLERANCE = 1e-5
HOME = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
DOCS = open(os.path.join(HOME, "docs/serving.md"), encoding="utf8").read()
ONNX = re.search(r"^python -m tf2onnx\.convert (.*)$", DOCS, re.M).group(1)
LITE = re.search(r"```python\n(import tensorflow as tf\nconverter.*?)```", DOCS, re.S).group(1)
SCRIPT = importlib.util.spec_from_file_location("convert", os.path.join(HOME, "src/main/resources/dev/performer/pipeline/convert.py"))
CONVERT = importlib.util.module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(CONVERT)


def named(text, model, signature, file):
    return text.replace("MODEL.", file + ".").replace("MODEL", model).replace("SIGNATURE", signature)


def inputs_of(function, batch, length, limit):
    """Token ids from 2 to 9, a mask with a shorter last row, counts within the length, other numbers from 0 to 1."""
    random = np.random.default_rng(1000 * batch + length)
    inputs = {}
    for name, spec in sorted(function.structured_input_signature[1].items()):
        shape = [size or (length if axis else batch) for axis, size in enumerate(spec.shape)] if spec.shape.rank is not None else []
        value = random.integers(2, 10, shape) if spec.dtype.is_integer else random.random(shape)
        if "mask" in name:
            value = np.ones(shape)
            value[-1, (length + 1) // 2:] = 0
        elif "type" in name:
            value = np.zeros(shape)
        elif name == "lengths":
            value = np.maximum(1, length - np.arange(batch))
        elif name == "position":
            value = np.full(shape, min(length, limit - 1))
        inputs[name] = value.astype(spec.dtype.as_numpy_dtype)
    return inputs


def difference(ours, theirs):
    """Relative to the largest value, absolute below 1."""
    if ours.shape != theirs.shape:
        return np.inf
    worst = float(np.abs(ours.astype(float) - theirs).max(initial=0)) / max(1.0, float(np.abs(theirs).max(initial=0)))
    return worst if np.isfinite(worst) else np.inf


def onnx(model, name, function, file, way):
    """A function from inputs to outputs by name."""
    keys = sorted(function.structured_outputs)
    if way == "docs":
        sys.argv = ["tf2onnx"] + shlex.split(named(ONNX, model, name, file))
        tf2onnx.convert.main()
        names = {key: key for key in keys}
    elif way == "command":
        taken = function.structured_input_signature[1]
        names = {key: key + "_out" if key in taken else key for key in keys}
    else:
        names = CONVERT.onnx(function, file + ".onnx")
    session = onnxruntime.InferenceSession(file + ".onnx")
    return lambda inputs: dict(zip(names, session.run(list(names.values()), inputs)))


def lite(model, name, file, way):
    """The same, and the ops that only TensorFlow has."""
    ops = []
    if way == "docs":
        scope = {}
        exec(named(LITE, model, name, file), scope)  # pylint: disable=exec-used
    elif way != "command":
        ops = CONVERT.tflite(model, name, file + ".tflite", False)
    return tf.lite.Interpreter(file + ".tflite").get_signature_runner(name), ops


def check(model, chosen, directory, way):
    loaded = tf.saved_model.load(model)
    card = os.path.join(model, "assets.extra/performer.json")
    described = json.load(open(card, encoding="utf8")) if os.path.exists(card) else {}
    limit = described.get("config", {"maxLength": 65}).get("maxLength") or 131
    for name in chosen or loaded.signatures:
        function = loaded.signatures[name]
        file = os.path.join(directory, "converted")
        worst, runs, ops = {}, {}, []
        if way == "command":
            command = [os.path.join(HOME, "performer"), "export", model, "--signature", name, "--python", sys.executable, "--replace"]
            subprocess.run(command + ["--onnx", file + ".onnx", "--tflite", file + ".tflite"], check=True, stdout=subprocess.DEVNULL)
        with contextlib.redirect_stderr(io.StringIO()):
            runs["onnxruntime"] = onnx(model, name, function, file, way)
            if way != "onnx":
                runs["TFLite"], ops = lite(model, name, file, way)
        for batch, length in (1, 1), (2, 7), (3, min(40, limit - 1)), (1, limit - 1):
            inputs = inputs_of(function, batch, length, limit)
            expected = function(**{key: tf.constant(value) for key, value in inputs.items()})
            for runtime, run in runs.items():
                outputs = run(inputs) if runtime == "onnxruntime" else run(**inputs)
                for key, value in expected.items():
                    found = difference(np.asarray(outputs[key]), value.numpy())
                    worst[runtime] = max(worst.get(runtime, 0), found)
        print(os.path.basename(model), name, *(f"{found:.0e}" for found in worst.values()), ", ".join(ops), sep=" | ", flush=True)
        for runtime, found in worst.items():
            if not found <= TOLERANCE:
                sys.exit(f"{model}, signature {name}: {runtime} differs from TensorFlow by {found:.1e}")


def main():
    directory, *models = sys.argv[1:]
    print("model | signature | onnxruntime | TFLite | ops outside TFLite's own")
    for model in models:
        path, signatures, way = (model + "::").split(":")[:3]
        check(path.rstrip("/"), signatures.split(",") if signatures else None, directory, way)


if __name__ == "__main__":
    main()
