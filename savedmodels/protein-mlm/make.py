#!/usr/bin/env python3
"""Makes the protein masked language model beside this file: trains it briefly, saves it, writes what it should output.

The attention is Model Garden's own KernelAttention (FAVOR+, positive softmax features), the data are the proteins in
training/data. Training stops early on purpose: the model knows something, and fine-tuning still has much to gain.

    python3 -m venv .venv && . .venv/bin/activate
    cd savedmodels/protein-mlm
    pip install -r requirements.txt && pip install --no-deps tf-models-no-deps==2.19.0
    python make.py                      # about a minute on 2 cores

Writes saved_model/ (with assets.extra/performer.json) and expected.npz.
"""
import argparse
import gzip
import json
import os
import pathlib
import shutil
import time
from importlib.metadata import version

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # Model Garden 2.19 is written for Keras 2
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tf_keras
from official.nlp.modeling.layers.kernel_attention import KernelAttention

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent.parent / "training" / "data"

# Google's protein vocabulary: 20 amino acids, 5 anomalous letters, 4 special tokens.
LETTERS = "ACDEFGHIKLMNPQRSTVWYBOUXZ"
BOS, EOS, PAD, MASK = 25, 26, 27, 28
TOKENS = list(LETTERS) + ["<", ">", "_", "*"]

MAX_LENGTH = 1024
WIDTH, HEADS, LAYERS, MLP, FEATURES = 128, 4, 2, 512, 64


# ---- data ------------------------------------------------------------------------------------------------------------


def read_fasta(path):
    """Token ids of each sequence with EOS appended, as a list of int32 arrays."""
    sequences, letters = [], []
    with gzip.open(path, "rt") as lines:
        for line in list(lines) + [">"]:
            if not line.startswith(">"):
                letters.append(line.strip())
            elif letters:
                ids = [LETTERS.index(letter) for letter in "".join(letters)]
                sequences.append(np.array(ids + [EOS], np.int32))
                letters = []
    return sequences


def pad(sequences, length, rng=None):
    """[B, length]: crops (at random where there is a generator, else the head) and pads with PAD."""
    tokens = np.full([len(sequences), length], PAD, np.int32)
    for row, sequence in zip(tokens, sequences):
        spare = max(0, len(sequence) - length)
        start = rng.integers(spare + 1) if rng is not None else 0
        part = sequence[start : start + length]
        row[: len(part)] = part
    return tokens


def mask(tokens, rng, hidden=0.8):
    """BERT's corruption: of the 15 % letters to predict, `hidden` become MASK, half of the others another letter.

    Returns (inputs [B, L], weights [B, L]); special tokens are never predicted.
    """
    chosen = (rng.random(tokens.shape) < 0.15) & (tokens < BOS)
    how = rng.random(tokens.shape)
    inputs = np.where(chosen & (how < hidden), MASK, tokens)
    inputs = np.where(chosen & (how >= (1 + hidden) / 2), rng.integers(0, 20, tokens.shape), inputs)
    return inputs.astype(np.int32), chosen.astype(np.float32)


# ---- model -----------------------------------------------------------------------------------------------------------

register = tf_keras.utils.register_keras_serializable(package="performer")
tf_keras.utils.register_keras_serializable(package="model_garden")(KernelAttention)


@register
class TokenAndPosition(tf_keras.layers.Layer):
    """[B, L] int32 → [B, L, E]: token embedding plus learned positions."""

    def build(self, _):
        def normal(seed):
            return tf_keras.initializers.RandomNormal(stddev=0.05, seed=seed)

        self.tokens = self.add_weight(name="tokens", shape=[len(TOKENS), WIDTH], initializer=normal(1))
        self.positions = self.add_weight(name="positions", shape=[MAX_LENGTH, WIDTH], initializer=normal(2))

    def call(self, tokens):
        return tf.gather(self.tokens, tokens) + self.positions[: tf.shape(tokens)[1]]


@register
class RealTokens(tf_keras.layers.Layer):
    """[B, L] int32 → [B, L] float32: 1 for a token, 0 for padding."""

    def call(self, tokens):
        return tf.cast(tf.not_equal(tokens, PAD), tf.float32)


def norm(name):
    # An ε below 1.001e-5 keeps Keras from the fused batch-norm kernel, whose gradient few other runtimes have.
    return tf_keras.layers.LayerNormalization(epsilon=1e-6, name=name)


def block(x, real, seed, name):
    """Pre-norm Transformer block: x + attention(norm(x)), then x + mlp(norm(x))."""
    attention = KernelAttention(
        feature_transform="exp",
        num_random_features=FEATURES,
        seed=seed,
        num_heads=HEADS,
        key_dim=WIDTH // HEADS,
        name=f"{name}/attention",
    )
    y = norm(f"{name}/attention_norm")(x)
    x = tf_keras.layers.Add(name=f"{name}/attended")([x, attention(y, y, attention_mask=real)])
    y = norm(f"{name}/mlp_norm")(x)
    y = tf_keras.layers.Dense(MLP, activation="gelu", name=f"{name}/mlp_in")(y)
    y = tf_keras.layers.Dense(WIDTH, name=f"{name}/mlp_out")(y)
    return tf_keras.layers.Add(name=f"{name}/output")([x, y])


