"""Makes src/test/resources/savedmodels/made/tuned.zip: a small language model that is tuned in several ways, with Python's steps.

    python make_tuned.py OUTPUT_DIRECTORY        (TensorFlow 2.18; half a minute)

`tuned/saved_model` has a signature for each way to look positions up, `train` with dropout, and `switch`, whose input
`training` decides about dropout. `expected.npz` holds the weights after steps of SGD and AdamW in which some weights are frozen and others
have a rate of their own (`sgd/…`, `adamw/…`), and steps of low-rank factors (`lora/…`, from the factors `lora/start/…`).
"""
import os
import sys

import numpy as np
import tensorflow as tf

root = os.path.join(sys.argv[1], "tuned")
V, E, H, D, P = 29, 8, 2, 4, 12
random = np.random.default_rng(3)


def weight(name, *shape):
    return tf.Variable(random.normal(size=shape).astype("float32") * 0.4, name=name)


class Tuned(tf.Module):
    def __init__(self):
        super().__init__()
        self.word = weight("embeddings/word", V, E)
        self.position = weight("embeddings/position", P, E)
        self.query = weight("layer_0/attention/query/kernel", E, H, D)
        self.key = weight("layer_0/attention/key/kernel", E, H, D)
        self.value = weight("layer_0/attention/value/kernel", E, H, D)
        self.output = weight("layer_0/attention/output/kernel", H, D, E)
        self.scale = weight("layer_0/norm/gamma", E)
        self.wide = weight("layer_0/mlp/kernel", E, 2 * E)
        self.wide_bias = weight("layer_0/mlp/bias", 2 * E)
        self.narrow = weight("layer_0/mlp_output/kernel", 2 * E, E)
        self.head = weight("head/kernel", E, V)
        self.head_bias = weight("head/bias", V)

    def positions(self, kind, tokens, x):
        length = tf.shape(tokens)[1]
        if kind == "range":
            return tf.gather(self.position, tf.range(tf.shape(x)[1]))
        if kind == "slice":
            return self.position[:length]
        if kind == "raw_slice":
            return tf.slice(self.position, [0, 0], [length, E])
        if kind == "padded":  # as RoBERTa: id 1 is padding, and positions begin behind it
            real = tf.cast(tokens != 1, tf.int32)
            return tf.gather(self.position, tf.cumsum(real, axis=1) * real + 1)
        if kind == "buffer":
            return tf.gather(self.position, tf.constant(np.arange(P)[None])[:, :length])
        if kind == "constant":
            return tf.constant(np.ones((P, E), "float32"))[tf.newaxis, :length, :]
        if kind == "backwards":  # the last rows of the table, as relative positions are read
            return self.position[P - length :]
        distance = tf.range(length)[:, None] - tf.range(length)[None]
        return tf.reduce_mean(tf.gather(self.position, tf.clip_by_value(distance, -5, 5) + 5), 0)

    def hidden(self, tokens, kind="range", drop=lambda x: x, word=None):
        x = tf.gather(self.word if word is None else word, tokens)
        x = drop(x + self.positions(kind, tokens, x))
        q = tf.einsum("ble,ehd->blhd", x, self.query)
        k = tf.einsum("ble,ehd->blhd", x, self.key)
        v = tf.einsum("ble,ehd->blhd", x, self.value)
        a = tf.nn.softmax(tf.einsum("blhd,bmhd->bhlm", q, k) / 2.0)
        y = tf.einsum("bhlm,bmhd->blhd", a, v)
        x = drop(x + tf.einsum("blhd,hde->ble", y, self.output))
        x *= self.scale
        flat = tf.reshape(x, [-1, E])
        flat = tf.nn.gelu(tf.matmul(flat, self.wide) + self.wide_bias)
        return x + tf.reshape(tf.matmul(flat, self.narrow), tf.shape(x))

    def logits(self, tokens, **how):
        # Stored in float32, multiplied in float64: the weight is cast behind its read.
        x = tf.cast(self.hidden(tokens, **how), tf.float64)
        product = tf.einsum("ble,ev->blv", x, tf.cast(self.head, tf.float64))
        return tf.cast(product, tf.float32) + self.head_bias

    def trained(self, tokens):
        mask = lambda x: tf.nn.dropout(x, 0.3)
        seeded = tf.random.stateless_uniform([E], seed=[1, 2]) < 0.8
        return self.logits(tokens, drop=lambda x: mask(x) * tf.cast(seeded, tf.float32))

    def switched(self, tokens, training):
        drop = lambda x: tf.cond(training, lambda: tf.nn.dropout(x, 0.3), lambda: x)
        return self.logits(tokens, drop=drop)

    def tied(self, tokens):
        return tf.einsum("ble,ve->blv", self.hidden(tokens), self.word)


