"""Makes the SavedModels `loops` and `recurrent` of src/test/resources/savedmodels/made: loops, tensor lists and branches.

    python make_loops.py OUTPUT_DIRECTORY        (TensorFlow 2.18 with Keras 3; 2 minutes)

One signature for each construct, with Python's outputs and gradients as gradients.py defines them, but taken before the
model is saved (Python loses the gradients of a loaded loop's variables) and named by the variable. Sizes of batch and length
are dynamic. A signature called ..._random draws anew in every run, ..._refused has an op without a gradient
in Java: they have no expected numbers.
"""
import os
import sys

import keras
import numpy as np
import tensorflow as tf

root = sys.argv[1]
rng = np.random.default_rng(11)
E = 4


def save(name, module, functions, feeds, variables):
    arrays = {}
    for signature, values in feeds.items():
        for key, value in values.items():
            arrays[f"{signature}/in0/{key}"] = value
        if not signature.endswith(("_random", "_refused")):
            for key, value in gradients(functions[signature], values, variables).items():
                arrays[f"{signature}/{key}"] = value
        print(name, signature, len([k for k in arrays if k.startswith(f"{signature}/grad/")]))
    os.makedirs(os.path.join(root, name), exist_ok=True)
    np.savez_compressed(os.path.join(root, name, "expected.npz"), **arrays)
    signatures = {k: f.get_concrete_function() for k, f in functions.items()}
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    tf.saved_model.save(module, os.path.join(root, name, "saved_model"), signatures=signatures, options=options)


def gradients(function, inputs, variables):
    with tf.GradientTape() as tape:
        y = function(**{k: tf.constant(v) for k, v in inputs.items()})["y"]
        n = tf.range(tf.size(y), dtype=tf.int32)
        weights = tf.cast(tf.cos(0.7 * tf.cast(n, tf.float64) + 0.3), y.dtype)
        loss = tf.reduce_sum(tf.reshape(y, [-1]) * weights)
    found = {"out/y": y.numpy()}
    for name, gradient in tape.gradient(loss, variables).items():
        if gradient is not None:
            found[f"grad/{name}"] = tf.convert_to_tensor(gradient).numpy()
    return found


