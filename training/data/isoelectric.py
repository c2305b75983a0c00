"""Makes isoelectric_*.csv.gz from the proteins beside it: each sequence of up to 200 amino acids and the pH at which it has no charge.

    python3 isoelectric.py

The charge is Henderson-Hasselbalch's with the pK values of EMBOSS; the pH is found by bisection. Standard library only.
"""
import gzip
import pathlib

HERE = pathlib.Path(__file__).parent
LONGEST = 200
POSITIVE = {"K": 10.8, "R": 12.5, "H": 6.5}
NEGATIVE = {"D": 3.9, "E": 4.1, "C": 8.5, "Y": 10.1}
AMINO_END, CARBOXYL_END = 8.6, 3.6


def charge(sequence, ph):
    positive = [(1, AMINO_END)] + [(sequence.count(a), pk) for a, pk in POSITIVE.items()]
    negative = [(1, CARBOXYL_END)] + [(sequence.count(a), pk) for a, pk in NEGATIVE.items()]
    return sum(n / (1 + 10 ** (ph - pk)) for n, pk in positive) - sum(n / (1 + 10 ** (pk - ph)) for n, pk in negative)


def isoelectric_point(sequence):
    low, high = 0.0, 14.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if charge(sequence, middle) > 0 else (low, middle)
    return (low + high) / 2


def sequences(file):
    for record in gzip.decompress(file.read_bytes()).decode().split(">")[1:]:
        name, *lines = record.split("\n")
        yield name.split()[0], "".join(lines)


for part in ("train", "valid"):
    rows = [
        f"{name},{sequence},{isoelectric_point(sequence):.3f}\n"
        for name, sequence in sequences(HERE / f"{part}.fasta.gz")
        if len(sequence) <= LONGEST
    ]
    with gzip.GzipFile(HERE / f"isoelectric_{part}.csv.gz", "wb", 9, mtime=0) as out:
        out.write(("id,sequence,pI\n" + "".join(rows)).encode())
