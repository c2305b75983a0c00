"""Makes a SavedModel of many small graphs, one signature each, with Python's outputs and gradients.

    python battery.py OUTPUT_DIRECTORY [CASE …]        (TensorFlow 2.18; 1 minute)

OUTPUT_DIRECTORY gets `saved_model/` and `expected.npz`: for each signature the arrays `<signature>/in0/…`, `<signature>/out/…` and
`<signature>/grad/<i>` as gradients.py writes them, half precision as float32. A variable without `grad` has none in Python.
"""
import os
import sys

import numpy as np
import tensorflow as tf

from gradients import gradients

rng = np.random.default_rng(13)
raw = tf.raw_ops
CASES = {}
F, I, D, H, BF = tf.float32, tf.int32, tf.float64, tf.float16, tf.bfloat16


def case(*inputs, **variables):
    """Registers a graph: inputs are (dtype, shape of the specification, array); variables are arrays."""
    def register(f):
        CASES[f.__name__] = (inputs, variables, f)
        return f
    return register


def normal(*shape, dtype="float32", scale=1.0):
    return (rng.normal(size=shape) * scale).astype(dtype)


def uniform(*shape, low=0.4, high=2.0, dtype="float32"):
    return rng.uniform(low, high, size=shape).astype(dtype)


def spd(n, dtype="float32"):
    a = rng.normal(size=(2, n, n))
    return (a @ a.transpose(0, 2, 1) + n * np.eye(n)).astype(dtype)


X = (F, [None, None], normal(3, 6))
X3 = (F, [None, None, 4], normal(2, 5, 4))
IDS = (I, [None, None], np.array([[3, 1, 4, 1, 5], [9, 2, 6, 0, 0]], "int32"))
IMAGE = (F, [None, None, None, 2], normal(2, 7, 8, 2))
VOLUME = (F, [None, None, None, None, 2], normal(1, 5, 6, 5, 2))


def attend(q, k, v, bias=0.0):
    scores = tf.einsum("bld,bsd->bls", q, k) / 2.0 + bias
    return tf.einsum("bls,bsd->bld", tf.nn.softmax(scores), v)


# ---- language models: positions, masks, tied tables -------------------------------------------------------------------------
@case(IDS, w=normal(10, 4), p=normal(16, 4))
def tied_positions(tokens, w, p):
    e = tf.gather(w, tokens)
    return tf.matmul(e + tf.gather(p, tf.range(tf.shape(e)[1]))[None], w, transpose_b=True)


@case(IDS, w=normal(10, 4), p=normal(16, 4))
def positions_by_cumsum(tokens, w, p):
    mask = tf.cast(tokens != 0, tf.int32)
    positions = tf.cumsum(mask, axis=1) * mask + 1
    return tf.gather(w, tokens) + tf.gather(p, positions)


@case(IDS, w=normal(10, 4), k=normal(4, 4))
def padding_mask(tokens, w, k):
    e = tf.gather(w, tokens)
    bias = (1.0 - tf.cast(tf.not_equal(tokens, 0), tf.float32))[:, None, :] * -1e9
    return attend(e @ k, e, e, bias)


@case(X3, k=normal(4, 4), v=normal(4, 4))
def causal_band_mask(x, k, v):
    n = tf.shape(x @ k)[1]
    mask = tf.linalg.band_part(tf.ones([n, n]), -1, 0)
    return attend(x @ k, x @ k, x @ v, (1.0 - mask) * -1e9)


@case(X3, k=normal(4, 4), v=normal(4, 4))
def causal_range_mask(x, k, v):
    h = x @ k
    i = tf.range(tf.shape(h)[1])
    return attend(h, h, x @ v, tf.where(i[:, None] >= i[None, :], 0.0, -1e9)[None])


@case(X3, (I, [None], np.array([3, 5], "int32")), k=normal(4, 4))
def sequence_mask(x, lengths, k):
    h = x @ k
    mask = tf.sequence_mask(lengths, tf.shape(h)[1], dtype=h.dtype)
    return tf.reduce_sum(h * mask[:, :, None], 1) / tf.reduce_sum(mask, 1, keepdims=True)


@case(X3, k=normal(4, 4))
def alibi(x, k):
    h = x @ k
    i = tf.cast(tf.range(tf.shape(h)[1]), tf.float32)
    return attend(h, h, x, -0.25 * tf.abs(i[:, None] - i[None, :])[None])


@case(X3, k=normal(4, 4))
def rope(x, k):
    h = x @ k
    t = tf.cast(tf.range(tf.shape(h)[1]), h.dtype)
    angle = tf.einsum("l,d->ld", t, 1.0 / (100.0 ** (tf.range(0.0, 2.0, 1.0) / 2.0)))
    cos, sin = tf.cos(angle), tf.sin(angle)
    a, b = tf.split(h, 2, -1)
    return tf.concat([a * cos - b * sin, b * cos + a * sin], -1)


@case(X3, k=normal(4, 4))
def float_range_of_size(x, k):
    h = x @ k
    n = tf.cast(tf.shape(h)[1], tf.float32)
    return h * tf.range(0.0, n, 1.0)[None, :, None]


@case(X3, k=normal(4, 4), bias=normal(8, 1))
def t5_buckets(x, k, bias):
    h = x @ k
    i = tf.range(tf.shape(h)[1])
    relative = i[None, :] - i[:, None]
    n = tf.abs(relative)
    large = 2 + tf.cast(tf.math.log(tf.cast(n, tf.float32) / 2.0 + 1e-6) / tf.math.log(4.0) * 2.0, tf.int32)
    bucket = tf.where(relative > 0, 4, 0) + tf.where(n < 2, n, tf.minimum(large, 3))
    return attend(h, h, x, tf.transpose(tf.gather(bias, bucket), [2, 0, 1]))


@case(X3, k=normal(4, 4), bias=normal(6, 1))
def buckets_by_searchsorted(x, k, bias):
    h = x @ k
    edges = tf.constant([0.0, 1.0, 2.0, 4.0])
    i = tf.cast(tf.range(tf.shape(h)[1]), tf.float32)
    bucket = tf.searchsorted(edges, i, side="right")
    return h + tf.gather(bias, bucket)[None]


