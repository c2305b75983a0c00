"""Checks imported models that Java wrote with new weights: python check_replacement.py (ORIGINAL MODEL KEYS)...

Java added 1/16 to the variables whose checkpoint keys begin with KEYS; MODEL.npz holds what Java then computes.
Everything else must be as Python made it, Keras layers and training included.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys

import numpy as np
import tensorflow as tf

from check_export import arrays_by_signature, require_close

SHIFT = np.float32(1 / 16)


def check_checkpoint(original, directory, keys):
    """Returns how many variables changed, second copies included."""
    before, after = (
        tf.train.load_checkpoint(os.path.join(path, "variables", "variables")) for path in (original, directory)
    )
    assert before.get_variable_to_shape_map() == after.get_variable_to_shape_map()
    assert before.get_variable_to_dtype_map() == after.get_variable_to_dtype_map()
    changed = 0
    for key in before.get_variable_to_shape_map():
        old, new = before.get_tensor(key), after.get_tensor(key)
        if np.array_equal(old, new):
            assert not key.startswith(keys), f"{key} did not change"
        else:
            assert np.array_equal(new, old + SHIFT), key
            changed += 1
    return changed


def check_outputs(directory, original):
    model = tf.saved_model.load(directory)
    untrained = tf.saved_model.load(original)
    worst = 0.0
    for name, (inputs, outputs) in arrays_by_signature(directory + ".npz").items():
        feeds = {key: tf.constant(value) for key, value in inputs.items()}
        results = model.signatures[name](**feeds)
        for key, value in results.items():
            worst = max(worst, require_close(f"{name}/{key}", value, outputs[key]))
            assert not np.allclose(value, untrained.signatures[name](**feeds)[key]), f"{name}/{key} is as before"
    return worst


def check_keras(directory):
    """Keras layers and training functions are still there."""
    import tf_keras

    model = tf_keras.models.load_model(directory, compile=False)
    inputs, outputs = arrays_by_signature(directory + ".npz")["serving_default"]
    (tokens,) = inputs.values()
    results = tf.nest.flatten(model(tf.constant(tokens), training=False))
    assert len(results) == len(outputs)
    for value in results:  # Keras calls them by other names than its own signature does
        expected = [output for output in outputs.values() if output.shape == value.shape]
        assert len(expected) == 1, (value.shape, [output.shape for output in outputs.values()])
        require_close("load_model", value, expected[0])
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_mean(tf.square(value)) for value in tf.nest.flatten(model(tokens, training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    return len(model.layers)


def main():
    arguments = iter(sys.argv[1:])
    for original, directory, keys in zip(arguments, arguments, arguments):
        check(original, directory, keys)


def check(original, directory, keys):
    changed = check_checkpoint(original, directory, keys)
    assert changed > 0
    difference = check_outputs(directory, original)
    said = f"{os.path.basename(directory)}: {changed} variables changed, outputs equal to {difference:.1e}"
    if os.path.exists(os.path.join(directory, "keras_metadata.pb")):
        said += f", tf_keras.models.load_model finds {check_keras(directory)} layers and trains them"
    print(said)


if __name__ == "__main__":
    main()
