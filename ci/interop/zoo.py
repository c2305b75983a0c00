"""Makes models with Python's libraries, and checks what Java makes of them.

    zoo.py make DIRECTORY [NAME...]     saves each model, and what Python computes with it: outputs, gradients, a curve of 50 steps
    zoo.py check DIRECTORY [NAME...]    loads what Java trained and exported, and prints a table of all comparisons

Between the two runs the Java program ZooCheck, which trains and exports each model and writes its differences. DIRECTORY/NAME/ has:

    case.json       the place of the model, loss, optimizer
    data.npz        inputs by name and `target`: one batch, so that both train in the same order
    expected.npz    out|SIGNATURE|NAME, grad|KEY, trainable|KEY, losses
    java/           of Java: run/model, which it exported, result.json with its figures, and trained.npz: out|…, variable|KEY
"""
import json
import os
import sys

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", TF_USE_LEGACY_KERAS="1")

import numpy as np
import tensorflow as tf

STEPS = 50
LIMITS = {"predict": 1e-5, "gradient": 1e-4, "curve": 0.02, "way back": 1e-5}


def difference(ours, theirs):
    """Relative to the largest value, absolute below 1."""
    ours, theirs = (np.asarray(x, np.float64) for x in (ours, theirs))
    if ours.shape != theirs.shape:
        return np.inf
    worst = float(np.abs(ours - theirs).max(initial=0)) / max(1.0, float(np.abs(theirs).max(initial=0)))
    return worst if np.isfinite(worst) else np.inf


def stored(model):
    """Values of the checkpoint by key."""
    reader = tf.train.load_checkpoint(f"{model}/variables/variables")
    types = reader.get_variable_to_dtype_map()
    return {key: reader.get_tensor(key) for key in types if types[key] != tf.string}


def keys(variables, model):
    """The checkpoint keys of each variable, found by its value."""
    by_value = {}
    for key, value in stored(model).items():
        by_value.setdefault((value.shape, value.tobytes()), []).append(key)
    found = [by_value[tuple(v.shape), v.numpy().tobytes()] for v in variables]
    assert len({tuple(k) for k in found}) == len(variables), "two variables have one value"
    return found


def outputs(model, feeds):
    """What every signature computes, as out|SIGNATURE|NAME."""
    arrays = {}
    for name, signature in tf.saved_model.load(model).signatures.items():
        wanted = signature.structured_input_signature[1]
        if wanted:  # not Keras's initializer
            result = signature(**{n: tf.cast(feeds[n], spec.dtype) for n, spec in wanted.items()})
            arrays.update({f"out|{name}|{n}": value.numpy() for n, value in result.items()})
    return arrays


def optimizer_of(case):
    import tf_keras
    settings = case.optimizer
    if settings["name"] == "sgd":
        return tf_keras.optimizers.SGD(case.learning_rate, settings["momentum"])
    return tf_keras.optimizers.AdamW(
        case.learning_rate, settings["weightDecay"], settings["beta1"], settings["beta2"], settings["epsilon"])