@case(X3, k=normal(4, 4), w=normal(4, 4))
def linspace_positions(x, k, w):
    h = x @ k
    return h + tf.linspace(0.0, 1.0, tf.shape(h)[1])[None, :, None] * w[0]


@case(X3, k=normal(4, 4), g=normal(4, 3))
def top_k_experts(x, k, g):
    gates, chosen = tf.math.top_k(tf.nn.softmax(x @ g), 2)
    return tf.reduce_sum(tf.one_hot(chosen, 3) * gates[..., None], -2) @ g[:3] @ k[:3, :]


@case(X3, k=normal(4, 4))
def top_k_mask(x, k):
    h = x @ k
    least = tf.math.top_k(h, 2)[0][..., -1:]
    return tf.nn.softmax(tf.where(h < least, -1e9, h))


@case(X3, k=normal(4, 4), v=normal(4, 4))
def favor_relu(x, k, v):
    f = tf.nn.relu(x @ k) + 1e-3
    kv = tf.cumsum(tf.einsum("blm,bld->blmd", f, x @ v), axis=1)
    z = tf.cumsum(f, axis=1)
    return tf.einsum("blm,blmd->bld", f, kv) / tf.reduce_sum(f * z, -1, keepdims=True)


@case(IDS, w=normal(10, 4), k=normal(4, 10))
def language_loss(tokens, w, k):
    logits = tf.gather(w, tokens) @ k
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.roll(tokens, -1, 1), logits)
    mask = tf.cast(tokens > 0, loss.dtype)
    return tf.reduce_sum(loss * mask) / tf.maximum(tf.reduce_sum(mask), 1.0)


@case(IDS, w=normal(10, 4, dtype="float64"), k=normal(4, 10, dtype="float64"))
def cross_entropy_float64(tokens, w, k):
    logits = tf.gather(w, tokens) @ k
    return tf.nn.softmax_cross_entropy_with_logits(tf.one_hot(tokens, 10, dtype=D), logits)


@case(X3, k=normal(4, 4), scale=uniform(4))
def rms_norm(x, k, scale):
    h = x @ k
    return h * tf.math.rsqrt(tf.reduce_mean(tf.square(h), -1, keepdims=True) + 1e-6) * scale


@case(X3, k=normal(4, 4), scale=uniform(4), bias=normal(4))
def layer_norm_moments(x, k, scale, bias):
    h = x @ k
    mean, variance = tf.nn.moments(h, [-1], keepdims=True)
    return tf.nn.batch_normalization(h, mean, variance, bias, scale, 1e-5)


@case(IMAGE, w=normal(1, 1, 2, 4), scale=uniform(4))
def group_norm(x, w, scale):
    h = tf.nn.conv2d(x, w, 1, "SAME")
    s = tf.shape(h)
    g = tf.reshape(h, [s[0], s[1] * s[2], 2, 2])
    mean, variance = tf.nn.moments(g, [1, 3], keepdims=True)
    return tf.reshape((g - mean) * tf.math.rsqrt(variance + 1e-5), s) * scale


@case(IMAGE, w=normal(1, 1, 2, 4))
def instance_norm(x, w):
    h = tf.nn.conv2d(x, w, 1, "SAME")
    mean, variance = tf.nn.moments(h, [1, 2], keepdims=True)
    return (h - mean) / tf.sqrt(variance + 1e-3)


@case(IMAGE, scale=uniform(2), offset=normal(2), w=normal(1, 1, 2, 2))
def batch_norm_training(x, scale, offset, w):
    return tf.compat.v1.nn.fused_batch_norm(tf.nn.conv2d(x, w, 1, "SAME"), scale, offset, is_training=True)[0]


@case(IMAGE, scale=uniform(2), offset=normal(2), w=normal(1, 1, 2, 2))
def batch_norm_inference(x, scale, offset, w):
    h = tf.nn.conv2d(x, w, 1, "SAME")
    return tf.compat.v1.nn.fused_batch_norm(h, scale, offset, tf.zeros(2), tf.ones(2) * 2.0, is_training=False)[0]


# ---- scatter, gather, segments, sorting ---------------------------------------------------------------------------------------
@case(X, w=normal(3, 6))
def scatter_nd(x, w):
    return tf.scatter_nd([[0], [2], [2]], w * x, [4, 6])


def tensor_scatter(op):
    def f(x, w, u):
        return op(w * x, [[0], [2]], u * x[:2])
    return f


for name in ("add", "sub", "min", "max", "update"):
    op = getattr(tf, f"tensor_scatter_nd_{name}")
    scatter = tensor_scatter(op)
    scatter.__name__ = f"tensor_scatter_{name}"
    case(X, w=normal(3, 6), u=normal(2, 6))(scatter)


@case(X, w=normal(3, 6))
def segment_sum(x, w):
    return tf.math.segment_sum(w * x, [0, 0, 2])


@case(X, w=normal(3, 6))
def segment_mean(x, w):
    return tf.math.segment_mean(w * x, [0, 0, 2])


@case(X, w=normal(3, 6))
def segment_max(x, w):
    return tf.math.segment_max(w * x, [0, 0, 2])


@case(X, w=normal(3, 6))
def segment_min(x, w):
    return tf.math.segment_min(w * x, [0, 0, 2])


@case(X, w=normal(3, 6))
def segment_prod(x, w):
    return tf.math.segment_prod(w * x, [0, 0, 2])


@case(X, w=normal(3, 6))
def unsorted_segments(x, w):
    s = [2, -1, 2]
    h = w * x
    return tf.concat([tf.math.unsorted_segment_sum(h, s, 3), tf.math.unsorted_segment_max(h, s, 3),
                      tf.math.unsorted_segment_min(h, s, 3), tf.math.unsorted_segment_sqrt_n(h, s, 3)], 0) * tf.constant(
        [[1.0], [0.0], [1.0]] + [[0.0], [0.0], [1.0]] * 2 + [[1.0]] * 3)


@case(X, w=normal(3, 6))
def unsorted_segment_prod(x, w):
    return tf.math.unsorted_segment_prod(w * x, [2, -1, 2], 3)


