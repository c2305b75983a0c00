"""A Transformer of Keras 3's own layers, saved as `.keras`, with what Python computes from it.

    python make_keras_attention.py OUTPUT    (Keras 3)

OUTPUT gets `model.keras` and `expected.npz`: tokens in, logits out. `mapping.json`, beside them in the
repository, is written by hand.
"""
import os
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
import keras
import numpy as np
from keras import layers

root = sys.argv[1]
rng = np.random.default_rng(5)
VOCABULARY, WIDTH, HEADS, HEAD, MLP, LAYERS, LENGTH = 17, 8, 2, 3, 12, 2, 10

tokens = keras.Input([LENGTH], dtype="int32")
positions = keras.ops.cumsum(keras.ops.ones_like(tokens), axis=1) - 1
x = layers.Embedding(VOCABULARY, WIDTH)(tokens) + layers.Embedding(LENGTH, WIDTH)(positions)
for _ in range(LAYERS):
    normed = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.MultiHeadAttention(HEADS, HEAD)(normed, normed)
    normed = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.Dense(WIDTH)(layers.Dense(MLP, activation="relu")(normed))
logits = layers.Dense(VOCABULARY)(layers.LayerNormalization(epsilon=1e-6)(x))
model = keras.Model(tokens, logits)
for weight in model.weights:
    value = rng.normal(size=tuple(weight.shape)).astype("float32") * 0.5
    weight.assign(value + 1 if "gamma" in weight.path else value)

os.makedirs(root, exist_ok=True)
model.save(os.path.join(root, "model.keras"))
ids = rng.integers(0, VOCABULARY, (2, LENGTH)).astype("int32")
np.savez_compressed(os.path.join(root, "expected.npz"), tokens=ids, logits=np.asarray(model(ids)))
