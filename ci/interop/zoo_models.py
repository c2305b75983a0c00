"""The models of zoo.py: small random configurations, each saved as its users save it.

Every function of CASES writes a SavedModel into a directory and returns a Case.
"""
import dataclasses
import math
import typing

import keras
import keras_hub
import numpy as np
import tensorflow as tf
import transformers

v1 = tf.compat.v1
ROWS, LENGTH, TOKENS = 16, 12, 40


@dataclasses.dataclass
class Case:
    """What was saved, as Python itself calls it.

    forward: from inputs by name to the output that the loss reads
    inputs, targets: arrays of ROWS rows, by the names of the signature
    loss: cross-entropy (targets are ids) or mse, the mean over all positions
    """
    forward: typing.Callable
    variables: list
    inputs: dict
    targets: np.ndarray
    loss: str
    model: str
    optimizer: dict
    learning_rate: float = 3e-3


# Keras adds epsilon before it corrects the second moment's bias, Java after it, as PyTorch does: at 1e-12 that is one and the same.
ADAM = {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-12, "weightDecay": 0.0, "decaysAll": True}
ADAMW = {**ADAM, "weightDecay": 0.02}
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": False, "weightDecay": 0.0, "decaysAll": True}


def random(seed):
    return np.random.default_rng(seed)


def tokens(seed, shape=(ROWS, LENGTH), count=TOKENS):
    return random(seed).integers(1, count, shape).astype(np.int32)


def padding_mask(seed, dtype=np.int32):
    """Rows of 5 tokens or more, then padding."""
    lengths = random(seed).integers(5, LENGTH + 1, ROWS)
    return (np.arange(LENGTH)[None] < lengths[:, None]).astype(dtype)


def vary(variables, seed):
    """No bias is 0 and no scale 1, so that each has a part in what is compared."""
    generator = random(seed)
    for variable in variables:
        if variable.dtype.is_floating:
            shift = 0.05 * generator.random(variable.shape.as_list())
            variable.assign_add(tf.cast(shift, variable.dtype))


def keras3_case(model, directory, seed, inputs, targets, loss, optimizer, rate=3e-3):
    vary([v.value for v in model.weights], seed)
    model.export(directory, verbose=False)

    def forward(feeds):
        return model(feeds if len(inputs) > 1 else feeds[next(iter(inputs))], training=False)

    variables = [v.value for v in model.trainable_variables]
    return Case(forward, variables, inputs, targets, loss, directory, optimizer, rate)


# ---- Hugging Face ----
def hugging_face(model, directory, seed, inputs, optimizer):
    model({name: tf.constant(value[:2]) for name, value in inputs.items()})
    vary(model.variables, seed)
    model.save_pretrained(directory, saved_model=True)
    forward = lambda feeds: model(feeds, training=False).logits
    return Case(forward, model.trainable_variables, inputs, tokens(seed + 1), "cross-entropy", f"{directory}/saved_model/1", optimizer)


def hf_bert_masked_lm(directory):
    config = transformers.BertConfig(
        vocab_size=TOKENS, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=20)
    inputs = {"input_ids": tokens(1), "attention_mask": padding_mask(2), "token_type_ids": tokens(3, count=3) - 1}
    return hugging_face(transformers.TFBertForMaskedLM(config), directory, 4, inputs, ADAMW)


def hf_gpt2(directory):
    config = transformers.GPT2Config(vocab_size=TOKENS, n_embd=16, n_layer=2, n_head=2, n_positions=20, bos_token_id=0, eos_token_id=0)
    inputs = {"input_ids": tokens(11), "attention_mask": padding_mask(12)}
    return hugging_face(transformers.TFGPT2LMHeadModel(config), directory, 13, inputs, ADAM)


# ---- KerasHub ----
def keras_hub_bert(directory):
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=TOKENS, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32, max_sequence_length=20, dropout=0.1)
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=3, preprocessor=None)
    inputs = {"token_ids": tokens(21), "padding_mask": padding_mask(22), "segment_ids": tokens(23, count=3) - 1}
    return keras3_case(model, directory, 24, inputs, tokens(25, [ROWS], 4) - 1, "cross-entropy", ADAMW)