class Loops(tf.Module):
    def __init__(self):
        super().__init__()
        def v(name, *shape, dtype="float32"):
            return tf.Variable(rng.normal(size=shape).astype(dtype) * 0.5, name=name)
        self.w, self.u, self.b = v("w", E, E), v("u", E, E), v("b", E)
        self.table, self.wide = v("table", 7, E), v("wide", E, E, dtype="float64")
        self.count = tf.Variable(0.5, trainable=False, name="count")

    def steps(self, x):  # the simplest recurrence
        def body(i, h):
            return i + 1, tf.tanh(tf.matmul(h, self.u) + tf.matmul(x[:, i], self.w) + self.b)
        return body

    def start(self, x):
        return tf.zeros_like(x[:, 0]) + self.b

    def while_dynamic(self, x):
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], self.steps(x), [0, self.start(x)])[1]

    def while_maximum(self, x):
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], self.steps(x), [0, self.start(x)], maximum_iterations=2)[1]

    def while_zero(self, x):
        return tf.while_loop(lambda i, h: i < 0 * tf.shape(x)[1], self.steps(x), [0, self.start(x)])[1] * self.b

    def while_data(self, x):  # the values decide how often
        return tf.while_loop(lambda h: tf.reduce_sum(tf.abs(h)) > 0.5, lambda h: (0.5 * tf.tanh(tf.matmul(h, self.u)),),
                             [self.start(x) + x[:, 0]])[0]

    def while_break(self, x):
        h = self.start(x)
        for i in tf.range(tf.shape(x)[1]):
            h = tf.sin(tf.matmul(h, self.u) + x[:, i])
            if tf.reduce_max(h) > 0.9:
                break
            if i == 1:
                continue
            h = h * self.b
        return h

    def while_if(self, x):
        def body(i, h):
            z = tf.matmul(h, self.u) + x[:, i]
            z = tf.cond(tf.equal(i % 2, 0), lambda: tf.tanh(z * self.b), lambda: z + tf.matmul(x[:, i], self.w))
            return i + 1, z
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], body, [0, self.start(x)])[1]

    def while_nested(self, x):
        def inner(i):
            def body(j, h):
                return j + 1, tf.tanh(tf.matmul(h, self.u) + tf.matmul(x[:, i], self.w))
            return body
        def outer(i, h):
            h = tf.while_loop(lambda j, h: j <= i, inner(i), [0, h])[1]
            return i + 1, tf.nn.log_softmax(h[:, None] * self.b)[:, 0]
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], outer, [0, self.start(x)])[1]

    def while_arrays(self, x):  # written, read back, stacked and concatenated
        n = tf.shape(x)[1]
        a = tf.TensorArray(tf.float32, n, clear_after_read=False).unstack(tf.transpose(x, [1, 0, 2]))
        out = tf.TensorArray(tf.float32, 0, dynamic_size=True, clear_after_read=False, element_shape=[None, E])
        def body(i, h, out):
            h = tf.tanh(tf.matmul(h, self.u) + tf.matmul(a.read(n - 1 - i), self.w))
            out = out.write(i, h)
            return i + 1, h + 0.3 * out.read(i // 2), out
        _, h, out = tf.while_loop(lambda i, *_: i < n, body, [0, self.start(x), out])
        parts = tf.TensorArray(tf.float32, n, infer_shape=False).split(tf.reshape(x, [-1, E]), tf.fill([n], tf.shape(x)[0]))
        return tf.concat([out.concat(), h, out.gather([0, 1])[0] * self.b, parts.concat()], 0)

    def while_grows(self, x):  # a state whose shape changes
        def body(i, s):
            return i + 1, tf.concat([s, tf.tanh(tf.matmul(s[:, -1], self.u) + x[:, i])[:, None]], 1)
        return tf.while_loop(lambda i, s: i < tf.shape(x)[1], body, [0, self.start(x)[:, None]],
                             shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, None, E])])[1]

    def while_overwrites(self, x):  # the state does not depend on the state before
        return tf.while_loop(lambda i, h, s: i < tf.shape(x)[1], lambda i, h, s: (i + 1, tf.matmul(x[:, i], self.w), s + h),
                             [0, self.start(x), self.start(x)])[2]

    def while_integers(self, x):
        def body(i, k, h):
            return i + 1, (k * 3 + i) % 7, h + tf.gather(self.table, k) * tf.cast(k, tf.float32) + tf.gather(x, i, axis=-2)
        return tf.while_loop(lambda i, *_: i < tf.shape(x)[1], body, [0, 2, self.start(x)])[2]

    def while_wide(self, x):
        y = tf.cast(x, tf.float64)
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], lambda i, h: (i + 1, tf.sin(tf.matmul(h, self.wide) + y[:, i])),
                             [0, y[:, 0]])[1]

    def while_dropout(self, x):
        def body(i, h):
            keep = tf.random.stateless_uniform(tf.shape(h), [3, i]) > 0.3
            return i + 1, tf.where(keep, tf.matmul(h, self.u) / 0.7, 0.0) + x[:, i]
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], body, [0, self.start(x)])[1]

    def while_noise_random(self, x):  # linear in b: its gradient is the noise that was drawn
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], lambda i, h: (i + 1, h + self.b * tf.random.normal([E])),
                             [0, tf.zeros([E])])[1]

    def nested_noise_random(self, x):
        def outer(i, h):
            s = tf.while_loop(lambda j, s: j < 2, lambda j, s: (j + 1, s + self.b * tf.random.normal([E])), [0, tf.zeros([E])])[1]
            s = tf.cond(i > 0, lambda: s + self.b * tf.random.normal([E]), lambda: s)
            return i + 1, h + s
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], outer, [0, tf.zeros([E])])[1]

    def while_calls(self, x):
        step = tf.function(lambda h, i: tf.nn.gelu(tf.einsum("be,ef->bf", h, self.u)) + x[:, i])
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], lambda i, h: (i + 1, step(h, i)), [0, self.start(x)])[1]

    def while_counter(self, x):  # a variable changed by the loop that it is used in
        def body(i, h):
            self.count.assign_add(0.25)
            return i + 1, tf.tanh(tf.matmul(h, self.u)) * self.count
        self.count.assign(0.5)
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], body, [0, self.start(x)])[1]

    def scan(self, x):
        return tf.scan(lambda h, t: tf.tanh(tf.matmul(h, self.u) + tf.matmul(t, self.w)), tf.transpose(x, [1, 0, 2]), self.start(x))

    def scan_reverse(self, x):
        s = tf.scan(lambda c, t: (c[0] * self.b + t, tf.maximum(c[1], tf.matmul(t, self.w))), tf.transpose(x, [1, 0, 2]),
                    (self.start(x), self.start(x)), reverse=True)
        return s[0] + s[1]

    def map_fn(self, x):
        return tf.map_fn(lambda t: tf.nn.softmax(tf.matmul(t, self.w)) + self.b, x)

    def vectorized_map(self, x):
        return tf.vectorized_map(lambda t: tf.nn.softmax(tf.matmul(t, self.w)) + self.b, x)

    def foldl(self, x):
        return tf.foldr(lambda a, t: a * tf.sigmoid(t) + self.b, tf.transpose(x, [1, 0, 2]))

    def cond(self, x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.matmul(x, self.w) * self.b, lambda: tf.sin(x) * self.b)

    def cond_other(self, x):
        return tf.cond(tf.reduce_sum(x) > 1e6, lambda: tf.matmul(x, self.w) * self.b, lambda: tf.sin(x) * self.u[0])

    def cond_loop(self, x):
        return tf.cond(tf.reduce_sum(x) < 1e6, lambda: self.while_dynamic(x), lambda: self.start(x))

    def cond_noise_random(self, x):
        return tf.cond(tf.reduce_sum(x) < 1e6, lambda: self.b * tf.random.normal([E]), lambda: self.b * (1.0 + tf.random.uniform([E])))

    def switch(self, x):
        branches = [lambda: tf.matmul(x, self.w), lambda: tf.sin(x) * self.b, lambda: tf.gather(self.table, [[1, 2, 2]])]
        return tf.stack([tf.reduce_sum(tf.switch_case(tf.shape(x)[1] - k, branches), [0, 1]) for k in (3, 4, 5)])

    def causal(self, x):  # Performer with ReLU features: running sums in a loop
        q, k = tf.nn.relu(tf.matmul(x, self.w)) + 1e-3, tf.nn.relu(tf.matmul(x, self.u)) + 1e-3  # [B, L, M]
        def body(i, s, z, out):
            s = s + tf.einsum("bm,bd->bmd", k[:, i], x[:, i])
            z = z + k[:, i]
            y = tf.einsum("bm,bmd->bd", q[:, i], s) / tf.einsum("bm,bm->b", q[:, i], z)[:, None]
            return i + 1, s, z, out.write(i, y)
        n = tf.shape(x)[1]
        s = tf.zeros([tf.shape(x)[0], E, E])
        out = tf.while_loop(lambda i, *_: i < n, body, [0, s, s[:, 0], tf.TensorArray(tf.float32, n)])[3]
        return tf.transpose(out.stack(), [1, 0, 2])

    def causal_custom(self, x):  # Google's form: numerator and its gradient by hand, both with loops
        q, k = tf.nn.relu(tf.matmul(x, self.w)) + 1e-3, tf.nn.relu(tf.matmul(x, self.u)) + 1e-3
        @tf.custom_gradient
        def numerator(q, k, v):  # [L, B, ·]
            n = tf.shape(q)[0]
            zero = tf.zeros([tf.shape(q)[1], E, E])
            def forward(i, s, out):
                s = s + tf.einsum("bm,bd->bmd", k[i], v[i])
                return i + 1, s, out.write(i, tf.einsum("bm,bmd->bd", q[i], s))
            _, sums, out = tf.while_loop(lambda i, *_: i < n, forward, [0, zero, tf.TensorArray(tf.float32, n)])
            def grad(dy):
                def backward(i, s, ds, dq, dk, dv):
                    ds = ds + tf.einsum("bm,bd->bmd", q[i], dy[i])
                    dq = dq.write(i, tf.einsum("bd,bmd->bm", dy[i], s))
                    dk = dk.write(i, tf.einsum("bd,bmd->bm", v[i], ds))
                    dv = dv.write(i, tf.einsum("bm,bmd->bd", k[i], ds))
                    return i - 1, s - tf.einsum("bm,bd->bmd", k[i], v[i]), ds, dq, dk, dv
                lists = [tf.TensorArray(tf.float32, n) for _ in range(3)]
                found = tf.while_loop(lambda i, *_: i >= 0, backward, [n - 1, sums, zero] + lists)[3:]
                return [a.stack() for a in found]
            return out.stack(), grad
        t = lambda a: tf.transpose(a, [1, 0, 2])
        return t(numerator(t(q), t(k), t(x))) / tf.reduce_sum(q * tf.cumsum(k, 1), -1, keepdims=True)

    def custom_branch(self, x):  # a gradient by hand that branches
        @tf.custom_gradient
        def clipped(t):
            def grad(dy):
                return tf.cond(tf.reduce_sum(tf.abs(dy)) > 1e6, lambda: dy / tf.norm(dy), lambda: dy * 0.5)
            return tf.cond(tf.reduce_sum(t) > 0, lambda: t * 2.0, lambda: t * 3.0), grad
        return clipped(tf.matmul(x, self.w)) * self.b


    def while_eig_refused(self, x):  # Python has a gradient, TensorFlow Java none
        def body(i, h):
            return i + 1, h + tf.math.real(tf.linalg.eigvals(self.w + tf.eye(E) * tf.reduce_sum(x[:, i])))
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], body, [0, self.start(x)])[1]

    def fourier(self, x):
        z = tf.cast(x * self.b, tf.complex64) * tf.complex(self.b, self.w[0])
        y = tf.signal.ifft(tf.signal.fft(z) * tf.complex(tf.sin(self.w[1]), self.b))
        y = y + tf.signal.ifft2d(tf.signal.fft2d(z) * tf.complex(self.w[2], self.w[3]))
        u = tf.signal.ifft3d(tf.signal.fft3d(z) * tf.complex(self.u[2], self.w[3]))
        return tf.math.real(y) + tf.math.imag(y) * tf.abs(u) + tf.math.angle(u * tf.math.conj(y) + 3.0)

    def fourier_real(self, x):  # even and odd lengths
        parts = []
        for n in (3, 4, 5, 8):
            f = tf.signal.rfft(tf.pad(x * self.b, [[0, 0], [0, 0], [0, 4]])[..., :n], [n])
            g = tf.cast(tf.range(tf.shape(f)[-1]), tf.complex64) + tf.complex(self.w[0, 0], self.w[1, 1])
            parts.append(tf.signal.irfft(f * g, [n])[..., :3] + tf.abs(f)[..., :1])
        f = tf.signal.rfft2d(x * self.w[0], [5, 4])
        parts.append(tf.signal.irfft2d(f * tf.complex(self.b[0], self.b[1]), [5, 4])[..., :3])
        f = tf.signal.rfft2d(x * self.w[1])
        parts.append(tf.math.imag(f)[..., :3] + tf.math.real(f)[..., 1:2])
        return tf.concat(parts, 1)

    def fourier_mixing(self, x):  # FNet
        mixed = tf.math.real(tf.signal.fft2d(tf.cast(tf.matmul(x, self.w), tf.complex64)))
        return tf.matmul(tf.nn.gelu(mixed), self.u)

    def while_fourier(self, x):
        def body(i, h):
            f = tf.signal.fft(tf.cast(tf.matmul(h, self.u) + x[:, i], tf.complex64))
            return i + 1, tf.tanh(tf.math.real(f * tf.cast(self.b, tf.complex64)) + tf.math.imag(f))
        return tf.while_loop(lambda i, h: i < tf.shape(x)[1], body, [0, self.start(x)])[1]


