"""Checks SavedModels that Java wrote: python check_export.py OUTPUT_DIR MODEL...

MODEL.npz beside it holds inputs and Java's outputs. Loads the model as TF2 and TF1 programs, Keras and
saved_model_cli do, trains it for a step, and saves it again into OUTPUT_DIR, untrained and trained, with the
outputs that Python computes beside each, for Java to compare.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import collections
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

TOLERANCE = 1e-5


def arrays_by_signature(path):
    """{signature: ({input: array}, {output: array})} of an npz that Java wrote."""
    signatures = collections.defaultdict(lambda: ({}, {}))
    with np.load(path) as arrays:
        for key in arrays.files:
            kind, signature, name = key.split("|")
            signatures[signature][0 if kind == "in" else 1][name] = arrays[key]
    return dict(signatures)


def require_close(what, actual, expected):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype}, expected {expected.dtype}"
    difference = np.max(np.abs(actual - expected), initial=0)
    scale = max(1.0, np.max(np.abs(expected), initial=0))
    assert difference <= TOLERANCE * scale, f"{what}: differs by {difference}"
    return difference


def check_signatures(model, expected):
    assert set(model.signatures) == set(expected), (set(model.signatures), set(expected))
    worst = 0.0
    for name, (inputs, outputs) in expected.items():
        function = model.signatures[name]
        results = function(**{key: tf.constant(value) for key, value in inputs.items()})
        assert set(results) == set(outputs), (name, set(results), set(outputs))
        for key, value in results.items():
            worst = max(worst, require_close(f"{name}/{key}", value, outputs[key]))
            declared = function.structured_outputs[key].shape
            assert declared.is_compatible_with(value.shape), f"{name}/{key} declares {declared}"
            assert declared.rank == len(value.shape), f"{name}/{key} declares no rank"
        if len(inputs) == 1:
            (value,) = inputs.values()
            function(tf.constant(value))
    return worst


def check_call(model, expected):
    """model(...) takes the inputs of serving_default, for any batch and length."""
    inputs, outputs = expected["serving_default"]
    values = [tf.constant(value) for value in inputs.values()]
    results = model(*values)
    for key, value in results.items():
        require_close(f"__call__/{key}", value, outputs[key])
    model(*[value[:1, :3] for value in values])


def check_variables(model, directory):
    """Attributes follow the names; flags, types and values are the checkpoint's."""
    checkpoint = tf.train.load_checkpoint(os.path.join(directory, "variables", "variables"))
    assert len(model.trainable_variables) > 0
    assert all(variable.trainable for variable in model.trainable_variables)
    assert not any(variable.trainable for variable in model.non_trainable_variables)
    assert len(model.trainable_variables) + len(model.non_trainable_variables) == len(model.variables)
    for variable in model.variables:
        name = variable.name.split(":")[0]
        target = model
        for part in name.split("/"):
            target = target[int(part)] if part.isdigit() else getattr(target, part)
        assert target is variable, name
        value = checkpoint.get_tensor(f"{name}/.ATTRIBUTES/VARIABLE_VALUE")
        assert value.dtype == variable.numpy().dtype, name
        assert np.array_equal(value, variable.numpy()), name
    assert not any("projection" in variable.name for variable in model.trainable_variables)


def check_command_line(directory, expected):
    cli = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")
    shown = subprocess.run(
        [cli, "show", "--dir", directory, "--all"], check=True, capture_output=True, text=True
    ).stdout
    for name, (inputs, outputs) in expected.items():
        assert f"signature_def['{name}']" in shown, shown
        for key in list(inputs) + list(outputs):
            assert f"['{key}']" in shown, key
    assert "Method name is: tensorflow/serving/predict" in shown
    with tempfile.TemporaryDirectory() as scratch:
        for name, (inputs, outputs) in expected.items():
            arguments = []
            for key, value in inputs.items():
                file = os.path.join(scratch, f"{name}_{key}.npy")
                np.save(file, value)
                arguments.append(f"{key}={file}")
            subprocess.run(
                [cli, "run", "--dir", directory, "--tag_set", "serve", "--signature_def", name]
                + ["--inputs", ";".join(arguments), "--outdir", scratch, "--overwrite"],
                check=True,
                capture_output=True,
            )
            for key, value in outputs.items():
                require_close(f"cli {name}/{key}", np.load(os.path.join(scratch, f"{key}.npy")), value)


