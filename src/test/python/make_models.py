"""Makes the small SavedModels of src/test/resources/savedmodels/made, with Python's outputs and gradients.

    python make_models.py OUTPUT_DIRECTORY        (TensorFlow 2.18; 1 minute)

Each folder: `saved_model/` and `expected.npz` (`in0/…`, `out/…`, `grad/<i>` as gradients.py writes them). `ops` has one
signature for each op that TensorFlow's C++ gradients lack or get wrong; its arrays are called `<signature>/in0/…` and so on.
"""
import os
import sys

import numpy as np
import tensorflow as tf

from gradients import gradients

root = sys.argv[1]
v1 = tf.compat.v1
rng = np.random.default_rng(7)


def spec(shape, dtype=tf.float32, name="x"):
    return tf.TensorSpec(shape, dtype, name=name)


def save(name, module, signatures, inputs, options=None, assets=None):
    """inputs: by signature, by input name."""
    directory = os.path.join(root, name, "saved_model")
    tf.saved_model.save(module, directory, signatures=signatures, options=options)
    loaded = tf.saved_model.load(directory)
    arrays = {}
    for signature, feeds in inputs.items():
        for key, value in feeds.items():
            arrays[f"{signature}/in0/{key}"] = value
        for key, value in gradients(loaded, signature, feeds).items():
            arrays[f"{signature}/{key}"] = value
    np.savez_compressed(os.path.join(root, name, "expected.npz"), **arrays)
    print(name, {s: len([k for k in arrays if k.startswith(f"{s}/grad/")]) for s in inputs})


