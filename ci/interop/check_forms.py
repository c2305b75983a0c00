"""Compares what ./performer export wrote in other forms with the SavedModel it came from: python check_forms.py ORIGINAL EXPORT...

All signatures are there, run in Python and with the loader of TensorFlow 1, which goes as TensorFlow Serving does, and give the original's
outputs: 1e-6 where the export is float32, 0.05 of the largest value where it says bfloat16. Frozen exports have no variables. Warm-up
requests, where there are some, name signatures and hold inputs that these take.
"""
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from check_runtimes import difference, inputs_of


def fed(function, sizes, length):
    """Inputs of an export's own sizes, or of a batch of 2."""
    return inputs_of(function, 2 if sizes is None else sizes[0], length if sizes is None else sizes[-1], 64)


def static(function):
    shapes = [spec.shape for spec in function.structured_input_signature[1].values() if spec.shape.rank != 0]
    return [int(size) for size in max(shapes, key=lambda shape: shape.rank == 2)] if all(s.is_fully_defined() for s in shapes) else None


def version_1(path, signature, inputs):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], path)
        spec = meta.signature_def[signature]
        if spec.method_name != "tensorflow/serving/predict":
            sys.exit(f"{path}: signature {signature} has the method {spec.method_name}")
        feeds = {spec.inputs[key].name: value for key, value in inputs.items()}
        return session.run({key: info.name for key, info in spec.outputs.items()}, feeds)


def warmup(path, loaded):
    file = os.path.join(path, "assets.extra/tf_serving_warmup_requests")
    if not os.path.exists(file):
        return 0
    from tensorflow_serving.apis import prediction_log_pb2  # pylint: disable=import-outside-toplevel
    count = 0
    for record in tf.compat.v1.python_io.tf_record_iterator(file):
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        outputs = loaded.signatures[request.model_spec.signature_name](**inputs)
        if not all(np.isfinite(value).all() for value in outputs.values() if value.dtype.is_floating):
            sys.exit(f"{path}: the warm-up request of {request.model_spec.signature_name} gives no finite numbers")
        count += 1
    if count != len(loaded.signatures):
        sys.exit(f"{path}: {count} warm-up requests for {len(loaded.signatures)} signatures")
    return count


def main():
    original = tf.saved_model.load(sys.argv[1])
    for path in sys.argv[2:]:
        export = tf.saved_model.load(path)
        left_out = set(original.signatures) - set(export.signatures)
        fixed = all(static(function) for function in export.signatures.values())
        if left_out - ({"generate"} if fixed else set()):
            sys.exit(f"{path} has the signatures {set(export.signatures)}")
        readme = open(os.path.join(path, "README.md"), encoding="utf8").read()
        narrow = "bfloat16" in readme
        if "constants of the graph" in readme and (os.path.exists(os.path.join(path, "variables")) or getattr(export, "variables", [])):
            sys.exit(f"{path} has variables")
        worst = 0
        for name, function in original.signatures.items():
            if name in left_out or name == "generate" and narrow:  # which token is drawn may hang on a digit
                continue
            sizes = static(export.signatures[name])
            inputs = fed(export.signatures[name], sizes, 9)
            expected = function(**{key: tf.constant(value) for key, value in inputs.items()})
            found = export.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
            again = version_1(path, name, inputs)
            for key, value in expected.items():
                if found[key].dtype != value.dtype:
                    sys.exit(f"{path}: {key} of {name} is {found[key].dtype}")
                off = max(difference(found[key].numpy(), value.numpy()), difference(again[key], value.numpy()))
                worst = max(worst, off)
                if not off <= (0.05 if narrow else 1e-6):
                    sys.exit(f"{path}: {key} of {name} differs by {off:.1e}")
        print(os.path.basename(path.rstrip("/")), f"{worst:.0e}", f"{warmup(path, export)} warm-up requests", sep=" | ", flush=True)


if __name__ == "__main__":
    main()