def keras_hub_gpt2(directory):
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=TOKENS, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32, max_sequence_length=20, dropout=0.1)
    model = keras_hub.models.GPT2CausalLM(backbone, preprocessor=None)
    inputs = {"token_ids": tokens(31), "padding_mask": padding_mask(32)}
    return keras3_case(model, directory, 33, inputs, tokens(34), "cross-entropy", ADAM)


def keras_hub_llama(directory):
    backbone = keras_hub.models.LlamaBackbone(
        vocabulary_size=TOKENS, num_layers=2, num_query_heads=4, num_key_value_heads=2, hidden_dim=16, intermediate_dim=32)
    model = keras_hub.models.LlamaCausalLM(backbone, preprocessor=None)
    inputs = {"token_ids": tokens(41), "padding_mask": padding_mask(42)}
    return keras3_case(model, directory, 43, inputs, tokens(44), "cross-entropy", ADAMW)


def keras_hub_t5_encoder(directory):
    t5 = keras_hub.models.T5Backbone(
        vocabulary_size=TOKENS, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32, dropout=0.1)
    names = "encoder_token_ids", "encoder_padding_mask"
    model = keras.Model({name: t5.input[name] for name in names}, t5.output["encoder_sequence_output"])
    inputs = {names[0]: tokens(51), names[1]: padding_mask(52)}
    targets = random(53).normal(size=(ROWS, LENGTH, 16)).astype(np.float32)
    return keras3_case(model, directory, 54, inputs, targets, "mse", ADAM, 3e-3)


# ---- Keras 3 ----
def keras_lstm(directory):
    model = keras.Sequential([
        keras.Input([None], dtype="int32", name="ids"),
        keras.layers.Embedding(TOKENS, 12, mask_zero=True),
        keras.layers.Bidirectional(keras.layers.LSTM(10, return_sequences=True)),
        keras.layers.LSTM(8),
        keras.layers.Dense(4),
    ])
    ids = tokens(61) * padding_mask(62)
    return keras3_case(model, directory, 63, {"ids": ids}, tokens(64, [ROWS], 5) - 1, "cross-entropy", ADAM, 0.01)


def keras_attention_classifier(directory):
    ids = keras.Input([None], dtype="int32", name="ids")
    x = keras.layers.Embedding(TOKENS, 16)(ids)
    attended = keras.layers.MultiHeadAttention(2, 8, dropout=0.1)(x, x, attention_mask=keras.ops.not_equal(ids, 0)[:, None, :])
    x = keras.layers.LayerNormalization()(x + attended)
    x = keras.layers.BatchNormalization()(keras.layers.Dense(24, activation="gelu")(x))
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Dropout(0.2)(x))
    model = keras.Model(ids, keras.layers.Dense(3)(x))
    return keras3_case(
        model, directory, 71, {"ids": tokens(72) * padding_mask(73)}, tokens(74, [ROWS], 4) - 1, "cross-entropy", SGD, 0.05)


# ---- Performers written by hand ----
def causal_by_cumsum(q, k, v):
    sums = tf.cumsum(tf.einsum("blhm,blhd->blhmd", k, v), axis=1)
    return tf.einsum("blhm,blhmd->blhd", q, sums) / tf.einsum("blhm,blhm->blh", q, tf.cumsum(k, axis=1))[..., None]


def running(q, k, v, reverse=False):
    """q_l · Σ k_s v_sᵀ over s ≤ l (or ≥ l), a position at a time, [L, B, H, D]."""
    length = tf.shape(q)[0]
    state = tf.zeros(tf.concat([tf.shape(k)[1:], tf.shape(v)[-1:]], 0))

    def step(i, state, out):
        at = length - 1 - i if reverse else i
        state += k[at][..., None] * v[at][..., None, :]
        return i + 1, state, out.write(at, tf.einsum("bhm,bhmd->bhd", q[at], state))

    out = tf.TensorArray(tf.float32, size=length, element_shape=[None, q.shape[2], v.shape[-1]])
    return tf.while_loop(lambda i, state, out: i < length, step, (0, state, out))[2].stack()


@tf.custom_gradient
def running_with_gradient(q, k, v):
    def gradient(dy):
        return running(dy, v, k), running(v, dy, q, reverse=True), running(k, q, dy, reverse=True)

    return running(q, k, v), gradient


