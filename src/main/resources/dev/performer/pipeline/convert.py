"""Converts one signature of a SavedModel: python convert.py onnx|tflite MODEL SIGNATURE FILE QUANTIZE

Prints lines that begin with "note: ", or one that begins with "failed: ".
"""
import os
import re
import sys

OLDEST = (2, 16)
OPSET = 17
ANSWER = os.dup(1)


class Failure(Exception):
    """A reason in words."""


def say(text):
    os.write(ANSWER, (" ".join(text.split())[:600] + "\n").encode())


try:
    import tensorflow as tf
except ImportError as error:
    say(f"failed: it has no tensorflow ({error}); install tensorflow 2.18")
    sys.exit(1)


def onnx(signature, file):
    """Returns the names of the outputs in the file by those of the signature."""
    try:
        import onnx as format_  # pylint: disable=import-outside-toplevel
        import tf2onnx  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Failure(f"it has no tf2onnx ({error}); install tf2onnx 1.17") from error
    specs = signature.structured_input_signature[1]
    keys = sorted(specs)
    # A graph of ONNX has no two tensors of one name, as states have that come and go.
    names = {key: key + "_out" if key in specs else key for key in signature.structured_outputs}

    @tf.function(input_signature=[tf.TensorSpec(specs[key].shape, specs[key].dtype, name=key) for key in keys])
    def served(*values):
        outputs = signature(**dict(zip(keys, values)))
        return {names[key]: tf.identity(value) for key, value in outputs.items()}

    made, _ = tf2onnx.convert.from_function(served, served.input_signature, opset=OPSET)
    # Constants beside the graph, as Keras keeps projections, come out as inputs.
    for value, inside in served.get_concrete_function().graph.captures:
        for place in [place for place in made.graph.input if place.name == inside.name]:
            made.graph.input.remove(place)
            made.graph.initializer.append(format_.numpy_helper.from_array(value.numpy(), inside.name))
    format_.checker.check_model(made)
    format_.save(made, file)
    return names


def tflite(model, signature, file, quantize):
    """Returns the ops that only TensorFlow has."""
    def converted(ops):
        converter = tf.lite.TFLiteConverter.from_saved_model(model, signature_keys=[signature])
        converter.target_spec.supported_ops = ops
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return converter.convert()

    builtin = [tf.lite.OpsSet.TFLITE_BUILTINS]
    needed = []
    try:
        content = converted(builtin)
    except Exception as error:  # pylint: disable=broad-except
        needed = sorted(set(", ".join(re.findall(r"TF Select ops: ([^\n]*)", str(error))).split(", ")) - {""})
        if not needed:
            raise
        content = converted(builtin + [tf.lite.OpsSet.SELECT_TF_OPS])
    with open(file, "wb") as out:
        out.write(content)
    return needed


def convert(kind, model, name, file, quantize):
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    if version < OLDEST:
        raise Failure(f"its tensorflow is {tf.__version__}; {OLDEST[0]}.{OLDEST[1]} or newer is needed, 2.18 is what was tried")
    loaded = tf.saved_model.load(model)
    if name not in loaded.signatures:
        raise Failure(f"{model} has no signature {name}; it has {', '.join(sorted(loaded.signatures))}")
    if kind == "onnx":
        names = onnx(loaded.signatures[name], file)
        renamed = sorted(new for old, new in names.items() if new != old)
        if renamed:
            say("note: has other names for outputs that are inputs, too: " + ", ".join(renamed))
    else:
        needed = tflite(model, name, file, quantize == "true")
        if needed:
            say("note: needs an interpreter with TensorFlow's own ops (Flex): " + ", ".join(needed))


def main():
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        convert(*sys.argv[1:])
    except Failure as failure:
        say(f"failed: {failure}")
    except Exception as error:  # pylint: disable=broad-except
        lines = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
        say(f"failed: {type(error).__name__}: {lines[0]}")


if __name__ == "__main__":
    main()
