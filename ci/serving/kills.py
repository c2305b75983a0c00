"""kill -9 of a server while it reloads a model and saves sessions: the next start serves the last whole version, and saved sessions are whole or absent.

usage: kills.py CAUSAL_MODEL ENCODER_MODEL KILLS [FOLDER]
"""
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

from server import Server

causal, encoder, kills = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
folder = pathlib.Path(sys.argv[4] if len(sys.argv) > 4 else tempfile.mkdtemp())
base, saved = folder / "encoder", folder / "sessions"
base.mkdir(parents=True)
saved.mkdir()
shutil.copytree(encoder, base / "1")
shutil.copytree(encoder, base / "2")
(base / "2" / "saved_model.pb").write_bytes((encoder / "saved_model.pb").read_bytes()[:1000])  # never whole
random.seed(1)
names = []

for turn in range(kills + 1):
    with Server([f"lm={causal}", f"encoder={base}"], ["--poll-interval", "1s", "--session-dir", str(saved)]) as server:
        status, answer = server.post("/v1/models/encoder:predict", {"instances": [[5, 6, 7, 8]]})
        if status != 200:
            sys.exit(f"start {turn + 1}: the last whole version is not served: {status} {answer}")
        for name in names:
            status, answer = server.post("/v1/models/lm/sessions:load", {"name": name})
            whole = status == 200 and server.post(f"/v1/models/lm/sessions/{answer['id']}:generate", {"max_tokens": 3})[0] == 200
            if not whole and status != 404:
                sys.exit(f"start {turn + 1}: the saved session {name} is half: {status} {answer}")
        if turn == kills:
            break
        names = [f"turn{turn}-{i}" for i in range(200)]
        opened = server.post("/v1/models/lm/sessions", {"prompt": "MKTAYIAKQR" * 20})[1]["id"]

        def save():
            for name in names:
                try:
                    server.post(f"/v1/models/lm/sessions/{opened}:save", {"name": name})
                except OSError:
                    return  # killed

        def reload():
            for version in range(10 * turn + 3, 10 * turn + 13):
                if server.process.poll() is None:
                    shutil.copytree(encoder, base / f".{version}")
                    (base / f".{version}").rename(base / str(version))
                    time.sleep(0.3)

        threads = [threading.Thread(target=work) for work in (save, reload)]
        [thread.start() for thread in threads]
        time.sleep(random.uniform(0.2, 3))
        server.kill()
        [thread.join() for thread in threads]
        server.stop = lambda: 0  # it has ended
half = [path.name for path in saved.rglob("*") if path.is_file() and path.name.startswith(".")]
print(f"{kills} kills: the last whole version was served each time, saved sessions whole" + (f"; left behind: {half}" if half else ""))
