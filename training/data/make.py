"""Makes text*.txt.gz, digits_*.npz and docs*.txt.gz from the packages that ship their sources.

    apt-get download jargon-text python3.11-doc
    dpkg-deb -x jargon-text_*.deb jargon && dpkg-deb -x python3.11-doc_*.deb python
    pip download --no-deps scikit-learn
    python3 make.py jargon/usr/share/doc/jargon-text/jargon.txt.gz scikit_learn-*.whl python/usr/share/doc/python3.11/html/_sources

Needs NumPy. Writes into the folder of this script.
"""
import gzip
import pathlib
import re
import sys
import zipfile

import numpy as np

HERE = pathlib.Path(__file__).parent
BLOCK = 16384  # bytes at least, so that long contexts are found in validation too
EVERY = 10
LONG_BLOCK = 65536


def write(name, data):
    with gzip.GzipFile(HERE / name, "wb", 9, mtime=0) as out:
        out.write(data)


def text(source):
    lines = gzip.decompress(pathlib.Path(source).read_bytes()).decode().replace("\u00a0", " ").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "Chapter 1. Hacker Slang and Hacker Culture")
    # No tables and rules drawn with lines, no runs of blank lines, no indentation of the whole.
    kept = [re.sub("^   ", "", line).rstrip() for line in lines[start:] if not re.search("[─-╿]", line)]
    paragraphs = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).split("\n\n")
    blocks, block = [], []
    for paragraph in paragraphs:
        block.append(paragraph + "\n\n")
        if sum(len(p.encode()) for p in block) >= BLOCK:
            blocks.append("".join(block))
            block = []
    blocks.append("".join(block))
    parts = {False: "", True: ""}
    for i, block in enumerate(blocks):
        parts[i % EVERY == EVERY // 2] += block
    write("text.txt.gz", parts[False].encode())
    write("text_valid.txt.gz", parts[True].encode())


def digits(wheel):
    with zipfile.ZipFile(wheel) as packed:
        rows = gzip.decompress(packed.read("sklearn/datasets/data/digits.csv.gz")).decode().splitlines()
    table = np.array([[int(float(x)) for x in row.split(",")] for row in rows])
    images, labels = table[:, :64].reshape(-1, 8, 8).astype(np.uint8), table[:, 64].astype(np.int32)
    for name, part in (("train", slice(0, 1500)), ("valid", slice(1500, None))):
        np.savez_compressed(HERE / f"digits_{name}.npz", images=images[part], labels=labels[part], levels=np.int32(17))


def documentation(folder):
    folder = pathlib.Path(folder)
    version = lambda f: [int(n) for n in re.findall(r"\d+", f.name)]
    files = sorted((folder / "whatsnew").glob("[23].*.rst.txt"), key=version)
    for part in ("reference", "howto", "tutorial"):
        files += sorted((folder / part).glob("*.rst.txt"))
    blocks, block = [], b""
    for file in files:  # whole documents, so that what they speak of comes back
        block += file.read_bytes() + b"\n"
        if len(block) >= LONG_BLOCK:
            blocks.append(block)
            block = b""
    blocks.append(block)
    parts = {False: b"", True: b""}
    for i, block in enumerate(blocks):
        parts[i % EVERY == EVERY // 2] += block
    write("docs.txt.gz", parts[False])
    write("docs_valid.txt.gz", parts[True])
    licence = (folder / "license.rst.txt").read_text()
    begin, end = licence.index(".. _PSF-license:"), licence.index("BEOPEN.COM LICENSE")
    (HERE / "docs-licence.txt").write_text("Copyright \u00a9 2001-2023 Python Software Foundation; All Rights Reserved\n\n" + licence[begin:end].replace("|release|", "3.11.2"))


text(sys.argv[1])
digits(sys.argv[2])
documentation(sys.argv[3])
