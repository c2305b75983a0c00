"""The model that all peers build, and how a peer is told to take steps.

A peer prints "ready", then for every line with a number takes so many training steps and prints a line with the milliseconds of each, and the
last loss. So all peers are measured in turns, in one run.
"""
import argparse
import sys
import time

VOCABULARY, LAYERS, WIDTH, HEADS, HEAD_SIZE, MLP, FEATURES = 256, 4, 256, 4, 64, 1024, 128
LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-4, 0.9, 0.999, 1e-8


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--form", default="")
    return parser.parse_args()


def serve(step):
    """step() takes one training step to its end and returns the loss before it."""
    print("ready", flush=True)
    for line in sys.stdin:
        times, loss = [], 0.0
        for _ in range(int(line)):
            start = time.perf_counter()
            loss = float(step())
            times.append(f"{1e3 * (time.perf_counter() - start):.3f}")
        print(*times, "loss", loss, flush=True)


def projection(seed):
    """Block-orthogonal rows with lengths of Gaussian vectors, [M, D]."""
    import numpy as np

    random = np.random.default_rng(seed)
    blocks = []
    while sum(len(b) for b in blocks) < FEATURES:
        q, r = np.linalg.qr(random.normal(size=(HEAD_SIZE, HEAD_SIZE)))
        blocks.append((q * np.sign(np.diag(r))).T)
    rows = np.concatenate(blocks)[:FEATURES]
    lengths = np.linalg.norm(random.normal(size=(FEATURES, HEAD_SIZE)), axis=1)
    return (rows * lengths[:, None]).astype(np.float32)


def initial(length):
    """Weights by name, NumPy float32; matrices are [in, out]."""
    import numpy as np

    random = np.random.default_rng(1)

    def matrix(*shape):
        bound = (6 / (shape[0] + shape[1])) ** 0.5
        return random.uniform(-bound, bound, shape).astype(np.float32)

    zeros, ones = lambda n: np.zeros(n, np.float32), lambda n: np.ones(n, np.float32)
    weights = {
        "token": (0.02 * random.normal(size=(VOCABULARY, WIDTH))).astype(np.float32),
        "position": (0.02 * random.normal(size=(length, WIDTH))).astype(np.float32),
        "norm/scale": ones(WIDTH), "norm/bias": zeros(WIDTH),
        "output/kernel": matrix(WIDTH, VOCABULARY), "output/bias": zeros(VOCABULARY),
    }
    for i in range(LAYERS):
        weights |= {
            f"{i}/norm1/scale": ones(WIDTH), f"{i}/norm1/bias": zeros(WIDTH),
            f"{i}/norm2/scale": ones(WIDTH), f"{i}/norm2/bias": zeros(WIDTH),
            f"{i}/query": matrix(WIDTH, WIDTH), f"{i}/key": matrix(WIDTH, WIDTH),
            f"{i}/value": matrix(WIDTH, WIDTH), f"{i}/out": matrix(WIDTH, WIDTH),
            f"{i}/up/kernel": matrix(WIDTH, MLP), f"{i}/up/bias": zeros(MLP),
            f"{i}/down/kernel": matrix(MLP, WIDTH), f"{i}/down/bias": zeros(WIDTH),
        }
    return weights


def batch(rows, length):
    """Inputs and targets, [B, L] int32."""
    import numpy as np

    tokens = np.random.default_rng(2).integers(0, VOCABULARY, (rows, length + 1)).astype(np.int32)
    return tokens[:, :-1], tokens[:, 1:]
