"""Small models with exact attention, as users of Keras, Hugging Face and plain TensorFlow write it.

    python make_softmax.py OUTPUT [NAME]...    (TensorFlow 2.18, Keras 3; with TF_USE_LEGACY_KERAS=1 also Hugging Face's)

OUTPUT gets one SavedModel for each name; `pack.py` packs them.
"""
import math
import os
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

TOKENS, WIDTH, HEADS, SIZE = 11, 8, 2, 4
INTS = tf.TensorSpec([None, None], tf.int32)


def weights(seed, **shapes):
    generator = np.random.default_rng(seed)
    return {name: tf.Variable(generator.normal(size=shape, scale=0.6).astype(np.float32), name=name) for name, shape in shapes.items()}


class HandWritten(tf.Module):
    """One layer on tokens; `attend` gets q, k, v [B, L, H, D], tokens [B, L] and returns [B, L, H, D]."""

    def __init__(self, attend, seed, **inputs):
        super().__init__()
        self.attend = attend
        self.w = weights(seed, table=[TOKENS, WIDTH], query=[WIDTH, HEADS, SIZE], key=[WIDTH, HEADS, SIZE], value=[WIDTH, HEADS, SIZE],
                         output=[HEADS, SIZE, WIDTH])
        self.bias = weights(seed + 100, bias=[HEADS, 16, 16])["bias"] if attend is relative_bias else None
        specs = {"tokens": tf.TensorSpec([None, None], tf.int32, name="tokens"), **inputs}
        self.serve = tf.function(self.serve, input_signature=None).get_concrete_function(**specs)

    def serve(self, tokens, **more):
        x = tf.gather(self.w["table"], tokens)
        q, k, v = (tf.einsum("ble,ehd->blhd", x, self.w[name]) for name in ("query", "key", "value"))
        out = self.attend(q, k, v, tokens, **more) if self.bias is None else self.attend(q, k, v, tokens, self.bias)
        rest = {}
        if isinstance(out, tuple):
            out, rest = out
        return {"states": x + tf.einsum("blhd,hde->ble", out, self.w["output"]), **rest}


def heads_first(*all):
    return (tf.transpose(x, [0, 2, 1, 3]) for x in all)


def plain(q, k, v, tokens):
    """Scaled queries, products of matrices, no mask."""
    q, k, v = heads_first(q / 2, k, v)
    return tf.transpose(tf.nn.softmax(q @ tf.transpose(k, [0, 1, 3, 2])) @ v, [0, 2, 1, 3])


def einsum_padding(q, k, v, tokens):
    """Einsum with keys first, as Keras once wrote it; additive mask of keys, as BERT's."""
    scores = tf.einsum("bshd,blhd->bhls", k, q) * (1 / math.sqrt(SIZE))
    scores += (1 - tf.cast(tokens != 0, tf.float32))[:, None, None, :] * -10000.0
    return tf.einsum("bhls,bshd->blhd", tf.nn.softmax(scores), v)


def causal_band(q, k, v, tokens):
    """A triangle by BandPart, and where in place of a sum."""
    q, k, v = heads_first(q, k, v)
    length = tf.shape(q)[2]
    below = tf.linalg.band_part(tf.ones([length, length], tf.bool), -1, 0)
    scores = tf.where(below, tf.matmul(q, k, transpose_b=True) / math.sqrt(SIZE), -1e9)
    return tf.transpose(tf.nn.softmax(scores) @ v, [0, 2, 1, 3])


def causal_padding(q, k, v, tokens):
    """A triangle by positions and padding in one mask, scaled after it was added."""
    q, k, v = heads_first(q, k, v)
    at = tf.range(tf.shape(tokens)[1])
    below = at[:, None] >= at[None, :]
    seen = tf.logical_and(below[None], (tokens != 0)[:, None, :])[:, None]
    scores = tf.matmul(q, k, transpose_b=True) + tf.where(seen, 0.0, -1e9)
    return tf.transpose(tf.nn.softmax(scores * 0.5) @ v, [0, 2, 1, 3])


