"""Parquet files as Python and Spark write them, for ParquetTest.java: ./make_parquet.py src/test/resources/parquet (pyarrow)."""
import sys
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

folder = sys.argv[1]
n = 300
texts = ["MKT" + "ACDEFGHIKL"[i % 10] * (i % 13) for i in range(n)]
table = pa.table({
    "id": pa.array(range(1000, 1000 + n), pa.int64()),
    "sequence": pa.array(texts),
    "family": pa.array(["globin", "kinase", None][i % 3] for i in range(n)),
    "weight": pa.array([float("nan") if i % 7 == 0 else i / 4 for i in range(n)], pa.float64()),
    "is_real": pa.array([i % 2 == 0 for i in range(n)]),
    "small": pa.array([i % 100 - 50 for i in range(n)], pa.int8()),
    "tokens": pa.array([None if i == 5 else list(range(1, i % 9)) for i in range(n)], pa.list_(pa.int32())),
    "made": pa.array([i * 86_400_000 for i in range(n)], pa.timestamp("ms")),
    "parts": pa.array([{"a": i, "b": "x"} for i in range(n)]),
})
for codec in ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]:
    pq.write_table(table, f"{folder}/{codec}.parquet", compression=codec, row_group_size=128)
pq.write_table(table, f"{folder}/v2.parquet", data_page_version="2.0", data_page_size=512, compression="zstd", use_dictionary=False)
pq.write_table(table, f"{folder}/pages.parquet", data_page_size=256, dictionary_pagesize_limit=300, write_batch_size=16)
# As Spark does: dictionaries, texts that need not be there, ids as int32, its way to name the elements of lists.
pq.write_table(table.select(["sequence", "tokens"]), f"{folder}/spark.parquet", flavor="spark", use_compliant_nested_type=False)
columns = [("id", pa.string()), ("text", pa.string())]
pq.write_table(pa.table([[], []], schema=pa.schema(columns)), f"{folder}/empty.parquet")
