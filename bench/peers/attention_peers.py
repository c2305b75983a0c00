"""Attention alone in one peer: the output, or the output with the gradients of q, k and v, in turns with the other peers.

It prints "ready", then for every line "forward N" or "train N" runs so often and prints the milliseconds of each run and a checksum.
"""
import argparse
import importlib.metadata
import importlib.util
import os
import sys
import time

HEADS, HEAD_SIZE, FEATURES, CHUNK = 8, 64, 256, 128


def inputs(length):
    """q, k, v and the upstream gradient, [1, H, L, D] float32."""
    import numpy as np

    random = np.random.default_rng(1)
    return [random.normal(size=(1, HEADS, length, HEAD_SIZE)).astype(np.float32) for _ in range(4)]


def projection():
    """Block-orthogonal rows with lengths of Gaussian vectors, [M, D]."""
    import common

    common.FEATURES, common.HEAD_SIZE = FEATURES, HEAD_SIZE
    return common.projection(1)


def torch_work(attend, length):
    import torch

    x = [torch.from_numpy(a) for a in inputs(length)]
    leaves = [a.requires_grad_() for a in x[:3]]

    def forward():
        with torch.no_grad():
            return attend(*leaves).flatten()[0].item()

    def train():
        for leaf in leaves:
            leaf.grad = None
        out = attend(*leaves)
        out.backward(x[3])
        return out.flatten()[0].item()

    return forward, train


def torch_softmax(length, causal):
    from torch.nn.functional import scaled_dot_product_attention as attend

    return torch_work(lambda q, k, v: attend(q, k, v, is_causal=causal), length)


def performer_pytorch(length, causal):
    import torch
    from performer_pytorch import FastAttention

    torch.manual_seed(1)
    return torch_work(FastAttention(HEAD_SIZE, FEATURES, causal=causal), length)


def jax_favor(length, causal):
    import jax
    import jax.numpy as jnp

    p = jnp.asarray(projection())

    def features(x, axes):
        x = x * HEAD_SIZE**-0.25
        u = x @ p.T - 0.5 * jnp.sum(x * x, -1, keepdims=True)  # [1, H, L, M]
        return jnp.exp(u - jax.lax.stop_gradient(jnp.max(u, axes, keepdims=True))) + 1e-6

    def attend(q, k, v):
        q, k = features(q, -1), features(k, (-1, -2))
        v = jnp.concatenate([v, jnp.ones_like(v[..., :1])], -1)
        if causal:
            q, k, v = (x.reshape(1, HEADS, -1, CHUNK, x.shape[-1]) for x in (q, k, v))
            states = jnp.einsum("bhncm,bhncd->bhnmd", k, v)
            before = jnp.cumsum(states, 2) - states
            out = jnp.tril(jnp.einsum("bhncm,bhnkm->bhnck", q, k)) @ v + q @ before
            out = out.reshape(1, HEADS, length, HEAD_SIZE + 1)
        else:
            out = q @ jnp.einsum("bhlm,bhld->bhmd", k, v)
        return out[..., :-1] / out[..., -1:]

    x = [jnp.asarray(a) for a in inputs(length)]
    out = jax.jit(attend)

    @jax.jit
    def both(q, k, v, g):
        value, back = jax.vjp(attend, q, k, v)
        return value, back(g)

    def train():
        return jax.block_until_ready(both(*x))[0].ravel()[0]

    return lambda: jax.block_until_ready(out(*x[:3])).ravel()[0], train


def tensorflow_work(attend, length):
    import tensorflow as tf

    x = [tf.constant(a.transpose(0, 2, 1, 3)) for a in inputs(length)]  # [1, L, H, D]
    forward = tf.function(attend)

    @tf.function
    def train(q, k, v, g):
        with tf.GradientTape() as tape:
            tape.watch((q, k, v))
            out = attend(q, k, v)
        return out, tape.gradient(out, (q, k, v), g)

    def both():
        out, gradients = train(*x)
        for gradient in gradients:
            gradient.numpy()
        return out.numpy().flat[0]

    return lambda: forward(*x[:3]).numpy().flat[0], both


def keras_softmax(length, causal):
    """The layer's attention without its dense layers, as for the other peers."""
    import tensorflow as tf

    layer = tf.keras.layers.MultiHeadAttention(HEADS, HEAD_SIZE)
    layer(tf.zeros([1, 4, HEADS * HEAD_SIZE]), tf.zeros([1, 4, HEADS * HEAD_SIZE]))
    mask = tf.constant([[[[True]]]]) if not causal else tf.linalg.band_part(tf.ones([1, length, length], tf.bool), -1, 0)

    def attend(q, k, v):
        return layer._compute_attention(q, k, v, attention_mask=mask if causal else None)[0]

    return tensorflow_work(attend, length)


def garden(length, causal):
    """The feature map and the sums of Model Garden's KernelAttention, without its dense layers."""
    if causal:
        sys.exit("KernelAttention has no attention that is causal by token")
    files = importlib.metadata.files("tf-models-official")
    path = next(f for f in files if str(f).endswith("nlp/modeling/layers/kernel_attention.py")).locate()
    spec = importlib.util.spec_from_file_location("kernel_attention", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    layer = module.KernelAttention(
        num_heads=HEADS, key_dim=HEAD_SIZE, feature_transform="exp", num_random_features=FEATURES, redraw=False, is_short_seq=False)
    import tensorflow as tf

    layer(tf.zeros([1, 4, HEADS * HEAD_SIZE]), tf.zeros([1, 4, HEADS * HEAD_SIZE]))

    def attend(q, k, v):
        return layer._compute_attention(q, k, v, feature_transform="exp", is_short_seq=False, training=False)

    return tensorflow_work(attend, length)


FORMS = {
    "torch": torch_softmax, "performer-pytorch": performer_pytorch, "jax": jax_favor, "keras": keras_softmax, "garden": garden,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--form", choices=FORMS, required=True)
    a = parser.parse_args()
    if a.form == "garden":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    work = dict(zip(("forward", "train"), FORMS[a.form](a.length, a.causal)))
    print("ready", flush=True)
    for line in sys.stdin:
        name, count = line.split()
        times, check = [], 0.0
        for _ in range(int(count)):
            start = time.perf_counter()
            check = float(work[name]())
            times.append(f"{1e3 * (time.perf_counter() - start):.3f}")
        print(*times, "loss", check, flush=True)


main()
