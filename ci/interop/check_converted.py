"""Models whose attention ./performer convert replaced, in Python, against what ./performer predict says of them.

    check_converted.py INPUTS.npz [MODEL OUTPUTS.npz]...

INPUTS are those of serving_default. A model that has projections or calibrations has them as variables that no optimizer changes.
"""
import sys

import numpy as np
import tensorflow as tf

inputs, *pairs = sys.argv[1:]
given = dict(np.load(inputs))
found = []
for path, outputs in zip(pairs[::2], pairs[1::2]):
    java = dict(np.load(outputs))
    model = tf.saved_model.load(path)
    function = model.signatures["serving_default"]
    names = function.structured_input_signature[1]
    python = function(**{name: tf.constant(value) for name, value in given.items() if name in names})
    if set(python) != set(java):
        sys.exit(f"{path}: Python has the outputs {sorted(python)}, Java {sorted(java)}")
    worst = max(np.abs(python[name].numpy() - java[name]).max() / max(1, np.abs(java[name]).max()) for name in java)
    if not worst <= 1e-4:  # layers of sharp features multiply what rounding differs by
        sys.exit(f"{path}: Python and Java differ by {worst:.1e}")
    drawn = [v for v in model.variables if v.name.split(":")[0].endswith("projection") or "/calibration/" in v.name]
    if not drawn or any(v.trainable for v in drawn):
        sys.exit(f"{path}: of {len(drawn)} variables of features {sum(v.trainable for v in drawn)} can be trained")
    found.append(java)
    print(path, f"{worst:.0e}", f"{len(drawn)} variables of features", sep=" | ", flush=True)
for first, second in zip(found, found[1:]):
    if all(np.abs(first[name] - second[name]).max() < 1e-3 for name in first):
        sys.exit("models that attend in different ways have the same outputs")