def causal_by_loop(sums):
    def attention(q, k, v):
        q, k, v = (tf.transpose(x, [1, 0, 2, 3]) for x in (q, k, v))
        ones = tf.ones_like(v[..., :1])
        return tf.transpose(sums(q, k, v) / sums(q, k, ones), [1, 0, 2, 3])

    return attention


@tf.custom_gradient
def unrolled_numerator(q, k, v):
    state, out = 0.0, []
    for i in range(q.shape[0]):
        state += tf.einsum("bhm,bhd->bhmd", k[i], v[i])
        out.append(tf.einsum("bhm,bhmd->bhd", q[i], state))

    def gradient(dy):
        before, after = state, 0.0
        dq, dk, dv = [], [], []
        for i in reversed(range(q.shape[0])):
            dq.insert(0, tf.einsum("bhmd,bhd->bhm", before, dy[i]))
            after += tf.einsum("bhm,bhd->bhmd", q[i], dy[i])
            dk.insert(0, tf.einsum("bhmd,bhd->bhm", after, v[i]))
            dv.insert(0, tf.einsum("bhmd,bhm->bhd", after, k[i]))
            before -= tf.einsum("bhm,bhd->bhmd", k[i], v[i])
        return tf.stack(dq), tf.stack(dk), tf.stack(dv)

    return tf.stack(out), gradient


@tf.custom_gradient
def unrolled_denominator(q, k):
    state, out = 0.0, []
    for i in range(q.shape[0]):
        state += k[i]
        out.append(tf.einsum("bhm,bhm->bh", q[i], state))

    def gradient(dy):
        before, after = state, 0.0
        dq, dk = [], []
        for i in reversed(range(q.shape[0])):
            dq.insert(0, before * dy[i][..., None])
            after += q[i] * dy[i][..., None]
            dk.insert(0, after)
            before -= k[i]
        return tf.stack(dq), tf.stack(dk)

    return tf.stack(out), gradient


def causal_unrolled(q, k, v):
    q, k, v = (tf.transpose(x, [1, 0, 2, 3]) for x in (q, k, v))
    return tf.transpose(unrolled_numerator(q, k, v) / unrolled_denominator(q, k)[..., None], [1, 0, 2, 3])


def softmax_features(projection):
    """FAVOR+ as Google's TensorFlow code computes it."""
    def features(x, axes):
        x *= x.shape[-1] ** -0.25
        products = x @ projection
        shift = tf.reduce_max(products, axes, keepdims=True)
        return (tf.exp(products - tf.reduce_sum(x * x, -1, keepdims=True) / 2 - shift) + 1e-6) / math.sqrt(projection.shape[-1])

    return lambda q, k: (features(q, [-1]), features(k, [1, 3]))


def relu_features(q, k):
    return tf.nn.relu(q) + 1e-3, tf.nn.relu(k) + 1e-3


class Performer(tf.Module):
    """A causal language model of two blocks."""

    def __init__(self, attention, features, seed, length=None):
        super().__init__()
        self.attention, self.features = attention, features
        generator = random(seed)

        def weight(name, *shape):
            return tf.Variable(generator.normal(size=shape, scale=0.3).astype(np.float32), name=name)

        self.table, self.positions = weight("table", TOKENS, 16), weight("positions", 20, 16)
        self.blocks = [
            {name: weight(f"block_{i}/{name}", *shape) for name, shape in {
                "scale": [16], "bias": [16], "query": [16, 2, 8], "key": [16, 2, 8], "value": [16, 2, 8], "output": [2, 8, 16],
                "inner": [16, 32], "inner_bias": [32], "outer": [32, 16]}.items()} for i in range(2)]
        specification = tf.TensorSpec([None, length], tf.int32, name="tokens")
        self.logits = tf.function(self.logits, input_signature=[specification])
        self.embed = tf.function(self.embed, input_signature=[specification])

    def embed(self, tokens):
        x = tf.gather(self.table, tokens) + self.positions[: tf.shape(tokens)[1]]
        for block in self.blocks:
            mean, variance = tf.nn.moments(x, [-1], keepdims=True)
            y = (x - mean) * tf.math.rsqrt(variance + 1e-6) * block["scale"] + block["bias"]
            q, k, v = (tf.einsum("ble,ehd->blhd", y, block[name]) for name in ("query", "key", "value"))
            x += tf.einsum("blhd,hde->ble", self.attention(*self.features(q, k), v), block["output"])
            x += tf.nn.gelu(x @ block["inner"] + block["inner_bias"]) @ block["outer"]
        return {"embeddings": x}

    def logits(self, tokens):
        return {"logits": tf.matmul(self.embed(tokens)["embeddings"], self.table, transpose_b=True)}


