"""Makes src/test/resources/savedmodels/made/tasks: a small encoder, a model of arrays and one of images, with Python's losses and gradients of tasks.

    python make_tasks.py OUTPUT_DIRECTORY        (TensorFlow 2.18; half a minute; pack.py makes the zip)

`encoder` takes tokens and a mask, `maps` an array, `images` images. In expected.npz each case has `<case>/loss` and `<case>/grad/<variable>`, from a
GradientTape on the model as tf.saved_model.load gives it; the new layer's weights are `head/<case>/kernel` and `bias`. The losses are
those of tf.keras wherever it has them.
"""

import os
import sys

import numpy as np
import tensorflow as tf

root = os.path.join(sys.argv[1], "tasks")
rng = np.random.default_rng(11)
losses = tf.keras.losses


def normal(*shape, scale=0.5):
    return (scale * rng.standard_normal(shape)).astype("float32")


class Encoder(tf.Module):
    def __init__(self):
        self.table = tf.Variable(normal(20, 6), name="table")
        self.mix = tf.Variable(normal(6, 6), name="mix")
        self.pooler = tf.Variable(normal(6, 5), name="pooler")

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, "input_ids"), tf.TensorSpec([None, None], tf.int32, "attention_mask")])
    def __call__(self, input_ids, attention_mask):
        x = tf.gather(self.table, input_ids)
        keep = tf.cast(attention_mask, tf.float32)[..., None]
        mean = tf.reduce_sum(x * keep, 1, keepdims=True) / tf.reduce_sum(keep, 1, keepdims=True)
        states = tf.tanh((x + mean) @ self.mix)
        return {"last_hidden_state": states, "pooler_output": tf.tanh(states[:, 0] @ self.pooler)}


class Maps(tf.Module):
    def __init__(self):
        self.kernel = tf.Variable(normal(4, 8), name="kernel")
        self.note = tf.Variable(normal(8, 3), name="note")
        self.class_ = tf.Variable(normal(8, 3), name="class")
        self.level = tf.Variable(normal(8, 1), name="level")

    @tf.function(input_signature=[tf.TensorSpec([None, 6, 4], tf.float32, "x")])
    def __call__(self, x):
        h = tf.tanh(x @ self.kernel)
        classes = h @ self.class_
        return {
            "note": tf.sigmoid(h @ self.note),
            "onset": h @ self.note,
            "splice": tf.nn.softmax(classes),
            "classes": classes,
            "level": tf.squeeze(h @ self.level, -1),
            "pooled": tf.reduce_mean(tf.nn.softmax(classes), 1),
            "single": tf.sigmoid(tf.reduce_mean(h @ self.level, 1)),
        }


class Images(tf.Module):
    """Of numbers that no generator draws."""

    def __init__(self):
        self.kernel = tf.Variable(np.cos(np.arange(108, dtype="float32")).reshape(3, 3, 3, 4), name="kernel")

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, "image")])
    def __call__(self, image):
        return {"map": tf.nn.relu(tf.nn.conv2d(image, self.kernel, 1, "VALID"))}


def saved(module, name):
    tf.saved_model.save(module, os.path.join(root, name), signatures=module.__call__)
    return tf.saved_model.load(os.path.join(root, name))


B, L, C = 4, 5, 3
lengths = np.array([5, 3, 1, 4])
mask = (np.arange(L) < lengths[:, None]).astype("int32")
ids = (rng.integers(1, 20, (B, L)) * mask).astype("int32")
data = {"input_ids": ids, "attention_mask": mask, "x": normal(B, 6, 4, scale=1)}
data["class"] = np.array([2, 0, 1, 0], "int32")
data["flags"] = np.array([[1, 0, 1], [0, 0, 1], [1, np.nan, 0], [0, 1, 0]], "float32")
data["numbers"] = normal(B, 2, scale=3) + np.array([5, -2], "float32")
data["tags"] = np.where(mask, rng.integers(0, C, (B, L)), -1).astype("int32")
data["tags"][0, 1] = -1
data["ids"] = rng.integers(0, 3, (B, 6)).astype("int32")
data["some"] = data["ids"].copy()
data["some"][1, :4] = -1
data["onehot"] = np.eye(3, dtype="float32")[data["ids"]]
data["onehot"][0, :2] = 0
data["hits"] = (rng.random((B, 6, 3)) < 0.3).astype("float32")
data["levels"] = normal(B, 6)
data["holes"] = data["levels"].copy()
data["holes"][2, 1:] = np.nan
data["binary"] = np.array([1, 0, 0, 1], "int32")
result = dict(data)

encoder, maps = Encoder(), Maps()
saved(Images(), "images")
loaded, arrays = saved(encoder, "encoder"), saved(maps, "maps")
mean, deviation = np.nanmean(data["numbers"], 0), np.nanstd(data["numbers"], 0)