def write(name, build, root):
    directory = f"{root}/{name}"
    os.makedirs(directory)
    case = build(f"{directory}/model")
    data = {**case.inputs, "target": case.targets}
    batch = {n: tf.constant(x) for n, x in data.items()}

    def loss_of(output, target):
        if case.loss == "mse":
            return tf.reduce_mean(tf.square(output - target))
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, output))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            output = case.forward({n: batch[n] for n in case.inputs})
            loss = loss_of(output, batch["target"])
        found = tape.gradient(loss, case.variables)
        return output, loss, [None if g is None else tf.convert_to_tensor(g) for g in found]

    expected = outputs(case.model, batch)
    output, loss, found = gradients()
    of_loss = [key for key, value in expected.items()
               if key.startswith("out|serving_default|") and difference(value, output.numpy()) < 1e-6]
    assert of_loss, f"{name}: no output of the signature is what the model computes: {list(expected)}"
    for variable_keys, gradient in zip(keys(case.variables, case.model), found):
        for key in variable_keys:
            expected[f"trainable|{key}"] = np.zeros(0, np.float32)
            if gradient is not None:
                expected[f"grad|{key}"] = gradient.numpy()
    optimizer = optimizer_of(case)
    optimizer.build(case.variables)

    @tf.function
    def step():
        _, loss, found = gradients()
        optimizer.apply_gradients((g, v) for g, v in zip(found, case.variables) if g is not None)
        return loss

    losses = [float(step()) for _ in range(STEPS)]
    assert np.isfinite(losses).all(), losses
    np.savez(f"{directory}/data.npz", **data)
    np.savez(f"{directory}/expected.npz", losses=np.array(losses), **expected)
    description = {
        "model": os.path.relpath(case.model, directory), "loss": f"{of_loss[0].split('|')[2]}={case.loss}:target",
        "optimizer": case.optimizer, "learningRate": case.learning_rate}
    with open(f"{directory}/case.json", "w") as file:
        json.dump(description, file)
    none = sum(g is None for g in found)
    print(f"{name}: {len(case.variables)} variables, {none} without gradient, loss {losses[0]:.4f} -> {losses[-1]:.4f}", flush=True)


def make(root, names):
    import keras
    import zoo_models
    unknown = set(names) - {case.__name__ for case in zoo_models.CASES}
    if unknown:
        sys.exit(f"zoo: no model {', '.join(sorted(unknown))}")
    for build in zoo_models.CASES:
        if not names or build.__name__ in names:
            keras.utils.set_random_seed(7)
            write(build.__name__, build, root)


def way_back(directory):
    """Java's export against what Java computed, and against itself: variables of the loaded objects, of the file, of Java."""
    java = dict(np.load(f"{directory}/java/trained.npz"))
    model = f"{directory}/java/run/model"
    ours = outputs(model, np.load(f"{directory}/data.npz"))
    worst = max([difference(ours[key], value) for key, value in java.items() if key.startswith("out|")])
    values = stored(model)
    copies = {}  # Keras 3 stores a variable twice
    with open(f"{directory}/case.json") as file:
        original = stored(f"{directory}/{json.load(file)['model']}")
    for key, value in original.items():
        copies.setdefault((value.shape, value.tobytes()), []).append(values[key])
    assert all(np.array_equal(x, same[0]) for same in copies.values() for x in same), f"{directory}: copies differ"
    trained = {key.split("|", 1)[1]: value for key, value in java.items() if key.startswith("variable|")}
    assert trained and ours.keys() == {key for key in java if key.startswith("out|")}, f"{directory}: nothing to compare"
    return max([worst, *(0.0 if np.array_equal(values[key], value) else np.inf for key, value in trained.items())])


def check(root, names):
    failed = []
    columns = [*LIMITS, "verdict"]
    print(f"{'model':28}" + "".join(f"{c:>11}" for c in columns))
    for name in names or sorted(os.listdir(root)):
        directory = f"{root}/{name}"
        result = {}
        if os.path.exists(f"{directory}/java/result.json"):
            with open(f"{directory}/java/result.json") as file:
                result = json.load(file)
        if os.path.exists(f"{directory}/java/trained.npz"):
            result["way back"] = way_back(directory)
        exact = all(result.get(c, np.inf) <= limit for c, limit in LIMITS.items())
        good = exact and result.get("verdict") == "true" and not result["errors"]
        shown = [f"{result[c]:.1e}" if c in result else "-" for c in LIMITS] + [result.get("verdict", "-")]
        print(f"{name:28}" + "".join(f"{s:>11}" for s in shown) + "".join(f"\n    {line}" for line in result.get("errors", [])))
        failed += [] if good else [name]
    if failed:
        sys.exit(f"zoo: failed: {', '.join(failed)}")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](sys.argv[2], sys.argv[3:])