def build_model():
    """(model: tokens → logits [B, L, 29], encoder: tokens → token embeddings [B, L, E]); they share their layers."""
    tokens = tf_keras.Input([None], dtype=tf.int32, name="tokens")
    real = RealTokens(name="real_tokens")(tokens)
    x = TokenAndPosition(name="embedding")(tokens)
    for i in range(LAYERS):
        x = block(x, real, seed=i + 1, name=f"block_{i}")
    encoder = tf_keras.Model(tokens, norm("final_norm")(x), name="encoder")
    small = tf_keras.initializers.RandomNormal(stddev=0.02, seed=3)  # the first guess is close to uniform
    logits = tf_keras.layers.Dense(len(TOKENS), kernel_initializer=small, name="logits")(encoder(tokens))
    return tf_keras.Model(tokens, logits, name="protein_mlm"), encoder


def masked_loss(logits, targets, weights):
    """Mean cross-entropy over the positions to predict."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)


# ---- training --------------------------------------------------------------------------------------------------------


def perplexity(predict, sequences, hidden=0.8, length=512, batch=50):
    """Masked perplexity over all sequences, with the same mask at each call."""
    rng = np.random.default_rng(7)
    total = count = 0.0
    for start in range(0, len(sequences), batch):
        targets = pad(sequences[start : start + batch], length)
        inputs, weights = mask(targets, rng, hidden)
        total += float(masked_loss(predict(inputs), targets, weights)) * weights.sum()
        count += weights.sum()
    return float(np.exp(total / count))


def train(predict, variables, sequences, steps, learning_rate, warmup=1, length=256, batch=32, seed=1):
    """AdamW with linear warm-up, weight decay 0.01, global norm clipped to 1; returns the loss of each step."""
    rng = np.random.default_rng(seed)
    optimizer = tf_keras.optimizers.AdamW(weight_decay=0.01)
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def step(inputs, targets, weights):
        with tf.GradientTape() as tape:
            loss = masked_loss(predict(inputs), targets, weights)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), 1.0)
        optimizer.apply_gradients(zip(gradients, variables))
        return loss

    losses = []
    for i in range(steps):
        optimizer.learning_rate.assign(learning_rate * min(1.0, (i + 1) / warmup))
        targets = pad([sequences[j] for j in rng.choice(len(sequences), batch, replace=False)], length, rng)
        inputs, weights = mask(targets, rng)
        losses.append(float(step(*map(tf.constant, (inputs, targets, weights)))))
    return losses


# ---- saving ----------------------------------------------------------------------------------------------------------


def save(model, encoder, path):
    """A Keras SavedModel with the signatures serving_default and embed; batch and length stay dynamic."""
    tokens = tf.TensorSpec([None, None], tf.int32, name="tokens")

    @tf.function(input_signature=[tokens])
    def serve(tokens):
        return {"logits": model(tokens, training=False)}

    @tf.function(input_signature=[tokens])
    def embed(tokens):
        x = encoder(tokens, training=False)
        real = tf.cast(tf.not_equal(tokens, PAD), tf.float32)[:, :, tf.newaxis]
        mean = tf.reduce_sum(x * real, axis=1) / tf.maximum(tf.reduce_sum(real, axis=1), 1.0)
        return {"embedding": mean, "token_embeddings": x}

    shutil.rmtree(path, ignore_errors=True)
    model.save(path, save_format="tf", include_optimizer=False, signatures={"serving_default": serve, "embed": embed})


def expected(model, path):
    """What the saved model outputs, and the gradient of a masked loss, by the names of inputs, outputs, variables."""
    loaded = tf.saved_model.load(path)
    rng = np.random.default_rng(11)
    proteins = [s for s in read_fasta(DATA / "test.fasta.gz") if len(s) < 300]
    arrays = {}
    # (batch, length): one token, all padded, longer than any row, and the whole position table.
    for i, (batch, length) in enumerate([(1, 1), (1, 17), (3, 40), (4, 128), (2, 300), (1, MAX_LENGTH)]):
        tokens = pad([proteins[j] for j in rng.choice(len(proteins), batch, replace=False)], length, rng)
        if length == 40:
            tokens[1, 23:] = PAD
            tokens[2, 5:] = PAD
        if length == 128:
            tokens, _ = mask(tokens, rng)
        if length == MAX_LENGTH:
            tokens[0] = rng.integers(0, 20, length)
        arrays[f"in{i}/tokens"] = tokens
        arrays[f"out{i}/logits"] = loaded.signatures["serving_default"](tokens=tokens)["logits"].numpy()
        embedded = loaded.signatures["embed"](tokens=tokens)
        arrays[f"out{i}/embedding"] = embedded["embedding"].numpy()
        if length < 100:
            arrays[f"out{i}/token_embeddings"] = embedded["token_embeddings"].numpy()

    targets = pad(proteins[:4], 120)
    inputs, weights = mask(targets, rng)
    with tf.GradientTape() as tape:
        loss = masked_loss(loaded.signatures["serving_default"](tokens=inputs)["logits"], targets, weights)
    variables = loaded.trainable_variables
    arrays |= {"grad_in/tokens": inputs, "grad_in/targets": targets, "grad_in/weights": weights}
    arrays["grad_loss"] = loss.numpy()
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        arrays["grad/" + variable.name.removesuffix(":0")] = tf.convert_to_tensor(gradient).numpy()
    for i in range(LAYERS):
        attention = model.get_layer("encoder").get_layer(f"block_{i}/attention")
        arrays[f"P/block_{i}"] = attention._projection_matrix.numpy()  # [M, D]
    return arrays


def write_card(path, steps, before, after):
    """assets.extra/performer.json: what the graph cannot say about itself."""
    attention = {"kernel": "softmax", "convention": "model-garden", "features": FEATURES}
    attention |= {"projection": "orthogonal", "rowLengths": "chi", "causal": False, "exact": False}
    vocabulary = {"name": "protein", "tokens": TOKENS, "padId": PAD, "maskId": MASK, "bosId": BOS, "eosId": EOS}
    model = {"signature": "serving_default", "tokens": "tokens", "logits": "logits", "objective": "masked-lm"}
    versions = {name: version(name) for name in ("tensorflow", "tf_keras", "tf-models-no-deps")}
    provenance = {"trainedOn": "training/data/train.fasta.gz", "seed": 1, "steps": steps, "versions": versions}
    provenance |= {"metricsBefore": before, "metricsAfter": after}
    card = {"formatVersion": 1, "attention": attention, "vocabulary": vocabulary}
    card |= {"languageModel": model, "provenance": provenance}
    folder = pathlib.Path(path) / "assets.extra"
    folder.mkdir(exist_ok=True)
    (folder / "performer.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def check(path, arrays):
    """Fails unless Keras reads the model too and says the same, with this file's classes at hand."""
    loaded = tf_keras.models.load_model(path, compile=False)
    for i in range(6):
        difference = np.abs(loaded(arrays[f"in{i}/tokens"]).numpy() - arrays[f"out{i}/logits"]).max()
        assert difference < 1e-5, f"load_model differs by {difference} on in{i}"


