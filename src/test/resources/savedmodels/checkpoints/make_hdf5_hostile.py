"""HDF5 files that claim what they do not hold: hdf5_hostile.zip."""
import io, zipfile
import h5py, numpy as np


def made(fill):
    b = io.BytesIO()
    with h5py.File(b, "w") as f:
        fill(f)
    return b.getvalue()


def deep(f):
    for _ in range(3000):
        f = f.create_group("g")


def cycle(f):
    f.create_group("a")["b"] = f["/"]


def soft(f):
    f["a"] = h5py.SoftLink("/nowhere")


def external(f):
    f["a"] = h5py.ExternalLink("/etc/passwd", "/")


files = {
    "unwritten": lambda f: f.create_dataset("layer/kernel:0", (1 << 20, 1 << 18), "f4"),
    "gzip": lambda f: f.create_dataset("layer/kernel:0", data=np.zeros((4000, 4000), "f4"), compression="gzip"),
    "chunks": lambda f: f.create_dataset("layer/kernel:0", (1 << 30, 1 << 20), "f4", chunks=(1, 1)),
    "text": lambda f: f.create_dataset("layer/kernel:0", data=[b"abc", b"d"]),
    "deep": deep,
    "cycle": cycle,
    "soft": soft,
    "external": external,
}
with zipfile.ZipFile("hdf5_hostile.zip", "w", zipfile.ZIP_DEFLATED) as z:
    for name, fill in files.items():
        z.writestr(name + ".h5", made(fill))