# ---- every op that needs our own gradient or a rewrite: f(x, w) with a trainable variable w ----
def ops():
    m = tf.Module()
    m.w = tf.Variable(rng.normal(size=(4, 6)).astype("float32"), name="w")
    m.positive = tf.Variable(rng.uniform(0.5, 2.0, size=(4, 6)).astype("float32"), name="positive")
    m.kernel = tf.Variable(rng.normal(size=(3, 3, 2, 3)).astype("float32") * 0.3, name="kernel")
    m.depth = tf.Variable(rng.normal(size=(3, 3, 2, 2)).astype("float32") * 0.3, name="depth")
    m.tables = tf.Variable(rng.normal(size=(2, 5, 3)).astype("float32"), name="tables")
    m.wide = tf.Variable(rng.normal(size=(4, 6)), dtype=tf.float64, name="wide")
    raw = tf.raw_ops
    x46, image = spec([4, 6]), spec([None, 7, 7, 2])
    ids = np.array([[3, 0, 3], [1, 4, 4]], "int32")

    cases = {
        "ensure_shape": (lambda x: tf.ensure_shape(x * m.w, [4, 6]), x46),
        "prevent_identity_n": (lambda x: tf.identity_n([x * m.w, tf.sin(m.w)])[0], x46),
        "check_numerics": (lambda x: tf.debugging.check_numerics(x * m.w, "bad"), x46),
        "placeholder_with_default": (lambda x: v1.placeholder_with_default(x * m.w, [4, 6]), x46),
        "ones_like": (lambda x: tf.ones_like(m.w) * tf.square(m.w) * x, x46),
        "erfc": (lambda x: tf.math.erfc(x * m.w), x46),
        "digamma": (lambda x: tf.math.digamma(m.positive + tf.abs(x)), x46),
        "relu_grad": (lambda x: raw.ReluGrad(gradients=m.w * m.w, features=x), x46),
        "xlogy": (lambda x: tf.math.xlogy(m.w[:1], m.positive) + tf.math.xlogy(x, m.positive), x46),
        "xlog1py": (lambda x: tf.math.xlog1py(m.w[:, :1], m.positive) * x, x46),
        "xdivy": (lambda x: tf.math.xdivy(m.w[0], m.positive) * x, x46),
        "mul_no_nan": (lambda x: tf.math.multiply_no_nan(m.w[0], m.positive) * x, x46),
        "floor_mod": (lambda x: tf.math.floormod(m.w * 3.0, m.positive[:1]) + x, x46),
        "round": (lambda x: tf.round(m.w * 3.0) * m.w + tf.math.rint(m.w) + tf.math.ceil(x), x46),
        "floor_div": (lambda x: tf.math.floordiv(m.w * 3.0, m.positive) * m.w + x, x46),
        "cumprod": (lambda x: tf.math.cumprod(m.positive, axis=1) + tf.math.cumprod(m.positive, axis=0, exclusive=True, reverse=True) * x, x46),
        "euclidean_norm": (lambda x: tf.math.reduce_euclidean_norm(m.w * x, axis=1) + tf.math.reduce_euclidean_norm(m.w), x46),
        "matrix_diag": (lambda x: tf.linalg.diag(m.w * x), x46),
        "matrix_diag_band": (lambda x: tf.linalg.diag(m.w[:3] * x[:3], k=(-1, 1), padding_value=0.5, align="LEFT_RIGHT"), x46),
        "matrix_diag_part": (lambda x: tf.linalg.diag_part(m.w * x), x46),
        "matrix_diag_part_band": (lambda x: tf.linalg.diag_part(m.w * x, k=(-2, 1), align="RIGHT_LEFT"), x46),
        "tensor_scatter_add": (lambda x: tf.tensor_scatter_nd_add(m.w, [[1], [1], [3]], x[:3] * m.w[:3]), x46),
        "tensor_scatter_update": (lambda x: tf.tensor_scatter_nd_update(m.w * x, [[1], [3]], tf.square(m.w[:2])), x46),
        "sparse_cross_entropy": (lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits([1, 0, 5, 2], m.w * x), x46),
        "cross_entropy": (lambda x: tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x), m.w * x), x46),
        "embedding": (lambda x: tf.nn.embedding_lookup(m.w, [[3, 0, 3], [1, 1, 2]]) * tf.reduce_sum(x), x46),
        "resource_gather_batch": (lambda x: raw.ResourceGather(resource=m.tables.handle, indices=ids, dtype=tf.float32, batch_dims=1) * tf.reduce_sum(x), x46),
        "resource_gather_nd": (lambda x: raw.ResourceGatherNd(resource=m.tables.handle, indices=[[0, 1], [1, 4], [0, 1]], dtype=tf.float32) * tf.reduce_sum(x), x46),
        "gather_negative_axis": (lambda x: tf.gather(m.w * x, [5, 0, 5], axis=-1) + tf.gather(m.w, [1, 2, 0], axis=1), x46),
        "gather_batch": (lambda x: tf.gather(m.tables, ids, axis=-2, batch_dims=1) * tf.reduce_sum(x), x46),
        "gather_v1": (lambda x: raw.Gather(params=m.w * x, indices=[2, 2, 0]), x46),
        "concat_v1": (lambda x: raw.Concat(concat_dim=1, values=[m.w, x, m.w * x]), x46),
        "atan2_broadcast": (lambda x: tf.math.atan2(m.w, m.positive[0]) + tf.math.atan2(x[:, :1], m.w), x46),
        "log_softmax_1": (lambda x: tf.nn.log_softmax(m.w[0] * x[0]), x46),
        "log_softmax_2": (lambda x: tf.nn.log_softmax(m.w * x), x46),
        "log_softmax_4": (lambda x: tf.nn.log_softmax(m.kernel * tf.reduce_sum(x)), x46),
        "log_softmax_unknown_rank": (lambda x: tf.nn.log_softmax(m.w * x), spec(None)),
        "log_softmax_axis": (lambda x: tf.nn.log_softmax(tf.reshape(m.w * x, [2, 2, 6]), axis=1), x46),
        "conv_dilated": (lambda x: tf.nn.conv2d(x, m.kernel, 1, "SAME", dilations=2), image),
        "conv_dilated_valid": (lambda x: tf.nn.conv2d(x, m.kernel, 1, "VALID", dilations=[1, 3, 2, 1]), image),
        "conv_explicit": (lambda x: tf.nn.conv2d(x, m.kernel, 2, [[0, 0], [1, 2], [0, 1], [0, 0]]), image),
        "depthwise_dilated": (lambda x: tf.nn.depthwise_conv2d(x, m.depth, [1, 1, 1, 1], "SAME", dilations=[2, 2]), image),
        "batch_norm_v1": (lambda x: v1.nn.fused_batch_norm(x * m.kernel[0, 0, 0, 0], m.w[0, :2], m.w[1, :2], m.positive[0, :2], m.positive[1, :2], is_training=False)[0], image),
        "wide": (lambda x: tf.nn.log_softmax(m.wide * tf.cast(x, tf.float64)), x46),
        "top_k": (lambda x: tf.math.top_k(m.w * x, 3)[0], x46),
        "cumulative_logsumexp": (lambda x: tf.math.cumulative_logsumexp(m.w * x, axis=1), x46),
        "gelu": (lambda x: tf.nn.gelu(m.w * x, approximate=True) + tf.nn.gelu(m.w * x), x46),
        "segment_mean": (lambda x: tf.math.unsorted_segment_mean(m.w * x, [0, 1, 0, 2], 3), x46),
        "norm": (lambda x: tf.linalg.norm(m.w * x, axis=-1) + tf.reduce_logsumexp(m.w, -1), x46),
    }
    signatures, inputs = {}, {}
    for name, (f, s) in cases.items():
        signatures[name] = tf.function(lambda x, f=f: {"y": f(x)}, input_signature=[s]).get_concrete_function()
        shape = [4, 6] if s.shape.rank is None or s.shape.rank == 2 else [2, 7, 7, 2]
        x = rng.normal(size=shape).astype("float32")
        if shape == [4, 6]:
            x[0, 0] = 0.0
        inputs[name] = {"x": x}
    save("ops", m, signatures, inputs)