def three_axes(q, k, v, tokens):
    """Heads folded into the batch, the mask added to four axes, as Bart's."""
    length = tf.shape(q)[1]
    q, k, v = (tf.reshape(x, [-1, length, SIZE]) for x in heads_first(q, k, v))
    scores = tf.reshape(tf.matmul(q * SIZE ** -0.5, k, transpose_b=True), [-1, HEADS, length, length])
    scores += tf.where((tokens == 0)[:, None, None, :], tf.float32.min, 0.0)
    weights = tf.nn.softmax(tf.reshape(scores, [-1, length, length]))
    return tf.transpose(tf.reshape(weights @ v, [-1, HEADS, length, SIZE]), [0, 2, 1, 3])


def whole_mask(q, k, v, tokens):
    """A mask that padding of queries and keys makes, [B, L, S]."""
    real = tokens != 0
    mask = real[:, :, None] & real[:, None, :]
    scores = tf.einsum("blhd,bshd->bhls", q, k) * 0.5
    scores = tf.where(mask[:, None], scores, scores.dtype.min)
    return tf.einsum("bhls,bshd->blhd", tf.nn.softmax(scores), v)


def alibi(q, k, v, tokens):
    """Not for linear attention: a bias that falls with distance."""
    at = tf.cast(tf.range(tf.shape(tokens)[1]), tf.float32)
    scores = tf.einsum("blhd,bshd->bhls", q, k) * 0.5 - tf.abs(at[:, None] - at[None, :])
    return tf.einsum("bhls,bshd->blhd", tf.nn.softmax(scores), v)


def relative_bias(q, k, v, tokens, bias):
    """Not for linear attention: a bias that is learnt."""
    length = tf.shape(tokens)[1]
    scores = tf.einsum("blhd,bshd->bhls", q, k) + bias[:, :length, :length]
    return tf.einsum("bhls,bshd->blhd", tf.nn.softmax(scores), v)


def weights_out(q, k, v, tokens):
    """Not for linear attention: weights are an output."""
    weights = tf.nn.softmax(tf.einsum("blhd,bshd->bhls", q, k) * 0.5)
    return tf.einsum("bhls,bshd->blhd", weights, v), {"weights": weights}


def given_mask(q, k, v, tokens, mask):
    """Not for linear attention: any mask may come in."""
    scores = tf.einsum("blhd,bshd->bhls", q, k) + (1 - mask)[:, None] * -1e9
    return tf.einsum("bhls,bshd->blhd", tf.nn.softmax(scores), v)


def windowed(q, k, v, tokens):
    """Not for linear attention: a band."""
    length = tf.shape(tokens)[1]
    near = tf.linalg.band_part(tf.ones([length, length]), 1, 1)
    scores = tf.einsum("blhd,bshd->bhls", q, k) + (1 - near) * -1e9
    return tf.einsum("bhls,bshd->blhd", tf.nn.softmax(scores), v)


def hand_written(attend, seed):
    def save(directory):
        more = {"mask": tf.TensorSpec([None, None, None], tf.float32, name="mask")} if attend is given_mask else {}
        module = HandWritten(attend, seed, **more)
        tf.saved_model.save(module, directory, signatures={"serving_default": module.serve})

    return save


def keras3(**options):
    """An encoder layer of Keras 3's own attention, with a mask of padding or the causal one; then one across lengths."""

    def save(directory):
        import keras
        from keras import layers

        keras.utils.set_random_seed(options["seed"])
        tokens = keras.Input([None], dtype="int32", name="tokens")
        x = layers.Embedding(TOKENS, WIDTH, mask_zero=options.get("mask", False))(tokens)
        inputs = [tokens]
        attention = layers.MultiHeadAttention(HEADS, SIZE, dropout=options.get("dropout", 0.0), name="attention")
        x = layers.LayerNormalization()(x + attention(x, x, use_causal_mask=options.get("causal", False)))
        if options.get("cross"):
            source = keras.Input([None], dtype="int32", name="source")
            inputs.append(source)
            y = layers.Embedding(TOKENS, WIDTH, mask_zero=True)(source)
            x = x + layers.MultiHeadAttention(HEADS, SIZE, value_dim=3, name="cross")(x, y)
        model = keras.Model(inputs, x)
        for variable in model.weights:
            if "embedding" in variable.path or "kernel" in variable.path:
                variable.assign(np.random.default_rng(len(variable.path)).normal(size=variable.shape) * 0.6)
        specs = [tf.TensorSpec([None, None], tf.int32, name=i.name) for i in inputs]
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", lambda *given: {"states": model(list(given) if len(given) > 1 else given[0], training=False)}, specs)
        archive.write_out(directory, verbose=False)

    return save


