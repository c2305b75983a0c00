"""BERT in NumPy, from its .safetensors, against what ./performer predict says of the imported model.

    check_minilm.py make MODEL_FOLDER TEXTS.npz INPUTS.npz     some of the texts as the signature's inputs
    check_minilm.py compare MODEL_FOLDER INPUTS.npz OUTPUTS.npz
    check_minilm.py vectors MODEL_FOLDER TOKENS.npz VECTORS.npz     of ./performer embed, or of the signature embed
"""

import json
import os
import struct
import sys
from math import erf

import numpy as np

action, folder, first, second = sys.argv[1:]

if action == "make":
    texts = np.load(first)
    rows = np.argsort(texts["mask"].sum(1))[:: len(texts["mask"]) // 6][:6]
    length = int(texts["mask"][rows].sum(1).max())
    tokens, mask = (texts[name][rows, :length].astype(np.int32) for name in ("tokens", "mask"))
    np.savez(second, input_word_ids=tokens, input_mask=mask, input_type_ids=np.zeros_like(tokens))
    sys.exit()

with open(os.path.join(folder, "model.safetensors"), "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    data = file.read()
config = json.load(open(os.path.join(folder, "config.json"), encoding="utf8"))
weights = {
    name: np.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"]).astype(np.float64)
    for name, entry in header.items()
    if name != "__metadata__" and entry["dtype"] == "F32"
}


def norm(x, name):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
    return centred / deviation * weights[name + ".weight"] + weights[name + ".bias"]


def dense(x, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def bert(ids, mask):
    heads = config["num_attention_heads"]
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]] + weights["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        split = lambda y: y.reshape(*y.shape[:2], heads, -1).transpose(0, 2, 1, 3)
        q, k, v = (split(dense(x, f"{layer}attention.self.{part}")) for part in ("query", "key", "value"))
        logits = q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1]) + (1 - mask[:, None, None, :]) * -1e9
        a = np.exp(logits - logits.max(-1, keepdims=True))
        mixed = (a / a.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(x + dense(mixed, layer + "attention.output.dense"), layer + "attention.output.LayerNorm")
        h = dense(x, layer + "intermediate.dense")
        h = h * 0.5 * (1 + np.vectorize(erf)(h / np.sqrt(2)))
        x = norm(x + dense(h, layer + "output.dense"), layer + "output.LayerNorm")
    return x


inputs, outputs = np.load(first), np.load(second)
if action == "vectors":
    # Mean over the tokens, then length 1, as modules.json of the model has it.
    names = ("input_word_ids", "input_mask") if "input_mask" in inputs else ("tokens", "mask")
    tokens, mask = (inputs[name][:6, :256].astype(int) for name in names)  # its longest text
    states = bert(tokens * mask, mask) * mask[..., None]
    mean = states.sum(1) / mask.sum(1, keepdims=True)
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    worst = np.abs(outputs["embedding"][:6] - expected).max()
    if not worst <= 1e-5:
        sys.exit(f"vectors of texts differ from sentence-transformers' formula by {worst:.1e}")
    print(f"vectors of texts are sentence-transformers' to {worst:.1e}", file=sys.stderr)
    sys.exit()
real = inputs["input_mask"][..., None]
expected = bert(inputs["input_word_ids"], inputs["input_mask"]) * real
difference = np.abs(outputs["sequence_output"] * real - expected).max() / np.abs(expected).max()
if not difference <= 1e-4:
    sys.exit(f"the imported model differs from BERT in NumPy by {difference:.1e}")
print(f"the imported model is BERT in NumPy to {difference:.1e}", file=sys.stderr)
