"""Rows in Parquet between Python and ./performer: vectors beside the columns that were kept, in order.

make ROWS writes two files in the folder ROWS; check ROWS VECTORS.parquet VECTORS.npz compares what ./performer embed made of them.
"""
import pathlib
import sys
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    for part, (rows, codec) in enumerate([(400, "zstd"), (300, "snappy")]):
        texts = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), rng.integers(1, 40))) for _ in range(rows)]
        table = pa.table({
            "family": pa.array([["globin", None, "kinase"][i % 3] for i in range(rows)]).dictionary_encode(),
            "sequence": pa.array(texts),
            "id": pa.array(range(1000 * part, 1000 * part + rows), pa.int64()),
            "weight": pa.array([float("nan") if i % 5 == 0 else i / 8 for i in range(rows)]),
        })
        pq.write_table(table, folder / f"part-{part}.parquet", compression=codec, row_group_size=128, data_page_size=2048)
    (folder / "_SUCCESS").touch()


def check(folder, vectors, arrays):
    given = pa.concat_tables([pq.read_table(folder / f"part-{i}.parquet", read_dictionary=[]) for i in (0, 1)])
    result = pq.read_table(vectors)
    for name in ("id", "family", "weight"):
        if str(given[name].cast(result[name].type).to_pylist()) != str(result[name].to_pylist()):
            sys.exit(f"column {name} is not what it was")
    expected = np.load(arrays)["embedding"]
    found = np.array(result["embedding"].to_pylist(), np.float32)
    if not np.array_equal(expected, found):
        sys.exit("vectors in Parquet are others than in the .npz")
    metadata = pq.ParquetFile(vectors).metadata
    if metadata.num_rows != 700 or metadata.row_group(0).column(0).compression != "SNAPPY":
        sys.exit(f"the file says of itself: {metadata}")
    print(f"Parquet: {len(found)} vectors between Python and Java", file=sys.stderr)


if sys.argv[1] == "make":
    make(pathlib.Path(sys.argv[2]))
else:
    check(pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4])
