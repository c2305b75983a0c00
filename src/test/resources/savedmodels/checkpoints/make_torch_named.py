"""Weights with PyTorch's names, and what they compute restated in NumPy (float64): torch_named.zip."""
import io, json, math, struct, zipfile
import numpy as np

r = np.random.default_rng(5)
erf = np.vectorize(math.erf)
gelu = lambda x: x / 2 * (1 + erf(x / math.sqrt(2)))


def norm(x, w, p, eps, a=".weight", b=".bias"):
    m = x.mean(-1, keepdims=True)
    v = ((x - m) ** 2).mean(-1, keepdims=True)
    return (x - m) / np.sqrt(v + eps) * w[p + a] + w[p + b]


def linear(x, w, p):
    return x @ w[p + ".weight"].T + w.get(p + ".bias", 0)


def split(x, h):
    return x.reshape(*x.shape[:2], h, -1).transpose(0, 2, 1, 3)


def join(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


def make(shapes):
    w = {}
    for n, s in shapes.items():
        w[n] = r.normal(0, 0.3, s).astype(np.float32)
        if n.endswith(("norm.weight", "Norm.weight", "Norm.gamma")):
            w[n] += 1
    return w


def safetensors(w):
    header, data, place = {"__metadata__": {"format": "pt"}}, b"", 0
    for n, a in w.items():
        b = a.tobytes()
        header[n] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [place, place + len(b)]}
        data, place = data + b, place + len(b)
    j = json.dumps(header).encode()
    j += b" " * (-len(j) % 8)
    return struct.pack("<Q", len(j)) + j + data


def npz(a):
    f = io.BytesIO()
    np.savez_compressed(f, **a)
    return f.getvalue()


def bert(prefix, old_norms, pooler=True, tied=True):
    E, H, F, V, L, N = 24, 3, 40, 31, 20, 2
    a, b = (".gamma", ".beta") if old_norms else (".weight", ".bias")
    s = {"embeddings.word_embeddings.weight": (V, E), "embeddings.position_embeddings.weight": (L, E),
         "embeddings.token_type_embeddings.weight": (2, E), "embeddings.LayerNorm" + a: (E,), "embeddings.LayerNorm" + b: (E,)}
    for i in range(N):
        p = f"encoder.layer.{i}."
        for q in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            s[p + q + ".weight"], s[p + q + ".bias"] = (E, E), (E,)
        s[p + "intermediate.dense.weight"], s[p + "intermediate.dense.bias"] = (F, E), (F,)
        s[p + "output.dense.weight"], s[p + "output.dense.bias"] = (E, F), (E,)
        for q in ("attention.output.LayerNorm", "output.LayerNorm"):
            s[p + q + a], s[p + q + b] = (E,), (E,)
    if pooler:
        s["pooler.dense.weight"], s["pooler.dense.bias"] = (E, E), (E,)
    s = {prefix + k: v for k, v in s.items()}
    if prefix:
        c = "cls.predictions."
        s.update({c + "bias": (V,), c + "transform.dense.weight": (E, E), c + "transform.dense.bias": (E,),
                  c + "transform.LayerNorm" + a: (E,), c + "transform.LayerNorm" + b: (E,)})
    if not tied:
        s["cls.predictions.decoder.weight"] = (V, E)
    w = make(s)
    t = r.integers(1, V, (2, 9)).astype(np.int32)
    mask = np.ones((2, 9), np.int32)
    mask[1, 6:] = 0
    types = r.integers(0, 2, (2, 9)).astype(np.int32)
    g = {k[len(prefix):] if k.startswith(prefix) else k: v.astype(np.float64) for k, v in w.items()}
    x = g["embeddings.word_embeddings.weight"][t] + g["embeddings.position_embeddings.weight"][:9] + g["embeddings.token_type_embeddings.weight"][types]
    x = norm(x, g, "embeddings.LayerNorm", 1e-12, a, b)
    for i in range(N):
        p = f"encoder.layer.{i}."
        q, k, v = (split(linear(x, g, p + "attention.self." + n), H) for n in ("query", "key", "value"))
        z = q @ k.transpose(0, 1, 3, 2) / math.sqrt(E / H) + (mask[:, None, None, :] - 1) * 1e30
        z = np.exp(z - z.max(-1, keepdims=True))
        o = linear(join(z / z.sum(-1, keepdims=True) @ v), g, p + "attention.output.dense")
        x = norm(x + o, g, p + "attention.output.LayerNorm", 1e-12, a, b)
        x = norm(x + linear(gelu(linear(x, g, p + "intermediate.dense")), g, p + "output.dense"), g, p + "output.LayerNorm", 1e-12, a, b)
    out = {"tokens": t, "mask": mask, "types": types, "sequence": x}
    if pooler:
        out["pooled"] = np.tanh(linear(x[:, 0], g, "pooler.dense"))
    if prefix:
        c = "cls.predictions."
        h = norm(gelu(linear(x, g, c + "transform.dense")), g, c + "transform.LayerNorm", 1e-12, a, b)
        out["logits"] = h @ g[("embeddings.word_embeddings" if tied else c + "decoder") + ".weight"].T + g[c + "bias"]
    return w, {k: v if v.dtype == np.int32 else v.astype(np.float32) for k, v in out.items()}


