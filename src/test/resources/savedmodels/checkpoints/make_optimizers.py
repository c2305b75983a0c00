"""Small trained models with the state of their optimizers, in every form that Keras saves: optimizers.zip."""
import os, shutil, tempfile, zipfile
import numpy as np, tensorflow as tf, keras, tf_keras

V, E, H, D, F, L, C, N = 11, 8, 2, 4, 12, 6, 3, 2
data = np.random.default_rng(3)
X, Y = data.integers(0, V, (16, L)).astype("int32"), data.integers(0, C, (16,))


def embed_class(k):
    class Embed(k.layers.Layer):
        def __init__(self, **kw):
            super().__init__(**kw)
            self.tok, self.pos = k.layers.Embedding(V, E, name="tok"), k.layers.Embedding(L, E, name="pos")

        def call(self, x):
            return self.tok(x) + self.pos(tf.range(L))

        def compute_output_shape(self, s):
            return (s[0], L, E)

    return Embed


def model(k):
    i = k.Input((L,), dtype="int32", name="tokens")
    x = embed_class(k)(name="embed")(i)
    for n in range(N):
        a = k.layers.MultiHeadAttention(H, D, name=f"mha_{n}")(x, x)
        x = k.layers.LayerNormalization(epsilon=1e-6, name=f"ln1_{n}")(x + a)
        f = k.layers.Dense(F, activation="gelu", name=f"ff1_{n}")(x)
        f = k.layers.Dense(E, name=f"ff2_{n}")(f)
        x = k.layers.LayerNormalization(epsilon=1e-6, name=f"ln2_{n}")(x + f)
    return k.Model(i, k.layers.Dense(C, name="head")(k.layers.GlobalAveragePooling1D(name="pool")(x)))


def ours(name):
    name = name.removesuffix(":0").split("/")
    top, *rest = name[-3:] if name[0] not in ("embed", "head") and "mha" in name[-3:][0] else name
    kind = {"gamma": "scale", "beta": "bias"}.get(rest[-1], rest[-1])
    if top == "embed":
        return "embeddings/" + {"tok": "token", "pos": "position"}[rest[0]]
    if top == "head":
        return "classifier/logits/" + kind
    part, n = top.rsplit("_", 1)
    if part == "mha":
        return f"layer_{n}/attention/" + rest[0].replace("attention_output", "output") + "/" + kind
    return f"layer_{n}/" + {"ln1": "attention_norm", "ln2": "mlp_norm", "ff1": "mlp/in", "ff2": "mlp/out"}[part] + "/" + kind


def trained(k, optimizer, legacy=False):
    k.utils.set_random_seed(7)
    m = model(k)
    m.compile(optimizer, k.losses.SparseCategoricalCrossentropy(from_logits=True))
    m.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    out = {"step": np.int64(optimizer.iterations.numpy())}
    for i, v in enumerate(m.trainable_variables):
        name = ours(v.path if hasattr(v, "path") else v.name)
        if legacy:
            pair = optimizer.get_slot(v, "m"), optimizer.get_slot(v, "v")
        elif hasattr(optimizer, "_momentums"):
            pair = optimizer._momentums[i], optimizer._velocities[i]
        else:
            pair = ()
        for which, slot in zip("mv", pair):
            out[which + "/" + name] = np.asarray(slot.numpy())
    return m, out


here = os.path.dirname(os.path.abspath(__file__))
work = tempfile.mkdtemp()
os.chdir(work)
a = tf_keras.optimizers
for name, k, opt, legacy in [
    ("keras2", tf_keras, a.Adam(0.01), False),
    ("keras2_adamw", tf_keras, a.AdamW(0.01), False),
    ("keras2_legacy", tf_keras, a.legacy.Adam(0.01), True),
    ("keras2_adamax", tf_keras, a.Adamax(0.01), None),
    ("keras3", keras, keras.optimizers.Adam(0.01), False),
    ("keras3_sgd", keras, keras.optimizers.SGD(0.01, momentum=0.9), None),
]:
    os.mkdir(name)
    m, out = trained(k, opt, bool(legacy))
    if k is tf_keras:
        m.save(name + "/model.h5")
        if legacy is not None:
            tf.train.Checkpoint(model=m, optimizer=opt).write(name + "/ckpt")
    else:
        m.save(name + "/model.keras")
    if name == "keras3":
        m.save_weights(name + "/model.weights.h5")
    np.savez_compressed(name + "/expected.npz", **out)
target = os.path.join(here, "optimizers.zip")
with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as z:
    for folder, _, files in os.walk("."):
        for f in sorted(files):
            z.write(os.path.join(folder, f))
shutil.rmtree(work)