model = Tuned()
ids = lambda name: tf.TensorSpec([None, None], tf.int32, name=name)
signatures = {"serving_default": tf.function(lambda tokens: {"logits": model.logits(tokens)}, [ids("tokens")])}
for kind in ["slice", "raw_slice", "padded", "buffer", "constant", "backwards", "relative"]:
    call = lambda tokens, kind=kind: {"logits": model.logits(tokens, kind=kind)}
    signatures[kind] = tf.function(call, [ids("tokens")])
signatures["train"] = tf.function(lambda input_ids: {"lm_logits": model.trained(input_ids)}, [ids("input_ids")])
flag = tf.TensorSpec([], tf.bool, name="training")
signatures["switch"] = tf.function(lambda tokens, training: {"logits": model.switched(tokens, training)}, [ids("tokens"), flag])
signatures["tied"] = tf.function(lambda tokens: {"logits": model.tied(tokens)}, [ids("tokens")])
tf.saved_model.save(model, os.path.join(root, "saved_model"), signatures=signatures)

# ---- steps ----
tokens = random.integers(0, V, size=(3, 10)).astype("int32")
targets = random.integers(0, V, size=(3, 10)).astype("int32")
arrays = {"tokens": tokens, "targets": targets}
start = [v.numpy() for v in model.variables]
RATE, DECAY, STEPS = 0.05, 0.1, 3
frozen = lambda name: name.startswith("embeddings/") or name == "layer_0/attention/key/kernel"
factor = lambda name: (10 if name.startswith("head/") else 1) * (0.1 if name.endswith("/bias") else 1)
decays = lambda v: len(v.shape) >= 2  # neither biases nor normalizations are matrices here


def named(v):
    return v.name.split(":")[0]


def gradients(variables, logits=model.logits):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits(tokens)))
    return loss, [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, variables)]


def restart():
    for v, value in zip(model.variables, start):
        v.assign(value)


for optimizer in ["sgd", "adamw"]:
    restart()
    trained = [v for v in model.variables if not frozen(named(v))]
    m = [np.zeros(v.shape) for v in trained]
    s = [np.zeros(v.shape) for v in trained]
    for t in range(1, STEPS + 1):
        loss, found = gradients(trained)
        for i, (v, g) in enumerate(zip(trained, found)):
            rate = RATE * factor(named(v))
            x = v.numpy().astype("float64")
            if optimizer == "sgd":
                m[i] = 0.9 * m[i] + g
                step = m[i]
            else:
                m[i] = 0.9 * m[i] + 0.1 * g
                s[i] = 0.98 * s[i] + 0.02 * g * g
                step = m[i] / (1 - 0.9**t) / (np.sqrt(s[i] / (1 - 0.98**t)) + 1e-9)
            v.assign((x - rate * step - rate * (DECAY if decays(v) else 0) * x).astype("float32"))
        arrays[f"{optimizer}/loss/{t}"] = loss.numpy()
    for v in model.variables:
        arrays[f"{optimizer}/{named(v)}"] = v.numpy()

# ---- low-rank factors: W + alpha/rank A B in place of W, by plain gradient descent of A and B ----
RANK, ALPHA = 2, 6.0
restart()
folds = {"query": (E, H * D), "output": (H * D, E), "wide": (E, 2 * E), "head": (E, V)}
factors = {}
for name, (rows, columns) in folds.items():
    a = tf.Variable(random.normal(size=(rows, RANK)).astype("float32") * 0.3)
    b = tf.Variable(tf.zeros([RANK, columns]))
    factors[name] = (a, b)
    arrays[f"lora/start/{named(getattr(model, name))}"] = a.numpy()
both = [f for pair in factors.values() for f in pair]


def adapted(tokens):
    stored = {name: getattr(model, name) for name in folds}
    try:
        for name, (a, b) in factors.items():
            w = stored[name]
            object.__setattr__(model, name, w + ALPHA / RANK * tf.reshape(a @ b, w.shape))
        return model.logits(tokens)
    finally:
        for name, w in stored.items():
            object.__setattr__(model, name, w)


for t in range(1, STEPS + 1):
    loss, found = gradients(both, adapted)
    arrays[f"lora/loss/{t}"] = loss.numpy()
    for v, g in zip(both, found):
        v.assign_sub(RATE * g)
for name, (a, b) in factors.items():
    arrays[f"lora/a/{named(getattr(model, name))}"] = a.numpy()
    arrays[f"lora/b/{named(getattr(model, name))}"] = b.numpy()
arrays["lora/logits"] = adapted(tokens).numpy()
np.savez_compressed(os.path.join(root, "expected.npz"), **arrays)