# ---- indices: of int64, which C++ gradients mix with int32; constants, and values that are computed ----
def indices():
    m = tf.Module()
    m.w = tf.Variable(rng.normal(size=(4, 6)).astype("float32"), name="w")
    raw = tf.raw_ops

    def long(value, x=None):
        value = tf.constant(value, tf.int64)
        return value if x is None else value + tf.shape(x, tf.int64)[0] - 4

    def looped(x, w):
        def body(i, y):
            return i + 1, y + tf.slice(w * y, long([0, 0], x), long([4, 6]))

        return tf.while_loop(lambda i, y: i < 2, body, [0, x], shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, 6])])[1]

    cases = {
        "broadcast_to": lambda x: raw.BroadcastTo(input=m.w * x, shape=long([2, 4, 6])) * raw.BroadcastTo(input=x, shape=long([2, 4, 6], x)),
        "concat": lambda x: raw.ConcatV2(values=[m.w, x, m.w * x], axis=long(1)) * raw.ConcatV2(values=[m.w, x, x], axis=long(-1)),
        "gather": lambda x: raw.GatherV2(params=m.w * x, indices=long([0, 2]), axis=long(1)) * raw.GatherV2(params=m.w, indices=long([1, 2], x), axis=long(-1, x)),
        "max": lambda x: raw.Max(input=m.w * x, axis=long([1])) * raw.Min(input=m.w, axis=long([-1], x)),
        "mean": lambda x: raw.Mean(input=m.w * x, axis=long([1])) * raw.Mean(input=m.w, axis=long([0]))[:4],
        "sum": lambda x: raw.Sum(input=m.w * x, axis=long([1])) * raw.Sum(input=m.w, axis=long([-1], x), keep_dims=True),
        "pad": lambda x: raw.Pad(input=m.w * x, paddings=long([[1, 0], [0, 2]])) * raw.Pad(input=m.w, paddings=long([[1, 0], [0, 2]], x)),
        "pad_v2": lambda x: raw.PadV2(input=m.w * x, paddings=long([[1, 0], [0, 2]]), constant_values=2.0),
        "slice": lambda x: tf.slice(m.w * x, long([1, 0]), long([2, -1])) * tf.slice(m.w, long([0, 0], x), long([2, -1], x)),
        "strided_slice": lambda x: (m.w * x)[long(1):long(-1), ::long(2)] * m.w[long(-3, x):long(2 ** 62, x):long(1, x)][:2, ::2],
        "strided_slice_far": lambda x: raw.StridedSlice(input=m.w * x, begin=long([-(2 ** 62), 1]), end=long([2, 2 ** 62]), strides=long([1, 2])),
        "looped": lambda x: looped(x, tf.identity(m.w)),
    }
    x = rng.normal(size=(4, 6)).astype("float32")
    signatures = {
        k: tf.function(lambda x, f=f: {"y": f(x)}, input_signature=[spec([None, 6])]).get_concrete_function() for k, f in cases.items()
    }
    save("indices", m, signatures, {k: {"x": x} for k in cases})


