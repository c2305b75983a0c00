"""Loads models that ./performer fine-tune wrote, compares their outputs with Java's, trains a step and saves them again.

    check_fine_tuned.py FOLDER KERAS_NAME NAME...

FOLDER/run-NAME holds the run, FOLDER/tokens.npz the inputs of serving_default, FOLDER/NAME-java.npz what ./performer predict made of them.
FOLDER/NAME-resaved gets the model after the step, FOLDER/NAME-python.npz its outputs, for ./performer predict to compare with. The first
name's model is one of Keras.
"""
import os
import subprocess
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf

TOLERANCE = 1e-5


def compare(what, ours, theirs):
    scale = max(1.0, float(np.abs(theirs).max()))
    difference = float(np.abs(np.asarray(ours) - theirs).max()) / scale
    if not difference <= TOLERANCE:
        sys.exit(f"{what}: Python and Java differ by {difference:.1e}")
    return difference


def main():
    folder, keras, *others = sys.argv[1:]
    for name in [keras, *others]:
        check(f"{folder}/run-{name}/model", f"{folder}/tokens.npz", f"{folder}/{name}-java.npz", f"{folder}/{name}-resaved",
              f"{folder}/{name}-python.npz", name == keras)


def check(model, inputs, java, resaved, after, is_keras):
    feeds = dict(np.load(inputs))
    expected = dict(np.load(java))
    loaded = tf.saved_model.load(model)
    serve = loaded.signatures["serving_default"]
    outputs = serve(**{name: tf.constant(value) for name, value in feeds.items()})
    worst = max(compare(name, outputs[name].numpy(), value) for name, value in expected.items())

    if is_keras:
        shown = subprocess.run(
            [os.path.join(os.path.dirname(sys.executable), "saved_model_cli"), "run", "--dir", model, "--tag_set", "serve",
             "--signature_def", "serving_default", "--inputs", f"tokens={inputs}[tokens]"],
            capture_output=True, text=True, check=False)
        if shown.returncode != 0 or "Result for output key" not in shown.stdout:
            sys.exit(f"saved_model_cli run failed: {shown.stderr[-500:]}")
        import tf_keras
        keras = tf_keras.models.load_model(model, compile=False)
        answer = keras(feeds["tokens"])
        answer = answer if isinstance(answer, (list, tuple)) else [answer]
        for value in answer:
            name = next(n for n, v in expected.items() if v.shape == tuple(value.shape))
            compare("tf_keras " + name, value.numpy(), expected[name])

    variables = serve.trainable_variables  # not every module lists its own
    tokens = feeds["tokens"]
    name = next(n for n, v in expected.items() if v.ndim == 3)

    def loss():
        logits = serve(tokens=tf.constant(tokens))[name]
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tokens, logits))

    with tf.GradientTape() as tape:
        before = loss()
    for variable, gradient in zip(variables, tape.gradient(before, variables)):
        if gradient is not None:
            variable.assign_sub(0.002 * tf.convert_to_tensor(gradient))
    now = loss()
    if not now < before:
        sys.exit(f"a step in Python took the loss from {before} to {now}")
    tf.saved_model.save(loaded, resaved, signatures=dict(loaded.signatures))
    np.savez(after, **{n: v.numpy() for n, v in serve(tokens=tf.constant(tokens)).items()})
    print(f"{model}: outputs equal to {worst:.1e}, a step in Python took the loss from {before:.4f} to {now:.4f}")


if __name__ == "__main__":
    main()
