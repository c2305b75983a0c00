"""Makes text*.txt.gz, digits_*.npz and bible/ but its vocabulary from the packages that ship their sources.

    apt-get download jargon-text bible-kjv bible-kjv-text
    for package in *.deb; do dpkg-deb -x "$package" unpacked; done
    pip download --no-deps scikit-learn
    python3 make.py unpacked/usr/share/doc/jargon-text/jargon.txt.gz scikit_learn-*.whl unpacked/usr

Needs NumPy. Writes into the folder of this script.
"""
import gzip
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np

HERE = pathlib.Path(__file__).parent
BLOCK = 16384  # bytes at least, so that long contexts are found in validation too
EVERY = 10
HELD_OUT = ["Jdgs", "Ruth", "1Sm", "Jer", "Lam", "Acts", "Rom"]


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


def bible(folder):
    lines = subprocess.run([f"{folder}/bin/bible", "-p", f"{folder}/lib", "-f", "Gen1:1-Rev22:21"], check=True, capture_output=True, text=True).stdout
    books = {}
    for name, verse, words in re.findall(r"^(\d?[A-Za-z]+)\d+:(\d+)\s+(.*)$", lines, re.MULTILINE):
        book = books.setdefault(name, [])
        if verse == "1" and book:
            book.append("\n")  # between chapters
        book.append(words + "\n")
    for part, held in (("train", False), ("valid", True)):
        (HERE / "bible" / part).mkdir(parents=True, exist_ok=True)
        whole = "\n\n".join("".join(book) for name, book in books.items() if (name in HELD_OUT) == held)
        write(f"bible/{part}/bible.txt.gz", whole.encode())


text(sys.argv[1])
digits(sys.argv[2])
bible(sys.argv[3])