# ---- structure: captures through several levels, counters, tables with an asset, defaults, odd types ----
class Structure(tf.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.w = tf.Variable(rng.normal(size=(3, 3)).astype("float32"), name="w")
        self.frozen = tf.Variable(np.eye(3, dtype="float32") * 1.5, trainable=False, name="frozen")
        self.calls = tf.Variable(0, dtype=tf.int64, trainable=False, name="calls")
        self.vocabulary = tf.saved_model.Asset(vocabulary)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(self.vocabulary, tf.int64, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
                                          tf.lookup.TextFileIndex.LINE_NUMBER), -1)

    @tf.function(input_signature=[spec([None, 3])])
    def level(self, x):
        inner = tf.function(lambda t: tf.matmul(t, self.w))
        gate = tf.reduce_mean(x)

        @tf.custom_gradient
        def scaled(t):
            def grad(dy):
                return dy * gate * 3.0
            return t * 2.0, grad

        outer = tf.function(lambda t: scaled(inner(t)) + inner(t))
        return {"y": outer(tf.matmul(x, self.frozen)), "same": outer(tf.matmul(x, self.frozen)), "x": x}

    @tf.function(input_signature=[spec([None, 3])])
    def counted(self, x):
        before = tf.identity(self.calls)
        self.calls.assign_add(1)
        return {"y": tf.matmul(x, self.w) * tf.cast(before + 1, tf.float32), "calls": self.calls.read_value()}

    @tf.function(input_signature=[spec([None], tf.int64, "keys")])
    def lookup(self, keys):
        return {"y": tf.gather(self.w, tf.cast(self.table.lookup(keys), tf.int32))}

    @tf.function(input_signature=[spec([None], tf.string, "text")])
    def text(self, text):
        return {"length": tf.strings.length(text)}

    @tf.function(input_signature=[spec([None, 2], tf.float16, "h"), spec([], tf.bool, "flag"), spec([None], tf.uint8, "u")])
    def types(self, h, flag, u):
        return {"h": h * 2.0, "b": tf.cast(h, tf.bfloat16), "flag": tf.logical_not(flag), "u": u + 1}

    @tf.function(input_signature=[spec([None], tf.uint8, "u")])
    def int16(self, u):
        return {"i": tf.cast(u, tf.int16)}


def structure():
    vocabulary = os.path.join(root, "vocabulary.txt")
    with open(vocabulary, "w") as f:
        f.write("30\n10\n20\n")
    m = Structure(vocabulary)
    x = rng.normal(size=(4, 3)).astype("float32")
    save("structure", m, {k: getattr(m, k) for k in ["level", "counted", "lookup", "text", "types", "int16"]},
         {"level": {"x": x}, "counted": {"x": x}, "lookup": {"keys": np.array([10, 30, 10], "int64")}},
         options=tf.saved_model.SaveOptions(experimental_custom_gradients=True))
    os.remove(vocabulary)


# ---- plain: variables without names of their own, or with one name for several, in lists, dictionaries and nested modules ----
class Affine(tf.Module):
    def __init__(self, size):
        super().__init__()
        self.w = tf.Variable(rng.normal(size=(3, size)).astype("float32"), name="w")
        self.b = tf.Variable(rng.normal(size=(size,)).astype("float32"))


class Plain(tf.Module):
    def __init__(self):
        super().__init__()
        self.table = tf.Variable(rng.normal(size=(5, 3)).astype("float32"))
        self.layers = [Affine(3), Affine(3)]
        self.heads = {"a": Affine(2), "b.c": tf.Variable(rng.normal(size=(3, 2)).astype("float32"))}
        self.scale = tf.Variable(rng.normal(size=(3,)).astype("float32"), name="factor")
        self.tied = self.table
        self.idle = [tf.Variable([1.0], trainable=False), tf.Variable(2, dtype=tf.int64)]

    @tf.function(input_signature=[spec([None, None], tf.int32, "tokens")])
    def serve(self, tokens):
        x = tf.gather(self.table, tokens) * self.scale
        for layer in self.layers:
            x = tf.tanh(x @ layer.w + layer.b)
        return {"y": x @ self.heads["a"].w + self.heads["a"].b + x @ self.heads["b.c"]}


def plain():
    m = Plain()
    save("plain", m, {"serving_default": m.serve}, {"serving_default": {"tokens": np.array([[0, 3, 1], [4, 4, 2]], "int32")}})


# ---- keras: a model of Keras 3 that tf.saved_model.save wrote: what functions read is restored by Python's loader only ----
def keras_model():
    import keras

    keras.utils.set_random_seed(5)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(6, 4)(tokens)
    x = keras.layers.Dense(3, activation="tanh")(keras.layers.BatchNormalization()(x))
    model = keras.Model(tokens, {"y": keras.layers.Dense(2)(x)})
    model.layers[2].set_weights([rng.normal(size=(4,)) for _ in range(3)] + [rng.uniform(0.5, 2, size=(4,))])
    save("keras", model, None, {"serving_default": {"inputs": np.array([[0, 3, 1], [4, 4, 2]], "int32")}})


