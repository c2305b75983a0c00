"""The model in TensorFlow, as a tf.function; --form xla compiles the whole step. Causal sums in chunks."""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf

import common as c

CHUNK = 128


def features(x, p, axes):
    x = x * c.HEAD_SIZE**-0.25
    u = tf.matmul(x, p, transpose_b=True) - 0.5 * tf.reduce_sum(x * x, -1, keepdims=True)  # [B, H, L, M]
    return tf.exp(u - tf.stop_gradient(tf.reduce_max(u, axes, keepdims=True))) + 1e-6


def causal(q, k, v):
    b, h, length, m = q.shape
    v = tf.concat([v, tf.ones_like(v[..., :1])], -1)
    split = lambda x: tf.reshape(x, [b, h, length // CHUNK, CHUNK, x.shape[-1]])
    q, k, v = split(q), split(k), split(v)
    states = tf.matmul(k, v, transpose_a=True)  # [B, H, N, M, D+1]
    before = tf.cumsum(states, 2, exclusive=True)
    scores = tf.linalg.band_part(tf.matmul(q, k, transpose_b=True), -1, 0)
    out = tf.reshape(tf.matmul(scores, v) + tf.matmul(q, before), [b, h, length, c.HEAD_SIZE + 1])
    return out[..., :-1] / out[..., -1:]


def norm(x, w, name):
    mean = tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), -1, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-6) * w[name + "/scale"] + w[name + "/bias"]


def loss(w, projections, tokens, targets):
    b, length = tokens.shape
    dense = lambda x, y: tf.reshape(tf.matmul(tf.reshape(x, [b * length, -1]), y), [b, length, -1])
    heads = lambda x: tf.transpose(tf.reshape(x, [b, length, c.HEADS, c.HEAD_SIZE]), [0, 2, 1, 3])
    x = tf.gather(w["token"], tokens) + w["position"]
    for i in range(c.LAYERS):
        y = norm(x, w, f"{i}/norm1")
        q, k, v = (heads(dense(y, w[f"{i}/{n}"])) for n in ("query", "key", "value"))
        y = causal(features(q, projections[i], -1), features(k, projections[i], [-1, -2]), v)
        x = x + dense(tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [b, length, c.WIDTH]), w[f"{i}/out"])
        y = norm(x, w, f"{i}/norm2")
        y = tf.nn.gelu(dense(y, w[f"{i}/up/kernel"]) + w[f"{i}/up/bias"], approximate=True)
        x = x + dense(y, w[f"{i}/down/kernel"]) + w[f"{i}/down/bias"]
    logits = dense(norm(x, w, "norm"), w["output/kernel"]) + w["output/bias"]
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))


def main():
    a = c.arguments()
    projections = [tf.constant(c.projection(i)) for i in range(c.LAYERS)]
    tokens, targets = (tf.constant(x) for x in c.batch(a.batch, a.length))
    w = {name: tf.Variable(x) for name, x in c.initial(a.length).items()}
    m = {name: tf.Variable(tf.zeros_like(x)) for name, x in w.items()}
    v = {name: tf.Variable(tf.zeros_like(x)) for name, x in w.items()}
    beta1_power, beta2_power = tf.Variable(1.0), tf.Variable(1.0)

    @tf.function(jit_compile=a.form == "xla")
    def step(tokens, targets):
        with tf.GradientTape() as tape:
            value = loss(w, projections, tokens, targets)
        names = list(w)
        gradients = tape.gradient(value, [w[name] for name in names])
        beta1_power.assign(beta1_power * c.BETA1)
        beta2_power.assign(beta2_power * c.BETA2)
        for name, gradient in zip(names, gradients):
            if isinstance(gradient, tf.IndexedSlices):
                gradient = tf.convert_to_tensor(gradient)
            tf.raw_ops.ResourceApplyAdam(
                var=w[name].handle, m=m[name].handle, v=v[name].handle, beta1_power=beta1_power.read_value(), beta2_power=beta2_power.read_value(),
                lr=c.LEARNING_RATE, beta1=c.BETA1, beta2=c.BETA2, epsilon=c.EPSILON, grad=gradient)
        return value

    c.serve(lambda: step(tokens, targets).numpy())


main()