@case(X, w=normal(3, 6))
def sparse_segments(x, w):
    h = w * x
    ids, seg = [0, 2, 1, 0], [0, 0, 1, 1]
    return tf.concat([tf.sparse.segment_sum(h, ids, seg), tf.sparse.segment_mean(h, ids, seg),
                      tf.sparse.segment_sqrt_n(h, ids, seg)], 1)


@case(X, w=normal(3, 6))
def sort_ascending(x, w):
    return tf.sort(w * x, axis=-1)


@case(X, w=normal(3, 6))
def sort_descending(x, w):
    return tf.sort(w * x, axis=0, direction="DESCENDING")


@case(X, w=normal(3, 6))
def argsort_gather(x, w):
    h = w * x
    return tf.gather(h, tf.argsort(h, axis=-1), batch_dims=1)


@case(X, w=normal(3, 6))
def argmax_one_hot(x, w):
    h = w * x
    return h * tf.one_hot(tf.argmax(h, -1), 6)


@case(X, w=normal(3, 6))
def cumulatives(x, w):
    h = w * x
    return (tf.cumsum(h, 1, exclusive=True) + tf.cumsum(h, 0, reverse=True)
            + tf.math.cumprod(h, 1) + tf.math.cumprod(h, 1, exclusive=True, reverse=True))


@case(X, w=normal(3, 6))
def gather_nd(x, w):
    return tf.gather_nd(w * x, [[0, 1], [2, 2], [0, 1]])


@case(X3, w=normal(4, 4))
def gather_nd_batch(x, w):
    return tf.gather_nd(x @ w, tf.constant([[[1], [0]], [[2], [2]]]), batch_dims=1)


@case(X3, w=normal(4, 4))
def gather_batch_negative(x, w):
    return tf.gather(x @ w, tf.constant([[1, 0], [2, 2]]), axis=-2, batch_dims=-1)


@case(X3, w=normal(4, 4))
def gather_axis_last(x, w):
    return tf.gather(x @ w, [3, 0, 3], axis=-1)


@case(IDS, w=normal(10, 4))
def unique_gather(tokens, w):
    y, index = tf.unique(tf.reshape(tokens, [-1]))
    return tf.gather(tf.gather(w, y), index)


@case(X, w=normal(3, 6))
def boolean_mask(x, w):
    h = w * x
    return tf.reduce_sum(tf.boolean_mask(h, h > 0.0) ** 2)


@case(X, w=normal(3, 6))
def where_positions(x, w):
    h = w * x
    return tf.gather_nd(h, tf.where(x > 0.0))


@case(X, w=normal(3, 6), v=normal(3, 6))
def where_both(x, w, v):
    return tf.where(x > 0.0, tf.exp(w), tf.square(v))


@case(X, w=normal(3, 6))
def dynamic_partition(x, w):
    parts = tf.dynamic_partition(w * x, [0, 1, 0], 2)
    return tf.dynamic_stitch([[1, 0], [2]], [parts[0], 2.0 * parts[1]])


@case(X, w=normal(3, 6))
def ragged_rows(x, w):
    r = tf.RaggedTensor.from_row_lengths(tf.reshape(w * x, [-1]), [5, 0, 13])
    return tf.reduce_sum(r, axis=1)


@case(X, w=normal(3, 6))
def ragged_to_dense(x, w):
    r = tf.RaggedTensor.from_row_splits(tf.reshape(w * x, [-1]), [0, 7, 7, 18])
    return r.to_tensor(default_value=0.5)


@case(X, w=normal(3, 6))
def ragged_to_sparse(x, w):
    r = tf.RaggedTensor.from_row_splits(tf.reshape(w * x, [-1]), [0, 7, 7, 18])
    return tf.sparse.reduce_sum(r.to_sparse(), 1) + tf.reduce_sum(raw.Reverse(tensor=w, dims=[True, False]) * x)


@case(X, w=normal(3, 6))
def sparse_dense_matmul(x, w):
    s = tf.SparseTensor([[0, 1], [2, 0]], tf.reshape(x, [-1])[:2], [3, 3])
    return tf.sparse.sparse_dense_matmul(s, w)


@case(X, w=normal(3, 6), v=normal(2))
def sparse_values_matmul(x, w, v):
    s = tf.SparseTensor([[0, 1], [2, 0]], v, [3, 3])
    return tf.sparse.sparse_dense_matmul(s, w * x, adjoint_a=True)


@case(IDS, w=normal(10, 4))
def sparse_reordered(tokens, w):
    e = tf.gather(w, tokens)[..., 0]
    s = tf.sparse.reorder(tf.SparseTensor([[1, 0], [0, 2], [0, 1]], e[0, :3], [3, 3]))
    filled, empty = tf.sparse.fill_empty_rows(s, 0.25)
    return filled.values * tf.range(1.0, 5.0)


@case(X, v=normal(3))
def sparse_to_dense(x, v):
    s = tf.SparseTensor([[0, 1], [1, 4], [2, 0]], v, [3, 6])
    return tf.sparse.to_dense(s) * x


@case(X, v=normal(3))
def sparse_reduce(x, v):
    s = tf.SparseTensor([[0, 1], [1, 4], [2, 0]], v * x[0, :3], [3, 6])
    return tf.sparse.reduce_sum(s, 1)


@case(X, v=normal(4))
def sparse_softmax(x, v):
    s = tf.SparseTensor([[0, 1], [0, 4], [2, 0], [2, 3]], v * x[0, :4], [3, 6])
    return tf.sparse.softmax(s).values


@case(IDS, w=normal(10, 4))
def embedding_lookup_sparse(tokens, w):
    ids = tf.sparse.from_dense(tokens)
    return tf.nn.embedding_lookup_sparse(w, ids, None, combiner="mean")


@case(IDS, w=normal(10, 4), s=uniform(2))
def embedding_weighted_sparse(tokens, w, s):
    ids = tf.sparse.from_dense(tokens)
    weights = tf.sparse.map_values(lambda v: tf.cast(v, tf.float32) * s[0], ids)
    return tf.nn.embedding_lookup_sparse(w, ids, weights, combiner="sqrtn")


