"""The signatures prefill, extend, decode_step and generate of a causal model, in Python.

    check_generation.py MODEL OPTIONS RESULTS.jsonl RESAVED

OPTIONS are JSON, one list of {"prompts", "tokens", "temperature", "top_k", "top_p", "seed"} for each line of RESULTS, which
./performer generate --json printed for them. RESAVED is where Python saves the model again.
"""
import json
import sys

import numpy as np
import tensorflow as tf

path, options, results, resaved = sys.argv[1:]
card = json.load(open(f"{path}/assets.extra/performer.json"))
letters = {token: i for i, token in enumerate(card["vocabulary"]["tokens"])}
pad, end = card["config"].get("padId", 0), card["vocabulary"].get("eosId")
shift = 0 if card["config"].get("shiftBos") is None else 1
model = tf.saved_model.load(path)


def padded(rows):
    tokens = np.full([len(rows), max(1, max(map(len, rows)))], pad, np.int32)
    for i, row in enumerate(rows):
        tokens[i, :len(row)] = row
    return tf.constant(tokens), tf.constant([len(row) for row in rows], tf.int32)


def close(name, found, expected, tolerance):
    difference = np.abs(found - expected).max()
    if not difference <= tolerance * max(1, np.abs(expected).max()):
        sys.exit(f"{path}: {name} differs by {difference:.1e}")


# A text in pieces, rows of other lengths beside it, is the text at once; and that is what serving_default gives.
random = np.random.default_rng(3)
ordinary = [i for token, i in letters.items() if token.isalpha()]
texts = [random.choice(ordinary, n).tolist() for n in (23, 1, 9, 40)]
tokens, lengths = padded(texts)
whole = model.signatures["prefill"](tokens=tokens, lengths=lengths)["logits"].numpy()
plain = model.signatures["serving_default"]
for row, text in enumerate(texts):
    read = tf.constant([text + [pad] * shift], tf.int32)  # a model that shifts does not read the last one
    close("prefill", whole[row], plain(read)["logits"].numpy()[0, -1], 1e-5)
done = [min(len(text), 1 + i) for i, text in enumerate(texts)]
tokens, lengths = padded([text[:n] for text, n in zip(texts, done)])
states = dict(model.signatures["prefill"](tokens=tokens, lengths=lengths))
logits = states.pop("logits").numpy()
while any(n < len(text) for text, n in zip(texts, done)):
    more = [text[n:n + int(random.integers(0, 8))] for text, n in zip(texts, done)]
    tokens, lengths = padded(more)
    position = tf.constant([n + shift for n in done], tf.int32)
    states = dict(model.signatures["extend"](tokens=tokens, lengths=lengths, position=position, **states))
    new = states.pop("logits").numpy()
    for row, piece in enumerate(more):
        logits[row] = new[row] if piece else logits[row]
        done[row] += len(piece)
close("extend", logits, whole, 1e-5)


def generate(signature, o):
    tokens, lengths = padded([[letters[c] for c in prompt] for prompt in o["prompts"]])
    return {name: value.numpy() for name, value in signature(
        tokens=tokens, lengths=lengths, max_new_tokens=tf.constant(o["tokens"]), temperature=tf.constant(o["temperature"], tf.float32),
        top_k=tf.constant(o["top_k"]), top_p=tf.constant(o["top_p"], tf.float32), seed=tf.constant(o["seed"], tf.int64)).items()}


# What Python generates is what ./performer does, sampled or not; saved again, and in TensorFlow 1's loader, which is TensorFlow Serving's.
tf.saved_model.save(model, resaved, signatures=model.signatures)
again = tf.saved_model.load(resaved)
lines = [json.loads(line) for line in open(results)]
for o, line in zip(json.loads(options), lines, strict=True):
    out = generate(model.signatures["generate"], o)
    for row, expected in enumerate(line["results"]):
        n = int(out["lengths"][row])
        if out["tokens"][row, :n].tolist() != expected["tokens"]:
            sys.exit(f"{path}: {o}: row {row} has {out['tokens'][row]}, ./performer generate {expected['tokens']}")
        close("log_probabilities", out["log_probabilities"][row, :n], np.array(expected["logProbabilities"]), 1e-4)
        rest = out["tokens"][row, n:]
        if len(rest) and rest[0] != (end if expected["ended"] else pad) or (rest[1:] != pad).any():
            sys.exit(f"{path}: {o}: behind row {row} stands {rest}")
    for name, value in generate(again.signatures["generate"], o).items():
        close(f"{name} of {resaved}", value, out[name], 1e-5)
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    signature = tf.compat.v1.saved_model.loader.load(session, ["serve"], path).signature_def["generate"]
    tokens = np.array([[letters[c] for c in o["prompts"][0]]], np.int32)
    feeds = {"tokens": tokens, "lengths": [tokens.shape[1]], "max_new_tokens": [o["tokens"]], "temperature": [o["temperature"]],
             "top_k": [o["top_k"]], "top_p": [o["top_p"]], "seed": [o["seed"]]}  # one for each row, as in a batch of TensorFlow Serving
    found = session.run(signature.outputs["tokens"].name, {signature.inputs[name].name: value for name, value in feeds.items()})
    if found[0].tolist() != out["tokens"][0].tolist():
        sys.exit(f"{path}: TensorFlow 1's loader gives {found[0]}, Python {out['tokens'][0]}")
print(f"{path}: generates in Python as in Java", file=sys.stderr)