# ---- TF1: reference variables, resource variables, partitioned variables; no object graph ----
def batch_norm(x, raw, training):
    """Of TF1 in its raw forms, of which the second and third note the shapes of five and six outputs."""
    shape = tf.shape(x)
    x = tf.reshape(x, [-1, 1, 1, 6])
    scale = v1.get_variable("scale", [6], initializer=v1.random_normal_initializer(1.0, 0.1))
    offset = v1.get_variable("offset", [6], initializer=v1.random_normal_initializer())
    mean = v1.get_variable("mean", [6], initializer=v1.random_normal_initializer(), trainable=False)
    variance = v1.get_variable("variance", [6], initializer=v1.random_uniform_initializer(0.5, 2.0), trainable=False)
    scale, offset, mean, variance = [tf.convert_to_tensor(t) for t in (scale, offset, mean, variance)]
    empty = tf.zeros([0])
    statistics = [empty, empty] if training else [mean, variance]
    return tf.reshape(raw(x=x, scale=scale, offset=offset, mean=statistics[0], variance=statistics[1], is_training=training).y, shape)


def tf1(name, resource, partitioned=False, normalized=False):
    directory = os.path.join(root, name, "saved_model")
    x_value = rng.normal(size=(5, 4)).astype("float32")
    arrays = {"serving_default/in0/x": x_value}
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(3)
        with v1.variable_scope("net", use_resource=resource,
                               partitioner=v1.fixed_size_partitioner(2) if partitioned else None):
            x = v1.placeholder(tf.float32, [None, 4], name="x")
            w = v1.get_variable("w", [4, 6], initializer=v1.random_normal_initializer())
            b = v1.get_variable("b", [6], initializer=v1.random_normal_initializer())
            frozen = v1.get_variable("frozen", [6], initializer=v1.ones_initializer(), trainable=False)
            step = v1.get_variable("step", [], tf.int64, initializer=v1.zeros_initializer(), trainable=False)
            w, b, frozen = [tf.convert_to_tensor(t) for t in (w, b, frozen)]
            hidden = tf.nn.relu(tf.matmul(x, w) + b) * frozen
            if normalized:
                with v1.variable_scope("training"):
                    hidden = batch_norm(hidden, tf.raw_ops.FusedBatchNorm, True)
                with v1.variable_scope("inference"):
                    hidden = batch_norm(hidden, tf.raw_ops.FusedBatchNormV2 if resource else tf.raw_ops.FusedBatchNorm, False)
                hidden = tf.nn.dropout(hidden, rate=v1.placeholder_with_default(0.0, [], name="rate"), seed=1)
            y = tf.nn.log_softmax(hidden, name="y")
        session.run(v1.global_variables_initializer())
        n = tf.cast(tf.range(tf.size(y)), tf.float64)
        loss = tf.reduce_sum(tf.cast(tf.reshape(y, [-1]), tf.float64) * tf.cos(0.7 * n + 0.3))
        trainables = v1.trainable_variables()
        reads = [tf.convert_to_tensor(v) if resource else v for v in trainables]
        grads = v1.gradients(loss, trainables)
        values = session.run([y] + grads, {x: x_value})
        arrays["serving_default/out/y"] = values[0]
        for v, g in zip(trainables, values[1:]):
            arrays["serving_default/grad/" + v.op.name] = g
        for v, value in zip(v1.global_variables(), session.run([tf.identity(v) for v in v1.global_variables()])):
            arrays["variables/" + v.op.name] = value
        builder = v1.saved_model.Builder(directory)
        builder.add_meta_graph_and_variables(
            session, [v1.saved_model.SERVING],
            {"serving_default": v1.saved_model.build_signature_def(
                {"x": v1.saved_model.build_tensor_info(x)}, {"y": v1.saved_model.build_tensor_info(y)},
                "tensorflow/serving/predict")})
        builder.save()
    np.savez_compressed(os.path.join(root, name, "expected.npz"), **arrays)
    print(name, [k for k in arrays if "/grad/" in k])


if __name__ == "__main__":
    os.makedirs(root, exist_ok=True)
    ops()
    indices()
    structure()
    plain()
    keras_model()
    tf1("tf1_reference", resource=False)
    tf1("tf1_resource", resource=True)
    tf1("tf1_partitioned", resource=False, partitioned=True)
    tf1("tf1_batch_norm_reference", resource=False, normalized=True)
    tf1("tf1_batch_norm_resource", resource=True, normalized=True)
