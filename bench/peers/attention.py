"""Measures attention alone in all peers, in turns, and writes attention.json and attention.md."""
import argparse
import json
import os
import pathlib
import queue
import statistics
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
HOME = HERE.parent.parent
OURS = "Performer for Java"
PEERS = {  # name: the environment that runs it, its form
    "PyTorch, scaled_dot_product_attention": ("torch", "torch"),
    "performer-pytorch": ("torch", "performer-pytorch"),
    "JAX, FAVOR+": ("jax", "jax"),
    "Keras, MultiHeadAttention": ("garden", "keras"),
    "Model Garden, KernelAttention": ("garden", "garden"),
}
SMALL = ("performer-pytorch", True, 512)  # its causal sums are materialised: gigabytes beyond
WORKS = ("forward", "train")


def ours(length, causal):
    case = {"kind": {"attention": "softmax", "causal": causal}, "length": length, "result": None,
            "size": {"batch": 1, "heads": 8, "headSize": 64, "features": 256}}
    launcher = HOME / "target/launcher"
    classpath = os.pathsep.join([str(HOME / "target/classes"), (launcher / "performer.classpath").read_text().strip()])
    return ["java", "-Xmx1g", "-XX:+UseSerialGC", "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0", "-cp", classpath,
            "dev.performer.study.TurnsProcess", "dev.performer.study.AttentionBenchmark$Case", json.dumps(case)]


class Peer:
    def __init__(self, name, command, log, timeout):
        self.name, self.timeout, self.error = name, timeout, None
        self.times = {work: [] for work in WORKS}
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="2", TF_ENABLE_ONEDNN_OPTS="1")
        environment |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "268435456"}
        self.log = open(log, "w")
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.answer()
        if name != OURS:
            self.round(keep=False)

    def read(self):
        for line in self.process.stdout:
            if line.startswith(("ready", "{")) or " loss " in line:
                self.lines.put(line)
        self.lines.put(None)

    def answer(self):
        try:
            line = self.lines.get(timeout=self.timeout)
        except queue.Empty:
            self.process.kill()
            line, self.error = None, f"no answer in {self.timeout:.0f} s"
        if line is None and not self.error:
            self.error = f"ended; see {pathlib.Path(self.log.name).name}"
        return line

    def order(self, text):
        if not self.error:
            try:
                self.process.stdin.write(text + "\n")
                self.process.stdin.flush()
            except OSError:
                pass  # it has ended, which the answer shows
        return None if self.error else self.answer()

    def round(self, keep=True):
        if self.name == OURS:
            line = self.order("round")
            laps = json.loads(line)["laps"] if line else {}
            found = {"forward": laps.get("forward"), "train": laps.get("forward+backward")}
            found = {work: lap["ms"] for work, lap in found.items() if lap}
        else:
            lines = {work: self.order(f"{work} 3") for work in WORKS}
            found = {work: [float(x) for x in line.split(" loss ")[0].split()] for work, line in lines.items() if line}
        if keep:
            for work, ms in found.items():
                self.times[work] += ms

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def measure(a, length, causal):
    commands = {OURS: ours(length, causal)}
    for name, (environment, form) in PEERS.items():
        python = getattr(a, environment)
        too_long = (form, causal) == SMALL[:2] and length > SMALL[2]
        if python and not too_long and not (form == "garden" and causal) and not any(w in name for w in a.without):
            command = [python, HERE / "attention_peers.py", "--length", length, "--form", form]
            commands[name] = command + (["--causal"] if causal else [])
    peers = []
    try:
        for name, command in commands.items():
            log = a.out / f"attention-{length}-{'causal-' if causal else ''}{len(peers)}.log"
            peers.append(Peer(name, command, log, a.timeout))
            print(f"L={length}{' causal' if causal else ''} {name}: {peers[-1].error or 'ready'}", file=sys.stderr, flush=True)
        for _ in range(a.rounds):
            for peer in peers:
                peer.round()
        return [row(peer, length, causal, peers[0]) for peer in peers]
    finally:
        for peer in peers:
            peer.close()


def row(peer, length, causal, first):
    result = {"peer": peer.name, "length": length, "causal": causal}
    if peer.error or not all(peer.times.values()):
        return result | {"error": peer.error or "no times"}
    for work, ms in peer.times.items():
        result |= {f"{work}_best_ms": min(ms), f"{work}_median_ms": statistics.median(ms)}
        if first.times[work]:
            result[f"{work}_ours_is_faster_by"] = min(ms) / min(first.times[work])
    return result


def table(rows):
    lines = ["| L | | forward, best and median ms | ours faster by | forward+backward | ours faster by |", "|---|---|---|---|---|---|"]
    for r in rows:
        name = r["peer"] + (", causal" if r["causal"] else "")
        cells = [r.get("error", ""), "", "", ""]
        if "error" not in r:
            cells = []
            for work in WORKS:
                cells += [f"{r[f'{work}_best_ms']:.1f}, {r[f'{work}_median_ms']:.1f}", f"{r.get(f'{work}_ours_is_faster_by', 0):.2f} ×"]
        lines.append(f"| {r['length']} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=HOME / "build/peers")
    parser.add_argument("--attention-lengths", default="512,1024,4096")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--timeout", type=float, default=300, help="seconds that a peer may take to answer")
    parser.add_argument("--without", action="append", default=[], help="leave out peers whose name holds this")
    for name in ("jax", "torch", "garden"):
        parser.add_argument(f"--{name}", help="its Python; left out if absent")
    for name in ("tensorflow", "lengths", "batch", "steps"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)  # of training steps
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for length in a.attention_lengths.split(","):
        for causal in (False, True):
            rows += measure(a, int(length), causal)
    (a.out / "attention.json").write_text(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg(), "rows": rows}, indent=1) + "\n")
    (a.out / "attention.md").write_text(table(rows))
    print(table(rows))
    if any("error" in r for r in rows if r["peer"] == OURS):
        sys.exit("ours failed")


main()