def loops():
    m = Loops()
    spec = tf.TensorSpec([None, None, E], tf.float32, name="x")
    names = [k for k, f in vars(Loops).items() if callable(f) and k not in ("__init__", "steps", "start")]
    functions = {k: tf.function(lambda x, k=k: {"y": tf.function(getattr(m, k))(x)}, input_signature=[spec]) for k in names}
    x = rng.normal(size=(2, 5, E)).astype("float32")
    save("loops", m, functions, {k: {"x": x} for k in names},
         {v.name.split(":")[0]: v for v in m.trainable_variables})


class Cell(keras.layers.Layer):
    state_size = E

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], E), name="kernel")
        self.decay = self.add_weight(shape=(E,), name="decay")

    def call(self, x, states):
        h = states[0] * keras.ops.sigmoid(self.decay) + keras.ops.matmul(x, self.kernel)
        return keras.ops.tanh(h), [h]


def recurrent():
    keras.utils.set_random_seed(5)
    layers = keras.layers
    tokens = np.array([[3, 1, 4, 1, 5], [2, 6, 0, 0, 0], [0, 0, 0, 0, 0]], "int32")
    def model(*stack, mask=False):
        return keras.Sequential([layers.Embedding(8, E, mask_zero=mask), *stack])
    models = {
        "lstm": model(layers.LSTM(E, return_sequences=True), layers.Dense(8)),
        "gru": model(layers.GRU(E), layers.Dense(3)),
        "gru_before": model(layers.GRU(E, reset_after=False, go_backwards=True, return_sequences=True)),
        "bidirectional": model(layers.Bidirectional(layers.LSTM(E, return_sequences=True)), layers.GRU(E), mask=True),
        "simple_masked": model(layers.SimpleRNN(E, return_sequences=True, zero_output_for_mask=True), mask=True),
        "cell": model(layers.RNN([Cell(), layers.LSTMCell(E)], return_sequences=True)),
    }
    m = tf.Module()
    variables = {v.path: v.value for k in models.values() for v in (k(tokens), k.trainable_variables)[1]}
    m.all = list(variables.values())
    spec = tf.TensorSpec([None, None], tf.int32, name="tokens")
    functions = {k: tf.function(lambda tokens, k=k: {"y": models[k](tokens)}, input_signature=[spec]) for k in models}
    save("recurrent", m, functions, {k: {"tokens": tokens} for k in models},
         variables)


if __name__ == "__main__":
    loops()
    recurrent()