def fine_tune(path, steps, learning_rate):
    """Goes on from the saved model as a stranger would, with tf.saved_model.load, and prints the perplexities."""
    loaded = tf.saved_model.load(path)
    predict = tf.function(lambda tokens: loaded.signatures["serving_default"](tokens=tokens)["logits"])
    training, validation = (read_fasta(DATA / f"{split}.fasta.gz") for split in ("train", "valid"))
    before = perplexity(predict, validation)
    start = time.time()
    train(predict, loaded.trainable_variables, training, steps, learning_rate, warmup=20, seed=2)
    seconds, after = time.time() - start, perplexity(predict, validation)
    print(f"fine-tuned {steps} steps at {learning_rate}: validation perplexity {before:.2f} → {after:.2f}", end=" ")
    print(f"({after / before:.3f} × before), {seconds:.0f} s, {seconds / steps:.2f} s/step")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=HERE, help="folder for saved_model/ and expected.npz")
    parser.add_argument("--steps", type=int, default=26, help="training steps of 32 × 256 tokens")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--fine-tune", type=int, metavar="STEPS", help="then see how far STEPS more bring it at 2e-3")
    options = parser.parse_args()

    tf_keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()
    training, validation = (read_fasta(DATA / f"{split}.fasta.gz") for split in ("train", "valid"))

    model, encoder = build_model()
    predict = tf.function(lambda tokens: model(tokens, training=False), reduce_retracing=True)
    before = {"perplexity": round(perplexity(predict, validation), 3)}
    print(f"{model.count_params()} weights, on the validation data {before}")
    train(predict, model.trainable_variables, training, options.steps, options.learning_rate)
    after = {"perplexity": round(perplexity(predict, validation), 3)}
    print(f"after {options.steps} steps {after}, {perplexity(predict, validation, hidden=1.0):.2f} if all are hidden")

    path = str(options.output / "saved_model")
    save(model, encoder, path)
    arrays = expected(model, path)
    check(path, arrays)
    np.savez_compressed(options.output / "expected.npz", **arrays)
    write_card(path, options.steps, before, after)
    print(f"wrote {path} and expected.npz")
    if options.fine_tune:
        fine_tune(path, options.fine_tune, 2e-3)


if __name__ == "__main__":
    main()
