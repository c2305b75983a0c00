"""Measures a training step of the same model in all peers, in turns, and writes peers.json and peers.md."""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
HOME = HERE.parent.parent
OURS = "Performer for Java"
BATCH = {1024: 2, 4096: 1}
SLOW_MS = 30_000  # a peer this slow takes one step


def model(length):
    return json.dumps({
        "preset": "performer", "task": "causal-lm", "vocabularySize": 256, "maxLength": length, "hiddenSize": 256, "layers": 4, "heads": 4,
        "positions": "learned", "padId": None,
        "attention": {"kernel": "softmax", "features": 128, "causal": True, "lengths": "chi"},
    })


def commands(python, length, batch):
    shape = ["--batch", str(batch), "--length", str(length)]
    classpath = os.pathsep.join([str(HOME / "target/classes"), (HOME / "target/launcher/performer.classpath").read_text().strip()])
    peers = {
        OURS: ["java", "-Xmx1g", "-XX:+UseSerialGC", "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0", "-cp", classpath,
               "dev.performer.cli.StepTurns", model(length), str(batch), str(length)],
        "JAX, chunked": [python["jax"], HERE / "jax_peer.py", *shape, "--form", "chunked"],
        "JAX, scan (as Google's)": [python["jax"], HERE / "jax_peer.py", *shape, "--form", "scan"],
        "TensorFlow, chunked": [python["tensorflow"], HERE / "tensorflow_peer.py", *shape],
        "TensorFlow, chunked, XLA": [python["tensorflow"], HERE / "tensorflow_peer.py", *shape, "--form", "xla"],
        "PyTorch, chunked": [python["torch"], HERE / "torch_peer.py", *shape, "--form", "chunked"],
        "performer-pytorch": [python["torch"], HERE / "torch_peer.py", *shape],
    }
    return {name: [str(part) for part in command] for name, command in peers.items() if command[0]}


class Peer:
    def __init__(self, name, command, log):
        self.name, self.times, self.cpu, self.error, self.loss, self.slow = name, [], [], None, None, False
        self.log = open(log, "w")
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="2")
        # What ./performer sets for itself; for the others too, since it helps them as much.
        environment |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "268435456"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)

    def line(self, seconds):
        """The next line that is an answer; a peer that does not answer in time is ended."""
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                if line.startswith("ready") or " loss " in line:
                    return line.split()
        finally:
            timer.cancel()
        code = self.process.wait()
        self.error = f"no answer in {seconds:.0f} s" if code == -9 else f"ended with {code}; see {pathlib.Path(self.log.name).name}"
        return None

    def warm_up(self, seconds):
        """Two steps, for compiling and planning; the only ones of a peer that is very slow."""
        self.steps(1, seconds)
        self.slow = bool(self.times) and self.times[0] > SLOW_MS
        if not self.slow:
            self.times = []
            self.steps(1, seconds)
            self.times, self.cpu = [], []

    def steps(self, count, seconds):
        if self.error or self.slow:
            return
        before = self.cpu_ms()
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        answer = self.line(seconds)
        if answer:
            at = answer.index("loss")
            self.loss = float(answer[at + 1])
            self.times += [float(x) for x in answer[:at]]
            self.cpu += [(self.cpu_ms() - before) / count]

    def cpu_ms(self):
        """Of all its threads, user and system."""
        try:
            fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) * 1e3 / os.sysconf("SC_CLK_TCK")
        except OSError:
            return float("nan")

    def peak_mb(self):
        try:
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
            return next(int(l.split()[1]) / 1e3 for l in status.splitlines() if l.startswith("VmHWM"))
        except (OSError, StopIteration):
            return None

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def measure(arguments, python, length):
    batch = arguments.batch or BATCH.get(length, 1)
    wanted = {n: c for n, c in commands(python, length, batch).items() if (n == OURS or not any(w in n for w in arguments.without))}
    rows, peers = [], []
    try:
        for name, command in wanted.items():
            log = arguments.out / f"{length}-{len(peers)}.log"
            peer = Peer(name, command, log)
            peers.append(peer)
            peer.line(arguments.timeout)
            peer.warm_up(arguments.timeout)
            print(f"L={length} {name}: {peer.error or 'ready'}", file=sys.stderr, flush=True)
        for _ in range(arguments.rounds):
            for peer in peers:
                peer.steps(arguments.steps, arguments.timeout)
        for peer in peers:
            row = {"peer": peer.name, "length": length, "batch": batch}
            if peer.times:
                best, median = min(peer.times), statistics.median(peer.times)
                row |= {"best_ms": best, "median_ms": median, "cpu_ms": statistics.median(peer.cpu), "tokens_per_second": 1e3 * batch * length / median,
                        "peak_mb": peer.peak_mb(), "loss": peer.loss, "steps": len(peer.times)}
            else:
                row["error"] = peer.error
            rows.append(row)
    finally:
        for peer in peers:
            peer.close()
    ours = rows[0].get("median_ms")
    for row in rows:
        if ours and "median_ms" in row:
            row["ours_is_faster_by"] = row["median_ms"] / ours
    return rows


def table(rows):
    lines = ["| L | B | | median ms | best ms | CPU ms | tokens/s | peak MB | ours faster by |", "|---|---|---|---|---|---|---|---|---|"]
    for r in rows:
        if "error" in r:
            lines.append(f"| {r['length']} | {r['batch']} | {r['peer']} | {r['error']} | | | | | |")
        else:
            lines.append(f"| {r['length']} | {r['batch']} | {r['peer']} | {r['median_ms']:.0f} | {r['best_ms']:.0f} | {r['cpu_ms']:.0f} | {r['tokens_per_second']:.0f} | "
                         f"{r['peak_mb'] or 0:.0f} | {r.get('ours_is_faster_by', 0):.2f} × |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=HOME / "build/peers")
    parser.add_argument("--lengths", default="1024,4096")
    parser.add_argument("--batch", type=int, help="default: 2 at L=1024, else 1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="in each round")
    parser.add_argument("--timeout", type=float, default=300, help="seconds that a peer may take to answer")
    parser.add_argument("--without", action="append", default=[], help="leave out peers whose name holds this")
    for name in ("jax", "tensorflow", "torch"):
        parser.add_argument(f"--{name}", help="its Python; left out if absent")
    for name in ("garden", "attention-lengths"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)  # of attention alone
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for length in arguments.lengths.split(","):
        rows += measure(arguments, vars(arguments), int(length))
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine(), "load": os.getloadavg()},
        "rows": rows,
    }
    (arguments.out / "peers.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "peers.md").write_text(table(rows))
    print(table(rows))
    if "error" in rows[0]:
        sys.exit("ours failed: " + rows[0]["error"])


main()
