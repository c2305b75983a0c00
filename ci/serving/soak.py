"""Mixed load on a server for some minutes, with cancelled requests and reloads of a model: no request fails, memory, threads and files stay flat.

usage: soak.py CAUSAL_MODEL ENCODER_MODEL MINUTES [FOLDER]
"""
import collections
import http.client
import itertools
import json
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

from server import Server

causal, encoder, minutes = sys.argv[1], pathlib.Path(sys.argv[2]), float(sys.argv[3])
base = pathlib.Path(sys.argv[4] if len(sys.argv) > 4 else tempfile.mkdtemp()) / "encoder"
base.mkdir(parents=True)
shutil.copytree(encoder, base / "1")
done = collections.Counter()
failures = []
over = threading.Event()
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def letters(random_numbers, most):
    return "".join(random_numbers.choice(LETTERS) for _ in range(random_numbers.randint(3, most)))


def client(name, work):
    """A thread that works until the end; a failure is kept, and the load goes on."""

    def run():
        numbers = random.Random(name)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        while not over.is_set():
            try:
                work(connection, numbers)
                done[name.split()[0]] += 1
            except Exception as e:  # noqa: BLE001: every kind is a failure of the soak
                failures.append(f"{name}: {type(e).__name__}: {e}")
                connection.close()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def call(connection, method, path, body=None, expected=200):
    connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != expected:
        raise ValueError(f"{method} {path}: {answer.status} {content[:200]}")
    return json.loads(content) if content else None


def predict(connection, numbers):
    rows = [[numbers.randint(4, 23) for _ in range(numbers.choice([8, 16, 33]))]] * numbers.randint(1, 4)
    got = call(connection, "POST", "/v1/models/encoder:predict", {"instances": rows})["predictions"]
    if len(got) != len(rows):
        raise ValueError(f"{len(got)} predictions of {len(rows)}")


def complete(connection, numbers):
    body = {"model": "lm", "prompt": letters(numbers, 60), "max_tokens": numbers.randint(1, 40), "seed": 1, "logprobs": 2}
    if not call(connection, "POST", "/v1/completions", body)["choices"]:
        raise ValueError("no choice")


def stream(connection, numbers):
    body = {"model": "lm", "prompt": letters(numbers, 60), "max_tokens": numbers.randint(1, 40), "stream": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    lines = connection.getresponse().read().decode().strip().split("\n\n")
    if lines[-1] != "data: [DONE]":
        raise ValueError(f"the stream ended with {lines[-1]}")


def cancelled(connection, numbers):
    body = {"model": "lm", "prompt": letters(numbers, 300), "max_tokens": 400, "stream": numbers.random() < 0.5}
    gone = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    gone.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    if body["stream"]:
        gone.getresponse().read(200)
    else:
        time.sleep(numbers.random() / 10)
    gone.close()


def embed(connection, numbers):
    body = {"model": "encoder", "input": [letters(numbers, 60) for _ in range(numbers.randint(1, 4))]}
    call(connection, "POST", "/v1/embeddings", body)
    call(connection, "POST", "/v1/models/lm:score", {"prompt": letters(numbers, 60)})


def session(connection, numbers):
    path = "/v1/models/lm/sessions"
    opened = call(connection, "POST", path, {"prompt": letters(numbers, 100)})["id"]
    call(connection, "POST", f"{path}/{opened}:generate", {"max_tokens": 5})
    forked = call(connection, "POST", f"{path}/{opened}:fork")["id"]
    call(connection, "POST", f"{path}/{forked}:generate", {"prompt": "MKT", "max_tokens": 5})
    call(connection, "DELETE", f"{path}/{opened}")
    if numbers.random() < 0.9:  # the rest expires, or gives way
        call(connection, "DELETE", f"{path}/{forked}")


def watch(connection, numbers):
    for path in ("/health", "/ready", "/v1/models", "/v1/models/encoder", "/v1/models/encoder/metadata"):
        call(connection, "GET", path)
    connection.request("GET", "/metrics")
    if connection.getresponse().read().count(b"\n") < 10:
        raise ValueError("no metrics")
    time.sleep(0.2)


def reload(connection, numbers, versions=itertools.count(2)):
    """Puts a new version in place as exports do, and takes the oldest away."""
    version = next(versions)
    beside = base / f".{version}"
    shutil.copytree(encoder, beside)
    beside.rename(base / str(version))
    wanted = str(version)
    for _ in range(1200):
        states = call(connection, "GET", "/v1/models/encoder")["model_version_status"]
        if any(s["version"] == wanted and s["state"] == "AVAILABLE" for s in states):
            break
        time.sleep(0.1)
    else:
        raise ValueError(f"version {version} was not loaded: {states}")
    for old in base.iterdir():
        if old.name.isdigit() and int(old.name) < version - 1:
            shutil.rmtree(old)
    for _ in range(50):
        if not over.is_set():
            time.sleep(0.1)


def median(values):
    return sorted(values)[len(values) // 2]


kinds = {predict: 4, complete: 2, stream: 2, cancelled: 2, embed: 1, session: 2, watch: 1, reload: 1}
with Server([f"lm={causal}", f"encoder={base}"], ["--poll-interval", "1s"]) as server:
    threads = [client(f"{work.__name__} {i}", work) for work, n in kinds.items() for i in range(n)]
    start = time.monotonic()
    samples = []
    while time.monotonic() - start < 60 * minutes and server.process.poll() is None:
        time.sleep(min(2, minutes))
        samples.append((time.monotonic() - start, server.figure("VmRSS") / 1024, server.figure("Threads"), server.open_files()))
    over.set()
    for thread in threads:
        thread.join()
    if server.process.poll() is not None:
        sys.exit(f"the server ended during the soak:\n{server.log.read_text()[-4000:]}")

settled = [s for s in samples if s[0] > 12 * minutes]  # after a fifth: all is loaded and compiled
third = max(1, len(settled) // 3)
(_, first_mb, first_threads, first_files), (_, last_mb, last_threads, last_files) = (
    [median(column) for column in zip(*part)] for part in (settled[:third], settled[-third:])
)
print(f"{minutes:g} minutes: {dict(done)}")
print(f"memory {first_mb:.0f} -> {last_mb:.0f} MiB, threads {first_threads} -> {last_threads}, open files {first_files} -> {last_files}")
for text, n in collections.Counter(failures).most_common(20):
    print(f"{n} × {text}", file=sys.stderr)
if failures:
    sys.exit(f"{len(failures)} requests failed")
if minutes >= 5 and not 0.95 <= last_mb / first_mb <= 1.05:
    sys.exit("memory is not flat")
more = 4 if minutes >= 2 else 128  # pools fill up in the first minutes
if last_threads > first_threads + more or last_files > first_files + 20:
    sys.exit("threads or files leak")