def performer(attention, features, seed, directory, optimizer, custom=False, length=None, rate=3e-3):
    model = Performer(attention, features, seed, length)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True) if custom else None
    tf.saved_model.save(model, directory, signatures={"serving_default": model.logits, "embed": model.embed}, options=options)
    forward = lambda feeds: model.logits(**feeds)["logits"]
    inputs = {"tokens": tokens(seed + 1)}
    variables = list(model.trainable_variables)
    return Case(forward, variables, inputs, tokens(seed + 2), "cross-entropy", directory, optimizer, rate)


def favor_features(seed):
    return softmax_features(tf.constant(random(seed).normal(size=(8, 12)).astype(np.float32)))


def performer_cumsum(directory):
    return performer(causal_by_cumsum, favor_features(80), 81, directory, ADAMW)


def performer_loop(directory):
    return performer(causal_by_loop(running), favor_features(90), 91, directory, ADAM)


def performer_loop_gradient(directory):
    return performer(causal_by_loop(running_with_gradient), favor_features(100), 101, directory, SGD, custom=True, rate=0.02)


def performer_unrolled(directory):
    return performer(causal_unrolled, relu_features, 111, directory, ADAM, custom=True, length=LENGTH)


# ---- TensorFlow 1 ----
def batch_norm_network(image, weight):
    """Two convolutions: one normalised by its batch with the first version of the op, one by moving statistics."""
    x = tf.nn.conv2d(image, weight["first/kernel"], 1, "SAME")
    x = tf.nn.relu(tf.raw_ops.FusedBatchNorm(
        x=x, scale=weight["first/gamma"], offset=weight["first/beta"], mean=[], variance=[], epsilon=1e-3, is_training=True).y)
    x = tf.nn.conv2d(x, weight["second/kernel"], 1, "SAME")
    names = "gamma", "beta", "moving_mean", "moving_variance"
    x = tf.nn.relu(v1.nn.fused_batch_norm(x, *(weight[f"second/{name}"] for name in names), is_training=False)[0])
    return tf.reshape(x, [-1, 144]) @ weight["dense/kernel"] + weight["dense/bias"]


def tf1_batch_norm(directory):
    generator = random(121)
    shapes = {
        "first/kernel": [3, 3, 2, 6], "first/gamma": [6], "first/beta": [6], "second/kernel": [3, 3, 6, 4], "second/gamma": [4],
        "second/beta": [4], "second/moving_mean": [4], "second/moving_variance": [4], "dense/kernel": [144, 3], "dense/bias": [3]}
    values = {name: generator.uniform(0.5, 1.0, shape) if len(shape) == 1 else generator.normal(0, 0.2, shape) for name, shape in shapes.items()}
    values = {name: value.astype(np.float32) for name, value in values.items()}
    with tf.Graph().as_default(), v1.Session() as session:
        weights = {n: v1.get_variable(n, initializer=x, trainable="moving" not in n, use_resource=False) for n, x in values.items()}
        image = v1.placeholder(tf.float32, [None, 6, 6, 2], name="image")
        logits = batch_norm_network(image, weights)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, directory, {"image": image}, {"logits": logits})
    variables = {name: tf.Variable(value) for name, value in values.items()}
    inputs = {"image": generator.normal(size=(ROWS, 6, 6, 2)).astype(np.float32)}
    trainable = [variable for name, variable in variables.items() if "moving" not in name]
    forward = lambda feeds: batch_norm_network(feeds["image"], variables)
    return Case(forward, trainable, inputs, tokens(122, [ROWS], 4) - 1, "cross-entropy", directory, ADAM)


CASES = [
    hf_bert_masked_lm, hf_gpt2, keras_hub_bert, keras_hub_gpt2, keras_hub_llama, keras_hub_t5_encoder, keras_lstm,
    keras_attention_classifier, performer_cumsum, performer_loop, performer_loop_gradient, performer_unrolled, tf1_batch_norm]