def head(case, width, count):
    result[f"head/{case}/kernel"], result[f"head/{case}/bias"] = normal(width, count), normal(count)
    return tf.Variable(result[f"head/{case}/kernel"]), tf.Variable(result[f"head/{case}/bias"])


def case(name, function, variables):
    with tf.GradientTape() as tape:
        loss = function()
    result[name + "/loss"] = np.float32(loss.numpy())
    gradients = tape.gradient(loss, list(variables.values()))
    for key, gradient in zip(variables, gradients):
        if gradient is not None and np.any(tf.convert_to_tensor(gradient).numpy()):
            result[f"{name}/grad/{key}"] = tf.convert_to_tensor(gradient).numpy()


def known(target):
    return np.isfinite(target), np.nan_to_num(target)


def masked_mean(states):
    keep = tf.cast(mask, tf.float32)[..., None]
    return tf.reduce_sum(states * keep, 1) / tf.maximum(tf.reduce_sum(keep, 1), 1)


def averaged(loss, counts):
    counts = tf.cast(counts, tf.float32)
    return tf.reduce_sum(loss * counts) / tf.reduce_sum(counts)


def of_encoder(name, output, pool, count, loss):
    width = 5 if output == "pooler_output" else 6
    kernel, bias = head(name, width, count)
    variables = {v.name.split(":")[0]: v for v in (loaded.table, loaded.mix, loaded.pooler)}
    variables |= {"head/kernel": kernel, "head/bias": bias}
    case(name, lambda: loss(pool(loaded(tf.constant(ids), tf.constant(mask))[output]) @ kernel + bias), variables)


sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
binary = losses.BinaryCrossentropy(from_logits=True, reduction="none")
flag_counts, flags = known(data["flags"])
tag_counts, tags = data["tags"] >= 0, np.maximum(data["tags"], 0)
each = losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
of_encoder("classification", "last_hidden_state", masked_mean, 3, lambda y: sparse(data["class"], y))
of_encoder("first", "last_hidden_state", lambda x: x[:, 0], 3, lambda y: sparse(data["class"], y))
of_encoder("pooled", "pooler_output", lambda x: x, 3, lambda y: sparse(data["class"], y))
of_encoder("multi-label", "last_hidden_state", masked_mean, 3, lambda y: averaged(binary(flags[..., None], y[..., None]), flag_counts))
of_encoder(
    "regression", "last_hidden_state", masked_mean, 2, lambda y: tf.reduce_mean((y * deviation + mean - data["numbers"]) ** 2 / deviation**2)
)
of_encoder("token-classification", "last_hidden_state", lambda x: x, 3, lambda y: averaged(each(tags, y), tag_counts))

outputs = lambda: arrays(tf.constant(data["x"]))
variables = {v.name.split(":")[0]: v for v in (arrays.kernel, arrays.note, arrays.class_, arrays.level)}
id_counts, some = data["some"] >= 0, np.maximum(data["some"], 0)
level_counts, levels = known(data["holes"])
case("onset=binary-cross-entropy:hits", lambda: losses.BinaryCrossentropy(from_logits=True)(data["hits"], outputs()["onset"]), variables)
case("note=binary-cross-entropy-of-probabilities:hits", lambda: losses.BinaryCrossentropy()(data["hits"], outputs()["note"]), variables)
case("splice=cross-entropy-of-probabilities:onehot", lambda: losses.CategoricalCrossentropy()(data["onehot"], outputs()["splice"]), variables)
case("splice=cross-entropy-of-probabilities:ids", lambda: losses.SparseCategoricalCrossentropy()(data["ids"], outputs()["splice"]), variables)
case("classes=cross-entropy:some", lambda: averaged(each(some, outputs()["classes"]), id_counts), variables)
case("level=mae:levels", lambda: losses.MeanAbsoluteError()(data["levels"], outputs()["level"]), variables)
case("level=mse:holes", lambda: averaged((outputs()["level"] - levels) ** 2, level_counts), variables)


def several():
    y = outputs()
    return losses.MeanSquaredError()(data["levels"], y["level"]) + 0.25 * losses.BinaryCrossentropy()(data["hits"], y["note"])


case("level=mse:levels note=binary-cross-entropy-of-probabilities:hits*0.25", several, variables)
case("own classification", lambda: losses.SparseCategoricalCrossentropy()(data["class"], outputs()["pooled"]), variables)
case("own binary", lambda: losses.BinaryCrossentropy()(data["binary"][:, None], outputs()["single"]), variables)

np.savez_compressed(os.path.join(root, "expected.npz"), **result)
print(len([k for k in result if k.endswith("/loss")]), "cases")
