"""Makes src/test/resources/reference/positions.npz: tables of positions and what NumPy interpolates of them."""
import pathlib

import numpy as np

random = np.random.default_rng(1)
table = random.normal(size=(7, 4)).astype(np.float32)


def stretched(rows, n):
    at = np.linspace(0, len(rows) - 1, n)
    return np.stack([np.interp(at, np.arange(len(rows)), column) for column in rows.T.astype(np.float64)], 1).astype(np.float32)


np.savez_compressed(
    pathlib.Path(__file__).parents[1] / "resources/reference/positions.npz",
    table=table,
    same=stretched(table, 7),
    longer=stretched(table, 16),
    odd=stretched(table, 11),
    behind=np.concatenate([table[:2], stretched(table[2:], 16)]),  # two rows are not of tokens
)
