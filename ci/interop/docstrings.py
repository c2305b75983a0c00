"""Docstrings of Python's standard library as WordPiece ids: texts that every machine with Python has.

    docstrings.py vocab.txt OUTPUT [LENGTH]

writes OUTPUT/train.npz and OUTPUT/held.npz with tokens and mask [N, L]; the docstrings of every tenth file are held out.
"""
import ast
import glob
import os
import re
import sys
import unicodedata

import numpy as np

vocabulary = {line.rstrip("\n"): i for i, line in enumerate(open(sys.argv[1], encoding="utf8"))}
output = sys.argv[2]
length = int(sys.argv[3]) if len(sys.argv) > 3 else 384
library = os.path.dirname(ast.__file__)


def pieces(text):
    text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    for word in re.findall(r"[^\W_]+|[^\w\s]|_", text):
        start, found = 0, []
        while start < len(word):
            end = len(word)
            while end > start and ("##" if start else "") + word[start:end] not in vocabulary:
                end -= 1
            if end == start:
                found = [vocabulary["[UNK]"]]
                break
            found.append(vocabulary[("##" if start else "") + word[start:end]])
            start = end
        yield from found


def docstrings(path):
    try:
        tree = ast.parse(open(path, encoding="utf8").read())
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node)
            if text and len(text) > 80:
                yield text


def write(name, files):
    rows = []
    for path in files:
        for text in docstrings(path):
            ids = list(pieces(text))[: length - 2]
            if len(ids) > 10:
                rows.append([vocabulary["[CLS]"], *ids, vocabulary["[SEP]"]])
    tokens = np.zeros([len(rows), max(map(len, rows))], np.int32)
    mask = np.zeros_like(tokens)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
        mask[i, : len(row)] = 1
    np.savez_compressed(os.path.join(output, name), tokens=tokens, mask=mask)
    print(f"{name}: {len(rows)} texts, {mask.sum()} tokens", file=sys.stderr)


files = [
    path
    for path in sorted(glob.glob(library + "/*.py") + glob.glob(library + "/[a-z]*/*.py"))
    if not re.search(r"site-packages|dist-packages|/test|/idle_test", path)
]
os.makedirs(output, exist_ok=True)
write("train.npz", [path for i, path in enumerate(files) if i % 10])
write("held.npz", files[::10])
