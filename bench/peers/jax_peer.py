"""The model in plain JAX, the whole step compiled.

--form scan: causal sums as in Google's fast_attention: a scan over positions whose backward pass rebuilds the states by subtraction.
--form chunked: a triangle inside chunks and a prefix sum of states across them; nothing but differentiable operations.
"""
import functools

import jax
import jax.numpy as jnp
import numpy as np

import common as c

CHUNK = 128


def queries_features(x, p):
    x = x * c.HEAD_SIZE**-0.25
    u = x @ p.T - 0.5 * jnp.sum(x * x, -1, keepdims=True)  # [B, H, L, M]
    return jnp.exp(u - jax.lax.stop_gradient(jnp.max(u, -1, keepdims=True))) + 1e-6


def keys_features(x, p):
    x = x * c.HEAD_SIZE**-0.25
    u = x @ p.T - 0.5 * jnp.sum(x * x, -1, keepdims=True)
    return jnp.exp(u - jax.lax.stop_gradient(jnp.max(u, (-1, -2), keepdims=True))) + 1e-6


@jax.custom_vjp
def scanned(q, k, v):
    """sum over j <= i of (q_i . k_j) v_j; all [L, B, H, .]."""
    return _scanned(q, k, v)[0]


def _scanned(q, k, v):
    def body(state, x):
        qi, ki, vi = x
        state = state + ki[..., :, None] * vi[..., None, :]
        return state, jnp.einsum("bhm,bhmd->bhd", qi, state)

    last, out = jax.lax.scan(body, jnp.zeros(q.shape[1:] + v.shape[-1:], q.dtype), (q, k, v))
    return out, (q, k, v, last)


def _scanned_back(kept, g):
    q, k, v, last = kept

    def body(carry, x):
        state, later = carry  # sums of k v up to here, of q g from here
        qi, ki, vi, gi = x
        dq = jnp.einsum("bhd,bhmd->bhm", gi, state)
        later = later + qi[..., :, None] * gi[..., None, :]
        dk = jnp.einsum("bhmd,bhd->bhm", later, vi)
        dv = jnp.einsum("bhmd,bhm->bhd", later, ki)
        return (state - ki[..., :, None] * vi[..., None, :], later), (dq, dk, dv)

    _, gradients = jax.lax.scan(body, (last, jnp.zeros_like(last)), (q, k, v, g), reverse=True)
    return gradients


scanned.defvjp(_scanned, _scanned_back)


def causal_scan(q, k, v):
    ones = jnp.ones(v.shape[:-1] + (1,), v.dtype)
    first = lambda x: jnp.moveaxis(x, 2, 0)
    out = jnp.moveaxis(scanned(first(q), first(k), first(jnp.concatenate([v, ones], -1))), 0, 2)
    return out[..., :-1] / out[..., -1:]


def causal_chunked(q, k, v):
    b, h, length, m = q.shape
    v = jnp.concatenate([v, jnp.ones(v.shape[:-1] + (1,), v.dtype)], -1)
    split = lambda x: x.reshape(b, h, length // CHUNK, CHUNK, x.shape[-1])
    q, k, v = split(q), split(k), split(v)
    states = jnp.einsum("bhncm,bhncd->bhnmd", k, v)
    before = jnp.cumsum(states, 2) - states
    scores = jnp.tril(jnp.einsum("bhncm,bhnsm->bhncs", q, k))
    out = jnp.einsum("bhncs,bhnsd->bhncd", scores, v) + jnp.einsum("bhncm,bhnmd->bhncd", q, before)
    out = out.reshape(b, h, length, -1)
    return out[..., :-1] / out[..., -1:]


def norm(x, w, name):
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, -1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-6) * w[name + "/scale"] + w[name + "/bias"]


def loss(w, projections, tokens, targets, causal):
    b, length = tokens.shape
    x = w["token"][tokens] + w["position"]
    heads = lambda y: y.reshape(b, length, c.HEADS, c.HEAD_SIZE).transpose(0, 2, 1, 3)
    for i in range(c.LAYERS):
        y = norm(x, w, f"{i}/norm1")
        q, k, v = (heads(y @ w[f"{i}/{n}"]) for n in ("query", "key", "value"))
        y = causal(queries_features(q, projections[i]), keys_features(k, projections[i]), v)
        x = x + y.transpose(0, 2, 1, 3).reshape(b, length, c.WIDTH) @ w[f"{i}/out"]
        y = norm(x, w, f"{i}/norm2")
        y = jax.nn.gelu(y @ w[f"{i}/up/kernel"] + w[f"{i}/up/bias"])
        x = x + y @ w[f"{i}/down/kernel"] + w[f"{i}/down/bias"]
    logits = norm(x, w, "norm") @ w["output/kernel"] + w["output/bias"]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1))


def main():
    a = c.arguments()
    causal = {"scan": causal_scan, "chunked": causal_chunked}[a.form or "chunked"]
    projections = [jnp.asarray(c.projection(i)) for i in range(c.LAYERS)]
    tokens, targets = c.batch(a.batch, a.length)

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(w, m, v, t, tokens, targets):
        value, g = jax.value_and_grad(loss)(w, projections, tokens, targets, causal)
        map_ = jax.tree_util.tree_map
        m = map_(lambda m, g: c.BETA1 * m + (1 - c.BETA1) * g, m, g)
        v = map_(lambda v, g: c.BETA2 * v + (1 - c.BETA2) * g * g, v, g)
        rate = c.LEARNING_RATE * jnp.sqrt(1 - c.BETA2**t) / (1 - c.BETA1**t)
        w = map_(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + c.EPSILON), w, m, v)
        return value, w, m, v

    w = {name: jnp.asarray(x) for name, x in c.initial(a.length).items()}
    state = [w, jax.tree_util.tree_map(jnp.zeros_like, w), jax.tree_util.tree_map(jnp.zeros_like, w), 0]

    def take():
        state[3] += 1
        value, *state[:3] = step(*state[:3], np.float32(state[3]), tokens, targets)
        jax.block_until_ready(state[0])
        return value

    c.serve(take)


main()
