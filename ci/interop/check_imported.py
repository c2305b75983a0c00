"""Loads imported checkpoints in Python: check_imported.py (MODEL EXPECTED.npz)...

The signature of each gives what Python's own code gave with the checkpoint.
"""

import sys

import numpy as np
import tensorflow as tf

arguments = iter(sys.argv[1:])
for model_path, expected_path in zip(arguments, arguments):
    expected = dict(np.load(expected_path))
    signature = tf.saved_model.load(model_path).signatures["serving_default"]
    inputs = {name: tf.constant(expected[name]) for name in signature.structured_input_signature[1]}
    outputs = {name: value.numpy() for name, value in signature(**inputs).items()}
    compared = {name: expected[name] for name in outputs if name in expected}
    if not compared and len(outputs) == 1:
        compared = {next(iter(outputs)): expected["out"]}
    if not compared:
        sys.exit(f"{model_path}: outputs {sorted(outputs)} are none of {sorted(expected)}")
    for name, value in compared.items():
        difference = np.abs(outputs[name] - value).max() / np.abs(value).max()
        if not difference <= 1e-4:
            sys.exit(f"{model_path}: {name} differs from Python's by {difference:.1e}")