@case(IDS, w=normal(5, 4))
def string_lookup(tokens, w):
    words = tf.strings.substr(tf.fill(tf.shape(tokens), "abczzzzzzz"), tf.minimum(tokens, 7), tf.ones_like(tokens))
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(["a", "b", "c"], tf.constant([0, 1, 2], tf.int64)), 2)
    CASES["string_lookup"][1]["_table"] = table
    return tf.gather(w, table.lookup(words))


@case(X, w=normal(3, 6))
def string_to_number(x, w):
    return tf.strings.to_number(tf.strings.as_string(w * x)) * w


@case(X, w=normal(3, 6))
def max_of_ties(x, w):
    return tf.reduce_max(tf.round(w * x), 1) + tf.reduce_max(tf.nn.relu(w), 0, keepdims=True)[0, :3] + tf.reduce_min(w)


# ---- images, convolutions, pooling --------------------------------------------------------------------------------------------
def resize(method, antialias=False, size=(5, 11)):
    def f(x, w):
        return tf.image.resize(tf.nn.conv2d(x, w, 1, "SAME"), size, method=method, antialias=antialias)
    return f


for method, antialias in (("bilinear", False), ("nearest", False), ("bicubic", False), ("bilinear", True),
                          ("lanczos3", False), ("gaussian", True), ("mitchellcubic", False)):
    resized = resize(method, antialias)
    resized.__name__ = f"resize_{method}{'_antialias' if antialias else ''}"
    case(IMAGE, w=normal(1, 1, 2, 2))(resized)


@case(IMAGE, w=normal(1, 1, 2, 2))
def resize_v1_corners(x, w):
    h = tf.nn.conv2d(x, w, 1, "SAME")
    v1 = tf.compat.v1.image
    return tf.concat([v1.resize_bilinear(h, [4, 4], align_corners=True), v1.resize_nearest_neighbor(h, [4, 4], align_corners=True),
                      v1.resize_bicubic(h, [4, 4])], -1)


@case(IMAGE, w=normal(1, 1, 2, 2))
def crop_and_resize(x, w):
    h = tf.nn.conv2d(x, w, 1, "SAME")
    return tf.image.crop_and_resize(h, [[0.0, 0.0, 0.7, 0.8], [0.1, 0.2, 1.0, 1.0]], [1, 0], [4, 4])


@case(IMAGE, w=normal(1, 1, 2, 2))
def extract_patches(x, w):
    h = tf.nn.conv2d(x, w, 1, "SAME")
    return tf.image.extract_patches(h, [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], "SAME")


@case(X3, k=normal(3, 4, 5))
def conv1d(x, k):
    return tf.nn.conv1d(x, k, 2, "SAME")


@case(X3, k=normal(3, 4, 5))
def conv1d_dilated_causal(x, k):
    return tf.nn.conv1d(tf.pad(x, [[0, 0], [4, 0], [0, 0]]), k, 1, "VALID", dilations=2)


@case(IMAGE, k=normal(3, 3, 2, 3))
def conv2d_strided(x, k):
    return tf.nn.conv2d(x, k, 2, "VALID")


@case(IMAGE, k=normal(3, 3, 2, 3), w=normal(1, 1, 2, 2))
def conv2d_dilated(x, k, w):
    return tf.nn.conv2d(tf.nn.conv2d(x, w, 1, "SAME"), k, 1, "SAME", dilations=[2, 1])


@case(IMAGE, k=normal(3, 3, 1, 3), w=normal(1, 1, 2, 4))
def conv2d_groups(x, k, w):
    return tf.nn.conv2d(tf.nn.conv2d(x, w, 1, "SAME")[..., :2], k[..., :2], 1, "SAME")


@case(IMAGE, k=normal(3, 3, 3, 2))
def conv2d_transpose(x, k):
    s = tf.shape(x)
    return tf.nn.conv2d_transpose(x, k, tf.stack([s[0], s[1] * 2, s[2] * 2, 3]), 2, "SAME")


@case(X3, k=normal(3, 5, 4))
def conv1d_transpose(x, k):
    s = tf.shape(x)
    return tf.nn.conv1d_transpose(x, k, tf.stack([s[0], s[1] * 2, 5]), 2, "SAME")


@case(IMAGE, k=normal(3, 3, 3, 2))
def conv2d_transpose_dilated(x, k):
    s = tf.shape(x)
    return tf.nn.conv2d_transpose(x, k, tf.stack([s[0], s[1], s[2], 3]), 1, "SAME", dilations=2)


@case(IMAGE, k=normal(3, 3, 3, 2), w=normal(1, 1, 2, 2))
def conv2d_transpose_valid(x, k, w):
    h = tf.nn.conv2d(x, w, 1, "SAME")
    s = tf.shape(h)
    return tf.nn.conv2d_transpose(h, k, tf.stack([s[0], s[1] + 2, s[2] + 2, 3]), 1, "VALID")


@case(IMAGE, k=normal(3, 3, 2, 2), p=normal(1, 1, 4, 3))
def separable_conv2d(x, k, p):
    return tf.nn.separable_conv2d(x, k, p, [1, 1, 1, 1], "SAME")


@case(IMAGE, k=normal(3, 3, 2, 2), w=normal(1, 1, 2, 2))
def depthwise_strided(x, k, w):
    return tf.nn.depthwise_conv2d(tf.nn.conv2d(x, w, 1, "SAME"), k, [1, 2, 2, 1], "VALID")


@case(VOLUME, k=normal(2, 3, 3, 2, 3), w=normal(1, 1, 1, 2, 2))
def conv3d(x, k, w):
    return tf.nn.conv3d(tf.nn.conv3d(x, w, [1] * 5, "SAME"), k, [1, 2, 1, 1, 1], "SAME")


@case(VOLUME, k=normal(2, 2, 2, 3, 2), w=normal(1, 1, 1, 2, 2))
def conv3d_transpose(x, k, w):
    s = tf.shape(x)
    return tf.nn.conv3d_transpose(tf.nn.conv3d(x, w, [1] * 5, "SAME"), k, tf.stack([s[0], s[1] * 2, s[2] * 2, s[3] * 2, 3]), 2, "SAME")


