"""Writes Python's gradients of a SavedModel's signature next to the model.

    python gradients.py MODEL_DIRECTORY INPUTS_NPZ OUTPUT_NPZ [SIGNATURE]

Inputs are the arrays `in0/<name>` of INPUTS_NPZ (or of another prefix: `in0:<signature>/<name>`). The loss is the sum
over floating point outputs (sorted by name) of sum_n o_n * cos(0.7 n + 0.3), n the flat index. `grad/<i>` is the gradient
with respect to the variable that is captured input number i of the signature's function, for trainable variables.
"""
import sys

import numpy as np
import tensorflow as tf


def gradients(model, signature, inputs):
    function = model.signatures[signature]
    variables = {id(v.handle): v for v in function.variables}
    captured = [variables.get(id(tensor)) for tensor in function.captured_inputs]
    feeds = {k: tf.constant(v) for k, v in inputs.items()}
    with tf.GradientTape(persistent=True) as tape:
        try:
            outputs = function(**feeds)
        except (LookupError, TypeError, ValueError) as e:
            print(signature, "has no gradient in Python:", str(e)[:100])
            captured = []
            with tape.stop_recording():
                outputs = function(**feeds)
        loss = 0.0
        for name in sorted(outputs):
            o = outputs[name]
            if o.dtype.is_floating:
                flat = tf.reshape(o, [-1])
                n = tf.range(tf.size(flat), dtype=tf.int32)
                loss += tf.reduce_sum(flat * tf.cast(tf.cos(0.7 * tf.cast(n, tf.float64) + 0.3), flat.dtype))
    result = {f"out/{k}": v.numpy() for k, v in outputs.items()}
    for i, variable in enumerate(captured):
        if variable is not None and variable.trainable:
            gradient = tape.gradient(loss, variable)
            if gradient is not None:
                result[f"grad/{i}"] = tf.convert_to_tensor(gradient).numpy()
    return result


if __name__ == "__main__":
    directory, inputs_file, output_file = sys.argv[1:4]
    signature = sys.argv[4] if len(sys.argv) > 4 else "serving_default"
    arrays = np.load(inputs_file)
    inputs = {k.split("/", 1)[1]: arrays[k] for k in arrays.files if k.startswith("in0/")}
    result = gradients(tf.saved_model.load(directory), signature, inputs)
    np.savez_compressed(output_file, **result)
    print(directory, len([k for k in result if k.startswith("grad/")]), "gradients")