def check_version_1(directory, expected):
    """The loader of TensorFlow 1, as TensorFlow Serving and the C library work."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], directory)
        for name, (inputs, outputs) in expected.items():
            definition = meta.signature_def[name]
            feeds = {definition.inputs[key].name: value for key, value in inputs.items()}
            fetches = {key: info.name for key, info in definition.outputs.items()}
            for key, value in session.run(fetches, feeds).items():
                require_close(f"v1 {name}/{key}", value, outputs[key])


def check_keras(directory, expected):
    import keras

    inputs, outputs = expected["serving_default"]
    (value,) = inputs.values()
    for endpoint in ("serving_default", "__call__"):
        layer = keras.layers.TFSMLayer(directory, call_endpoint=endpoint)
        for key, result in layer(tf.constant(value)).items():
            require_close(f"TFSMLayer {endpoint}/{key}", result, outputs[key])
        assert layer.trainable_weights and layer.non_trainable_weights


def save(model, expected, directory):
    """Saves a model and what it computes."""
    tf.saved_model.save(model, directory, signatures=model.signatures)
    arrays = {}
    for name, (inputs, _) in expected.items():
        arrays.update({f"in|{name}|{key}": value for key, value in inputs.items()})
        results = model.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        arrays.update({f"out|{name}|{key}": value.numpy() for key, value in results.items()})
    np.savez(directory + ".npz", **arrays)


def train(model, expected):
    """A step of SGD on the mean square of the logits; returns the loss before and after."""
    inputs, _ = expected["serving_default"]
    values = [tf.constant(value) for value in inputs.values()]

    def loss():
        return tf.reduce_mean(tf.square(model(*values)["logits"]))

    with tf.GradientTape() as tape:
        before = loss()
    gradients = tape.gradient(before, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert gradient is not None, f"no gradient for {variable.name}"
        variable.assign_sub(tf.cast(0.05, variable.dtype) * tf.convert_to_tensor(gradient))
    return before.numpy(), loss().numpy()


def check_corners(model):
    """Names that clash get a name of their own; everything is found, nothing is lost."""
    values = {variable.name: variable.numpy()[0] for variable in model.variables}
    assert len(values) == 11 and sorted(values.values()) == list(range(11)), values
    assert model._hidden.numpy()[0] == 7
    assert model.a.numpy()[0] == 0 and model.a_b.numpy()[0] == 1
    assert model.variables_.x.numpy()[0] == 2 and model.trainable_variables_.numpy()[0] == 3
    assert getattr(model, "w.1").k.numpy()[0] == 5 and getattr(model, "7").k.numpy()[0] == 6
    assert [variable.numpy()[0] for variable in model.list] == [9, 8, 10]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("model", nargs="+")
    arguments = parser.parse_args()
    for model in arguments.model:
        check(model.rstrip("/"), arguments.output)


def check(directory, output):
    name = os.path.basename(directory)
    expected = arrays_by_signature(directory + ".npz")

    model = tf.saved_model.load(directory)
    difference = check_signatures(model, expected)
    if name == "corners":
        check_corners(model)
        check_version_1(directory, expected)
        save(model, expected, os.path.join(output, name + "_resaved"))
        check_corners(tf.saved_model.load(os.path.join(output, name + "_resaved")))
        print(f"{name}: {len(expected)} signatures equal to {difference:.1e}, all names found")
        return
    check_call(model, expected)
    check_variables(model, directory)
    check_command_line(directory, expected)
    check_version_1(directory, expected)
    check_keras(directory, expected)
    save(model, expected, os.path.join(output, name + "_resaved"))
    before, after = train(model, expected)
    assert after < before, (before, after)
    save(model, expected, os.path.join(output, name + "_trained"))
    print(
        f"{name}: {len(expected)} signatures equal to {difference:.1e}, {len(model.variables)} variables, "
        f"a step in Python took the loss from {before:.6f} to {after:.6f}"
    )


if __name__ == "__main__":
    main()