@case(IMAGE, w=normal(1, 1, 2, 2), k=normal(3, 3, 2))
def dilation2d(x, w, k):
    return tf.nn.dilation2d(tf.nn.conv2d(x, w, 1, "SAME"), k, [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1])


@case(IMAGE, w=normal(1, 1, 2, 2))
def pools_2d(x, w):
    h = tf.nn.conv2d(x, w, 1, "SAME")
    return tf.concat([tf.nn.max_pool2d(h, 3, 2, "SAME"), tf.nn.avg_pool2d(h, 3, 2, "SAME")], -1)


@case(X3, w=normal(4, 4))
def pools_1d(x, w):
    h = x @ w
    return tf.concat([tf.nn.max_pool1d(h, 2, 2, "VALID"), tf.nn.avg_pool1d(h, 2, 2, "VALID")], -1)


@case(VOLUME, w=normal(2, 2))
def max_pool_3d(x, w):
    return tf.nn.max_pool3d(x @ w, 2, 2, "SAME")


@case(VOLUME, w=normal(2, 2))
def avg_pool_3d(x, w):
    return tf.nn.avg_pool3d(x @ w, 2, 2, "VALID")


@case(IMAGE, w=normal(2, 2))
def max_pool_argmax(x, w):
    return tf.nn.max_pool_with_argmax(x @ w, 2, 2, "VALID")[0]


@case(IMAGE, w=normal(2, 2))
def local_response(x, w):
    return tf.nn.local_response_normalization(x @ w, depth_radius=1)


@case(IMAGE, w=normal(2, 4))
def space_depth(x, w):
    h = x[:, :6] @ w
    return tf.nn.depth_to_space(tf.nn.space_to_depth(h, 2)[..., :8], 2) * tf.reduce_sum(
        tf.space_to_batch(h, [2, 2], [[0, 0], [0, 0]]))


@case(IMAGE, w=normal(2, 3))
def colors(x, w):
    h = tf.sigmoid(x @ w)
    return tf.image.adjust_brightness(tf.image.flip_left_right(h), 0.2) + tf.image.rgb_to_grayscale(h)


@case(IMAGE, w=normal(2, 3))
def rgb_to_hsv(x, w):
    return tf.image.rgb_to_hsv(tf.sigmoid(x @ w))


@case(IMAGE, w=normal(2, 3))
def image_gradients(x, w):
    h = x @ w
    return tf.image.sobel_edges(h)[..., 0] + tf.image.total_variation(h)[:, None, None, None]


# ---- linear algebra -----------------------------------------------------------------------------------------------------------
@case((F, [None, 3, 3], spd(3)), w=normal(3, 3))
def cholesky(x, w):
    return tf.linalg.cholesky(x + w @ tf.transpose(w))


@case((F, [None, 3, 3], spd(3)), w=normal(3, 3, scale=0.3))
def inverse(x, w):
    return tf.linalg.inv(x + w) + tf.linalg.inv(x + w, adjoint=True)


@case((F, [None, 3, 3], spd(3)), w=normal(3, 3, scale=0.3), b=normal(2, 3, 2))
def solve(x, w, b):
    return tf.linalg.solve(x + w, b) + tf.linalg.solve(x - w, b, adjoint=True)


@case((F, [None, 3, 3], spd(3)), w=normal(3, 3, scale=0.3), b=normal(2, 3, 2))
def triangular_solve(x, w, b):
    return (tf.linalg.triangular_solve(x + w, b) + tf.linalg.triangular_solve(x + w, b, lower=False)
            + tf.linalg.triangular_solve(x + w, b, adjoint=True))


@case((F, [None, 3, 3], spd(3)), w=normal(3, 3, scale=0.3))
def determinants(x, w):
    return tf.linalg.det(x + w) * 0.01 + tf.linalg.slogdet(x + w)[1] + tf.linalg.logdet(x + w @ tf.transpose(w))


@case((F, [None, 4, 3], normal(2, 4, 3)), w=normal(3, 3))
def qr(x, w):
    q, r = tf.linalg.qr(x @ w)
    return tf.concat([q, r], -2)


@case((F, [None, 3, 5], normal(2, 3, 5)), w=normal(3, 3))
def qr_wide(x, w):
    q, r = tf.linalg.qr(tf.linalg.matmul(w, x))
    return tf.concat([q, r], -1)


@case((F, [None, 3, 5], normal(2, 3, 5)), w=normal(3, 3))
def svd_wide(x, w):
    s, u, v = tf.linalg.svd(tf.linalg.matmul(w, x))
    return s + tf.reduce_sum(u ** 2, -2) + tf.reduce_sum(v ** 4, -2)


@case((F, [None, 3, 3], spd(3)), w=normal(3, 3, scale=0.3))
def eigh(x, w):
    e, v = tf.linalg.eigh(x + w + tf.transpose(w))
    return e + tf.reduce_sum(tf.square(v), -2)


@case((F, [None, 3, 3], spd(3)), w=normal(3, 3, scale=0.3))
def eigenvalues(x, w):
    return tf.linalg.eigvalsh(x + w + tf.transpose(w))


@case((F, [None, 4, 3], normal(2, 4, 3)), w=normal(3, 3))
def svd(x, w):
    s, u, v = tf.linalg.svd(x @ w)
    return s + tf.reduce_sum(u ** 2, -2) + tf.reduce_sum(v ** 2, -2)


@case((F, [None, 4, 3], normal(2, 4, 3)), w=normal(3, 3), b=normal(2, 4, 2))
def least_squares(x, w, b):
    return tf.linalg.lstsq(x @ w, b, l2_regularizer=0.1)


@case((F, [None, 3, 3], spd(3)), w=normal(3, 3))
def matrix_parts(x, w):
    h = x @ w
    d = tf.linalg.diag_part(h) + tf.linalg.trace(h)[:, None]
    return tf.linalg.set_diag(tf.linalg.band_part(h, 1, 0), d) + tf.linalg.diag(d) + tf.linalg.norm(h, axis=[-2, -1])[:, None, None]


@case((F, [None, 3, 3], spd(3)), w=normal(3, 3, scale=0.2))
def matrix_exponential(x, w):
    return tf.linalg.matmul(tf.linalg.adjoint(w), w) + x