def hugging_face(kind):
    def save(directory):
        import transformers

        small = dict(vocab_size=TOKENS, pad_token_id=0)
        encoder = dict(hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=12, max_position_embeddings=16)
        gpt2 = dict(n_embd=WIDTH, n_layer=2, n_head=HEADS, n_positions=16, bos_token_id=1, eos_token_id=1, use_cache=False)
        names = ["input_ids", "attention_mask"]
        if kind == "bert":
            model = transformers.TFBertModel(transformers.BertConfig(**small, **encoder))
        elif kind == "distilbert":
            sizes = dict(dim=WIDTH, n_layers=2, n_heads=HEADS, hidden_dim=12, max_position_embeddings=16)
            model = transformers.TFDistilBertModel(transformers.DistilBertConfig(**small, **sizes))
        elif kind == "gpt2":
            model = transformers.TFGPT2LMHeadModel(transformers.GPT2Config(**small, **gpt2))
        elif kind == "roberta":
            model = transformers.TFRobertaModel(transformers.RobertaConfig(**{**small, "pad_token_id": 1}, **encoder))
        elif kind == "bart":
            sizes = dict(d_model=WIDTH, encoder_layers=1, decoder_layers=1, encoder_attention_heads=HEADS, decoder_attention_heads=HEADS,
                         encoder_ffn_dim=12, decoder_ffn_dim=12, max_position_embeddings=16, use_cache=False)
            model = transformers.TFBartModel(transformers.BartConfig(**small, **sizes))
            names = ["input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask"]
        elif kind == "t5":
            sizes = dict(d_model=WIDTH, d_kv=SIZE, d_ff=12, num_layers=1, num_heads=HEADS)
            model = transformers.TFT5EncoderModel(transformers.T5Config(**small, **sizes))
        specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in names]

        @tf.function(input_signature=specs)
        def serve(*given):
            output = model(dict(zip(names, given)), training=False)
            return {"states": output.logits if kind == "gpt2" else output.last_hidden_state}

        model.build_in_name_scope() if hasattr(model, "build_in_name_scope") else None
        model({name: tf.ones([1, 4], tf.int32) for name in names})
        generator = np.random.default_rng(3)
        for variable in model.trainable_variables:
            if "gamma" not in variable.name:
                variable.assign(generator.normal(size=variable.shape, scale=0.4).astype(np.float32))
        module = tf.Module()
        module.variables_ = list(model.variables)
        module.serve = serve
        tf.saved_model.save(module, directory, signatures={"serving_default": serve})

    return save


MODELS = {
    **{f.__name__: hand_written(f, i) for i, f in enumerate((
        plain, einsum_padding, causal_band, causal_padding, three_axes, whole_mask, alibi, relative_bias, weights_out, given_mask, windowed))},
    "keras_plain": keras3(seed=1),
    "keras_masked": keras3(seed=2, mask=True, dropout=0.1),
    "keras_causal": keras3(seed=3, mask=True, causal=True),
    "keras_cross": keras3(seed=4, mask=True, causal=True, cross=True, dropout=0.1),
    **{f"hf_{kind}": hugging_face(kind) for kind in ("bert", "distilbert", "gpt2", "roberta", "bart", "t5")},
}

if __name__ == "__main__":
    legacy = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
    for name in sys.argv[2:] or [n for n in MODELS if n.startswith("hf_") == legacy]:
        MODELS[name](os.path.join(sys.argv[1], name))
        print(name)
