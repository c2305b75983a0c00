"""Makes src/test/resources/savedmodels/made/running.zip: models as nobody prepared them, and what Python generates and embeds with them.

    python make_running.py OUTPUT_DIRECTORY        (TensorFlow 2.18; half a minute)

`running/saved_model` has a signature for each way logits and vectors come. `expected.npz` holds for each, after prompts of three
lengths, the ids of greedy decoding (`greedy/SIGNATURE` [3, 10]), the log-probabilities of these ids (`log/SIGNATURE`), and vectors
(`vector/SIGNATURE|OUTPUT|POOLING` [3, E]), each computed by running that signature on one text at a time.
"""
import os
import sys

import numpy as np
import tensorflow as tf

root = os.path.join(sys.argv[1], "running")
TOKENS, V, E, WINDOW, FIXED = 28, 33, 8, 6, 16  # five logits that no token has
PROMPTS = [[5, 7, 9], [11], [3, 4, 5, 6, 7, 8, 2]]
NEW = 10
random = np.random.default_rng(8)


def weight(*shape):
    return tf.Variable(random.normal(size=shape).astype("float32"))


class Running(tf.Module):
    def __init__(self):
        super().__init__()
        self.word, self.place, self.types = weight(V, E), weight(24, E), weight(2, E)
        self.mix, self.head = weight(E, E), weight(E, V)
        self.window = weight(WINDOW * E, V)

    def states(self, tokens, mask, positions, types):
        x = tf.gather(self.word, tokens) + tf.gather(self.place, positions) + tf.gather(self.types, types)
        real = tf.cast(mask, tf.float32)[..., None]
        return x * real, real

    def before(self, x, real):
        """The mean of all that stands up to a token."""
        return tf.tanh(tf.cumsum(x, 1) / tf.maximum(tf.cumsum(real, 1), 1.0) @ self.mix) + x

    @tf.function
    def each(self, tokens, padding_mask, position_ids, token_type_ids, training):
        x = self.before(*self.states(tokens, padding_mask, position_ids, token_type_ids))
        x = tf.cond(training, lambda: x * 0.0, lambda: x)
        return {"result": tf.cast(x @ self.head, tf.float16), "cache": tf.zeros([2, 3, 4])}

    @tf.function
    def fixed(self, tokens):
        x = tf.gather(self.word, tokens)
        return {"logits": tf.cast(self.before(x, tf.ones_like(x[..., :1])) @ self.head, tf.bfloat16), "first": x[:, 0]}

    @tf.function
    def last(self, tokens):
        x = tf.gather(self.word, tokens)
        return {"scores": tf.nn.softmax(tf.reduce_mean(x @ self.mix, 1) @ self.head)}

    @tf.function
    def window_of(self, tokens):
        x = tf.gather(self.word, tokens) * tf.cast(tokens > 0, tf.float32)[..., None]
        return {"scores": tf.reshape(x, [-1, WINDOW * E]) @ self.window}

    @tf.function
    def masked(self, tokens):
        x = tf.gather(self.word, tokens)
        return {"logits": (x + tf.reduce_mean(x, 1, keepdims=True)) @ self.head}

    @tf.function
    def shifted(self, tokens):
        x = tf.gather(self.word, tf.pad(tokens, [[0, 0], [1, 0]])[:, :-1])
        return {"logits": self.before(x, tf.ones_like(x[..., :1])) @ self.head}

    @tf.function
    def encode(self, word_ids, input_mask, lengths):
        x, real = self.states(word_ids, input_mask, 0 * word_ids, 0 * word_ids)
        x = x + tf.reduce_sum(x, 1, keepdims=True) / tf.cast(lengths, tf.float32)[:, None, None]
        return {"last_hidden_state": x * real, "pooler_output": tf.tanh(x[:, 0] @ self.mix)}


def ints(*shape, type=tf.int32):
    return tf.TensorSpec(shape, type)


model = Running()
free = [None, None]
signatures = {
    "each": model.each.get_concrete_function(
        ints(*free, type=tf.int64), ints(*free, type=tf.bool), ints(*free), ints(*free), ints(type=tf.bool)),
    "fixed": model.fixed.get_concrete_function(ints(2, FIXED)),
    "last": model.last.get_concrete_function(ints(*free)),
    "window": model.window_of.get_concrete_function(ints(None, WINDOW)),
    "masked": model.masked.get_concrete_function(ints(*free)),
    "shifted": model.shifted.get_concrete_function(ints(*free)),
    "encode": model.encode.get_concrete_function(ints(*free), ints(*free), ints(None)),
}
tf.saved_model.save(model, os.path.join(root, "saved_model"), signatures=signatures)
loaded = tf.saved_model.load(os.path.join(root, "saved_model")).signatures


def next_logits(name, text):
    count = len(text)
    if name == "each":
        row = np.array([text])
        return loaded[name](
            tokens=tf.constant(row, tf.int64), padding_mask=tf.ones_like(row, tf.bool), position_ids=tf.range(count)[None],
            token_type_ids=tf.zeros_like(row, tf.int32), training=tf.constant(False))["result"][0, -1]
    if name == "fixed":
        row = np.zeros([2, FIXED], np.int32)
        row[0, :count] = text
        return loaded[name](tokens=tf.constant(row))["logits"][0, count - 1]
    if name == "window":
        row = ([0] * WINDOW + text)[-WINDOW:]
        return loaded[name](tokens=tf.constant([row]))["scores"][0]
    if name == "shifted":
        return loaded[name](tokens=tf.constant([text + [1]]))["logits"][0, -1]
    return loaded[name](tokens=tf.constant([text]))["scores"][0]


expected = {}
for name in ("each", "fixed", "last", "window", "shifted"):
    ids, logs = [], []
    for prompt in PROMPTS:
        text, log = list(prompt), []
        for _ in range(min(NEW, FIXED - len(prompt) + 1) if name == "fixed" else NEW):
            logits = next_logits(name, text).numpy().astype(np.float64)
            text.append(int(logits[:TOKENS].argmax()))
            log.append(logits[text[-1]] - np.log(np.exp(logits - logits.max()).sum()) - logits.max())
        ids.append(text[len(prompt):])
        logs.append(log)
    expected[f"greedy/{name}"], expected[f"log/{name}"] = np.array(ids, np.int32), np.array(logs)

for pooling in ("MEAN", "MAX", "SUM", "CLS", "LAST", "MEAN_SQRT", "WEIGHTED_MEAN", "NONE"):
    vectors = []
    for prompt in PROMPTS:
        row = tf.constant([prompt])
        outputs = loaded["encode"](word_ids=row, input_mask=tf.ones_like(row), lengths=tf.constant([len(prompt)]))
        x = outputs["last_hidden_state"].numpy().astype(np.float64)[0]
        place = np.arange(1, len(prompt) + 1)[:, None]
        vectors.append({
            "MEAN": lambda: x.mean(0), "MAX": lambda: x.max(0), "SUM": lambda: x.sum(0), "CLS": lambda: x[0], "LAST": lambda: x[-1],
            "MEAN_SQRT": lambda: x.sum(0) / np.sqrt(len(prompt)), "WEIGHTED_MEAN": lambda: (x * place).sum(0) / place.sum(),
            "NONE": lambda: outputs["pooler_output"].numpy()[0]}[pooling]())
    expected[f"vector/{pooling}"] = np.array(vectors)
np.savez(os.path.join(root, "expected.npz"), **expected)