@case((F, [None, 3], normal(2, 3)), w=normal(3), v=normal(3, 3))
def cross_and_outer(x, w, v):
    return tf.linalg.cross(x, tf.broadcast_to(w, tf.shape(x))) + tf.tensordot(x, v, 1) + tf.einsum("bi,j,ij->bj", x, w, v)


@case((F, [None, 3, 5], normal(2, 3, 5)), w=uniform(3, 5, low=3.0, high=4.0), b=normal(2, 5, 2))
def tridiagonal_solve(x, w, b):
    return tf.linalg.tridiagonal_solve(x * 0.3 + w, b, diagonals_format="compact", partial_pivoting=False)


# ---- elementwise --------------------------------------------------------------------------------------------------------------
@case(X, w=normal(3, 6))
def activations(x, w):
    h = w * x
    return (tf.nn.softplus(h) + tf.nn.selu(h) + tf.nn.gelu(h) + tf.nn.gelu(h, True) + tf.nn.silu(h) + h * tf.tanh(tf.nn.softplus(h))
            + tf.nn.elu(h) + tf.nn.leaky_relu(h, 0.3) + tf.nn.relu6(3 * h) + tf.nn.softsign(h) + tf.nn.crelu(h)[:, :6] + tf.nn.relu(h))


@case(X, w=uniform(3, 6, low=0.1, high=0.9))
def special_functions(x, w):
    h = w * tf.sigmoid(x)
    return (tf.math.erf(h) + tf.math.erfinv(h) + tf.math.lgamma(h + 1.0) + tf.math.digamma(h + 1.0) + tf.math.erfc(h)
            + tf.math.ndtri(h) + tf.math.erfcinv(h) + tf.math.polygamma(1.0, h + 1.0) + tf.math.zeta(2.0 + h, 1.0 + h))


@case(X, a=uniform(3, 6), b=uniform(3, 6), w=uniform(3, 6, low=0.1, high=0.9))
def incomplete_gammas(x, a, b, w):
    return tf.math.igamma(a, b) + tf.math.igammac(a, w) + tf.math.betainc(a, b, w) + x


@case(X, w=uniform(3, 6, low=0.1, high=0.9))
def bessel(x, w):
    h = w * x
    s = tf.math.special
    return (s.bessel_i0(h) + s.bessel_i1(h) + tf.math.bessel_i0e(h) + tf.math.bessel_i1e(h) + s.bessel_j0(h) + s.bessel_j1(h)
            + s.bessel_k0(w) + s.bessel_k1(w) + s.bessel_k0e(w) + s.bessel_k1e(w) + s.bessel_y0(w) + s.bessel_y1(w))


@case(X, w=uniform(3, 6, low=0.1, high=0.9))
def integrals(x, w):
    s = tf.math.special
    return s.dawsn(w * x) + s.expint(w) + s.fresnel_cos(w * x) + s.fresnel_sin(w * x) + s.spence(w + 1.0)


@case(X, w=normal(3, 6), v=uniform(6))
def arithmetic(x, w, v):
    return (tf.math.xlogy(x, v) + tf.math.xdivy(w, v) + tf.math.xlog1py(w, v) + tf.math.divide_no_nan(w, v) + tf.math.multiply_no_nan(w, v)
            + tf.pow(v, w) + tf.math.floormod(w, v) + w // v + tf.math.squared_difference(w, v) + tf.math.atan2(w, v)
            + tf.math.reciprocal_no_nan(v) + tf.maximum(w, v) + tf.minimum(w, x) + tf.math.sign(w))


@case(X, w=uniform(3, 6, low=0.1, high=0.9))
def trigonometry(x, w):
    return (tf.sin(w * x) + tf.tan(w) + tf.asin(w) + tf.acos(w) + tf.atan(w) + tf.sinh(w) + tf.cosh(w) + tf.asinh(w) + tf.acosh(w + 1.0)
            + tf.atanh(w) + tf.math.expm1(w) + tf.math.log1p(w) + tf.math.rsqrt(w) + tf.math.log_sigmoid(w) + tf.math.cosh(w))


@case(X, w=normal(3, 6), v=normal(6))
def norms_and_clips(x, w, v):
    h = w * x
    clipped, norm = tf.clip_by_global_norm([h, v], 1.5)
    return tf.nn.l2_normalize(h, -1) + tf.clip_by_norm(h, 2.0, [1]) + clipped[0] * norm + clipped[1] + tf.clip_by_value(h, -0.5, 0.5)


@case(X, w=normal(3, 6))
def reductions(x, w):
    h = w * x
    return (tf.reduce_logsumexp(h, 1) + tf.reduce_prod(h, 1) + tf.math.reduce_std(h, 1) + tf.math.reduce_variance(h, 1)
            + tf.math.reduce_euclidean_norm(h, 1) + tf.reduce_mean(h, 1) + tf.norm(h, 1, axis=1))


@case(X, w=normal(3, 6))
def shapes(x, w):
    h = w * x
    return (tf.pad(h[:, 1:-1], [[0, 0], [1, 1]], "REFLECT") + tf.pad(h[:, 1:-1], [[0, 0], [1, 1]], "SYMMETRIC")
            + tf.broadcast_to(h[:, :1], tf.shape(h)) + tf.squeeze(tf.expand_dims(h, 1), 1)
            + tf.transpose(tf.reshape(h, [6, 3])) + tf.tile(h[:, :1], [1, tf.shape(h)[1]]))


@case((F, [None, 6], normal(3, 6)), w=normal(3, 6))
def static_shapes(x, w):
    h = w * x
    return (tf.repeat(h, [1, 0, 2], axis=0) + tf.roll(tf.tile(h, [1, tf.shape(x)[0]])[:, :6], 2, 1)
            + tf.reverse_sequence(h, [2, 6, 3], 1) + tf.reverse(h, [0, 1]) + tf.stack(tf.unstack(h, axis=1), 1))


@case(X, w=normal(3, 6))
def slices(x, w):
    h = w * x
    updated = raw.TensorStridedSliceUpdate(input=h, begin=[0, 1], end=[2, 5], strides=[1, 2], value=w[:2, :2])
    return h[:, ::-2] + tf.slice(h, [0, 1], [-1, 3]) + h[..., -3:] + h[tf.newaxis, 0, :3] + updated[:, 2:5]