def performer(causal, relu=False):
    E, H, D, M, V, L, N = 16, 2, 8, 12, 19, 24, 2
    s = {"token_emb.weight": (V, E), "pos_emb.emb.weight": (L, E)}
    for i in range(N):
        p = f"performer.net.layers.{i}."
        s.update({p + "0.norm.weight": (E,), p + "0.norm.bias": (E,), p + "0.fn.to_q.weight": (H * D, E), p + "0.fn.to_k.weight": (H * D, E),
                  p + "0.fn.to_v.weight": (H * D, E), p + "0.fn.to_out.weight": (E, H * D), p + "0.fn.to_out.bias": (E,),
                  p + "0.fn.fast_attention.projection_matrix": (M, D), p + "1.norm.weight": (E,), p + "1.norm.bias": (E,),
                  p + "1.fn.fn.w1.weight": (4 * E, E), p + "1.fn.fn.w1.bias": (4 * E,), p + "1.fn.fn.w2.weight": (E, 4 * E), p + "1.fn.fn.w2.bias": (E,)})
    s.update({"norm.weight": (E,), "norm.bias": (E,), "to_out.weight": (V, E), "to_out.bias": (V,)})
    w = make(s)
    for n in w:
        if n.endswith("projection_matrix"):
            w[n] = (w[n] / 0.3).astype(np.float32)
    w["performer.proj_updater.calls_since_last_redraw"] = np.zeros((), np.float32)
    g = {k: v.astype(np.float64) for k, v in w.items()}
    t = r.integers(0, V, (2, 15)).astype(np.int32)
    x = g["token_emb.weight"][t] + g["pos_emb.emb.weight"][:15]

    def features(u, P, is_query):
        d = u * D ** -0.25 @ P.T
        if relu:
            return np.maximum(d, 0) + 1e-3
        half = (u ** 2).sum(-1, keepdims=True) / 2 * D ** -0.5
        top = d.max(-1, keepdims=True) if is_query else d.max((-1, -2), keepdims=True)
        return M ** -0.5 * (np.exp(d - half - top) + 1e-4)

    for i in range(N):
        p = f"performer.net.layers.{i}."
        y = norm(x, g, p + "0.norm", 1e-5)
        q, k, v = (split(linear(y, g, p + "0.fn.to_" + n), H) for n in "qkv")
        P = g[p + "0.fn.fast_attention.projection_matrix"]
        z = features(q, P, True) @ features(k, P, False).transpose(0, 1, 3, 2)
        z = np.tril(z) if causal else z
        x = x + linear(join(z / z.sum(-1, keepdims=True) @ v), g, p + "0.fn.to_out")
        y = norm(x, g, p + "1.norm", 1e-5)
        x = x + linear(gelu(linear(y, g, p + "1.fn.fn.w1")), g, p + "1.fn.fn.w2")
    logits = linear(norm(x, g, "norm", 1e-5), g, "to_out")
    return w, {"tokens": t, "logits": logits.astype(np.float32)}


config = {"model_type": "bert", "num_attention_heads": 3, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0}
with zipfile.ZipFile("torch_named.zip", "w", zipfile.ZIP_DEFLATED) as z:
    for name, (w, out) in {"bert_mlm": bert("bert.", False), "bert_plain": bert("", True), "performer": performer(False), "performer_causal": performer(True), "bert_sharded": bert("bert.", False, False, False), "performer_relu": performer(False, True), "performer_relu_causal": performer(True, True)}.items():
        if name == "bert_sharded":
            keys = sorted(w)
            shards = {f"model-0000{i + 1}-of-00002.safetensors": keys[i::2] for i in range(2)}
            for file, part in shards.items():
                z.writestr(name + "/" + file, safetensors({k: w[k] for k in part}))
            index = {"metadata": {"total_size": sum(a.nbytes for a in w.values())}, "weight_map": {k: f for f, part in shards.items() for k in part}}
            z.writestr(name + "/model.safetensors.index.json", json.dumps(index))
            z.writestr(name + "/expected.npz", npz(out))
            z.writestr(name + "/config.json", json.dumps(config))
            continue
        z.writestr(name + "/model.safetensors", safetensors(w))
        z.writestr(name + "/expected.npz", npz(out))
        if name.startswith("bert"):
            z.writestr(name + "/config.json", json.dumps(config))