@case(X, w=normal(3, 6))
def meshgrid(x, w):
    a, b = tf.meshgrid(w[0], w[:, 0])
    return a * b * x


@case(X, w=normal(3, 6))
def histogram_bins(x, w):
    h = w * x
    return h * tf.cast(tf.histogram_fixed_width_bins(h, [-2.0, 2.0], 4), tf.float32) + tf.cast(raw.Bucketize(input=h, boundaries=[0.0, 1.0]), F)


@case(X, w=normal(3, 6))
def cast_to_int_and_back(x, w):
    return tf.cast(tf.cast(w * x * 3.0, tf.int32), tf.float32) * w + tf.cast(w > 0.0, tf.float32) * w


@case(X, w=normal(3, 6))
def only_through_int(x, w):
    return tf.cast(tf.cast(w * x * 3.0, tf.int32), tf.float32) + x


@case(X, w=normal(3, 6), v=normal(3, 6))
def stop_gradient(x, w, v):
    return tf.stop_gradient(w) * x + v


@case(X, w=normal(3, 6))
def custom_gradient(x, w):
    @tf.custom_gradient
    def clipped(a):
        return a * 2.0, lambda dy: tf.clip_by_value(dy, -0.5, 0.5)
    return clipped(w * x)


@case(X, w=normal(3, 6))
def gradient_reversal(x, w):
    @tf.custom_gradient
    def reverse(a):
        return tf.identity(a), lambda dy: -dy
    return reverse(tf.sin(w)) * x


@case(X, w=normal(3, 6))
def straight_through(x, w):
    h = w * x
    return h + tf.stop_gradient(tf.round(h) - h)


@case(X, w=normal(3, 6))
def fake_quantization(x, w):
    return tf.quantization.fake_quant_with_min_max_args(w * x, -1.5, 1.5, 8) + tf.quantization.fake_quant_with_min_max_vars(w, -1.0, 1.0)


@case(X, w=normal(3, 6))
def nth_element(x, w):
    return tf.raw_ops.NthElement(input=w * x, n=2)


@case((F, [1, 4, 5, 4, 2], normal(1, 4, 5, 4, 2)), w=normal(2, 2))
def volume_patches(x, w):
    return tf.extract_volume_patches(x @ w, [1, 2, 2, 2, 1], [1, 1, 2, 1, 1], "VALID")


@case(X, w=normal(3, 6))
def masked_moments(x, w):
    h = w * x
    mean, variance = tf.nn.weighted_moments(h, [1], tf.cast(x > 0.0, F) + 0.1, keepdims=True)
    return (h - mean) / tf.sqrt(variance + 1e-3)


@case(X, w=normal(3, 6))
def unstable_nan_mask(x, w):
    h = tf.math.log(w * x)
    return tf.where(tf.math.is_nan(h), tf.zeros_like(h), h) * 0.0 + tf.where(tf.math.is_finite(w), w, 0.0) * tf.cast(tf.size(x), F)


@case(X, w=normal(3, 6))
def random_crop_free_noise(x, w):
    h = w * x
    noise = tf.random.stateless_truncated_normal(tf.shape(h), [3, 4]) + tf.cast(tf.random.stateless_uniform(
        tf.shape(h), [1, 1], 0, 3, tf.int32), F) + tf.random.stateless_gamma(tf.shape(h), [2, 2], alpha=2.0)
    return h * noise


@case(X, w=normal(3, 6))
def quantize_dequantize(x, w):
    return tf.quantization.quantize_and_dequantize_v2(w * x, -2.0, 2.0)


@case(X, w=normal(3, 6))
def numeric_checks(x, w):
    h = tf.debugging.check_numerics(w * x, "bad")
    tf.debugging.assert_less(tf.reduce_max(tf.abs(h)), 1e6)
    return tf.ensure_shape(h, [None, 6])


@case(X, w=normal(3, 6))
def print_inside(x, w):
    tf.print("sum", tf.reduce_sum(w * x), output_stream="file:///dev/null")
    return w * x


@case(X, w=normal(3, 6))
def print_v1(x, w):
    return raw.Print(input=w * x, data=[w], message="", first_n=0, summarize=1)


@case(X, w=normal(3, 6))
def stateless_dropout(x, w):
    return tf.nn.experimental.stateless_dropout(w * x, 0.4, seed=[1, 2])


@case(X, w=normal(3, 6))
def stateless_noise(x, w):
    h = w * x
    return h + tf.random.stateless_normal(tf.shape(h), [3, 4]) * w + tf.random.stateless_uniform(tf.shape(h), [3, 5])


@case(X, w=normal(3, 6))
def complex_numbers(x, w):
    z = tf.complex(w, x) * tf.complex(x, w)
    return tf.abs(z) + tf.math.real(z) + tf.math.imag(tf.exp(z)) + tf.math.angle(z) + tf.math.real(tf.math.conj(z) * z)


@case((D, [None, None], normal(3, 6, dtype="float64")), w=normal(3, 6, dtype="float64"), v=normal(6, dtype="float64"))
def complex_double(x, w, v):
    z = tf.complex(w, x) * tf.complex(x, tf.broadcast_to(v, tf.shape(x)))
    return tf.abs(z) + tf.math.real(z * z) + tf.math.imag(z) + tf.math.angle(z)


@case(X, w=normal(3, 6))
def complex_matmul(x, w):
    z = tf.complex(w, tf.sin(w))
    return tf.math.real(tf.matmul(z, z, adjoint_b=True))


# ---- losses -------------------------------------------------------------------------------------------------------------------
@case((F, [None, None, 5], normal(2, 6, 5)), w=normal(5, 5))
def ctc_loss(x, w):
    labels = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1, 2, 3], [2, 2])
    return tf.compat.v1.nn.ctc_loss(labels, x @ w, [6, 5], time_major=False)


@case(X, w=normal(3, 6))
def losses(x, w):
    labels = tf.nn.softmax(x)
    h = w * x
    return (tf.nn.softmax_cross_entropy_with_logits(labels, h) + tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels, h), 1)
            + tf.reduce_sum(tf.nn.weighted_cross_entropy_with_logits(labels, h, 2.0), 1) + tf.nn.l2_loss(h)
            + tf.reduce_sum(tf.nn.log_poisson_loss(labels, h), 1))


@case(X, w=normal(3, 6))
def labels_trained_too(x, w):
    return tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(w), w * x)


@case((F, [None, 4], normal(3, 4)), w=normal(9, 4), b=normal(9))
def sampled_softmax(x, w, b):
    return tf.nn.nce_loss(w, b, tf.constant([[1], [2], [5]], tf.int64), x * b[:4], 3, 9,
                          sampled_values=(tf.constant([0, 7, 3], tf.int64), tf.fill([3, 1], 0.4), tf.fill([3], 0.3)))


# ---- other types --------------------------------------------------------------------------------------------------------------
@case(X, w=normal(6, 6), v=normal(6, 6))
def bfloat16_compute(x, w, v):
    h = tf.cast(x, BF) @ tf.cast(w, BF)
    return tf.cast(tf.nn.gelu(h) @ tf.cast(v, BF), F)


@case(X, w=normal(6, 6), v=normal(6, 6))
def float16_compute(x, w, v):
    h = tf.cast(x, H) @ tf.cast(w, H)
    return tf.cast(tf.nn.softmax(h) @ tf.cast(v, H), F)


@case((F, [None, 4, 6], normal(2, 4, 6)), w=normal(6, 6, dtype="float16"), b=normal(6, dtype="float16"))
def float16_variables(x, w, b):
    return tf.cast(tf.nn.softmax(tf.cast(x, H) @ tf.broadcast_to(w, [2, 6, 6]) + b), F)


@case((D, [None, 6], normal(3, 6, dtype="float64")), w=normal(6, 6, dtype="float64"))
def float64_variables(x, w):
    return tf.nn.log_softmax(tf.tanh(x @ w)[None])


# ---- control flow -------------------------------------------------------------------------------------------------------------
@case(X, w=normal(3, 6), v=normal(3, 6))
def cond(x, w, v):
    return tf.cond(tf.reduce_sum(x) > 0.0, lambda: w * x, lambda: tf.exp(v) * x)


@case(X, w=normal(3, 6))
def vectorized_rows(x, w):
    return tf.vectorized_map(lambda row: tf.nn.softmax(row * w[0]), x)


@case(X3, w=normal(8, 12), b=normal(12))
def gru_unrolled(x, w, b):
    h = tf.zeros([tf.shape(x)[0], 4])
    for t in range(3):
        gates = tf.concat([x[:, t], h], 1) @ w + b
        z, r, c = tf.split(gates, 3, 1)
        h = tf.sigmoid(z) * h + (1 - tf.sigmoid(z)) * tf.tanh(tf.sigmoid(r) * c)
    return h


@case(X, w=normal(3, 6))
def second_order(x, w):
    with tf.GradientTape() as tape:
        tape.watch(w)
        h = w * x
        y = tf.reduce_sum(tf.nn.elu(h) + tf.nn.selu(h) + tf.nn.leaky_relu(h) ** 2 + tf.tanh(h) + tf.sigmoid(h) + tf.sqrt(h * h + 1.0)
                          + tf.nn.softplus(h) + tf.nn.relu(h) ** 3 + 1.0 / (h * h + 1.0) + tf.math.rsqrt(h * h + 1.0))
    return tape.gradient(y, w)


@case(IMAGE, k=normal(3, 3, 2, 3))
def second_order_images(x, k):
    with tf.GradientTape() as tape:
        tape.watch(x)
        h = tf.nn.conv2d(x, k, 1, "SAME")
        y = tf.reduce_sum(tf.nn.max_pool2d(h, 2, 2, "VALID") ** 2) + tf.reduce_sum(tf.nn.avg_pool2d(h, 2, 2, "VALID") ** 2)
    return tape.gradient(y, x)


def call(f, values):
    return lambda *args: {"y": f(*args, *values.values())}


def main():
    root = sys.argv[1]
    wanted = sys.argv[2:] or list(CASES)
    module, signatures, feeds = tf.Module(), {}, {}
    for name in wanted:
        inputs, variables, f = CASES[name]
        own = tf.Module()
        values = {k: tf.Variable(v, name=k) for k, v in variables.items()}
        for k, v in values.items():
            setattr(own, k, v)
        names = f.__code__.co_varnames[:len(inputs)]
        specs = [tf.TensorSpec(shape, dtype, name=n) for n, (dtype, shape, _) in zip(names, inputs)]
        try:
            signatures[name] = tf.function(call(f, values), input_signature=specs).get_concrete_function()
        except Exception as e:
            print(name, "cannot be built:", type(e).__name__, str(e)[:300])
            continue
        own.table = CASES[name][1].get("_table")
        setattr(module, name, own)
        feeds[name] = {n: array for n, (_, _, array) in zip(names, inputs)}
    directory = os.path.join(root, "saved_model")
    tf.saved_model.save(module, directory, signatures, tf.saved_model.SaveOptions(experimental_custom_gradients=True))
    loaded = tf.saved_model.load(directory)
    arrays = {}
    for name in signatures:
        for key, value in feeds[name].items():
            arrays[f"{name}/in0/{key}"] = value
        try:
            found = gradients(loaded, name, feeds[name])
        except Exception as e:
            print(name, "cannot be run:", type(e).__name__, str(e)[:300])
            continue
        for key, value in found.items():
            half = value.dtype.itemsize == 2
            arrays[f"{name}/{key}"] = value.astype("float32") if half else value
        trainable = [v for v in loaded.signatures[name].variables if v.trainable]
        got = len([k for k in found if k.startswith("grad/")])
        if got != len(trainable):
            print(f"{name}: {got} of {len(trainable)} gradients")
        if any(not np.isfinite(v.astype("float64")).all() for k, v in found.items() if v.dtype.kind in "fV"):
            print(f"{name}: not finite")
    np.savez_compressed(os.path.join(root, "expected.npz"), **arrays)
    print(len(signatures), "graphs")


if __name__ == "__main__":
    main()
