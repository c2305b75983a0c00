"""Starts ./performer serve for a check, and ends it."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process; `with Server(…) as server` ends it, and fails if it does not end well."""

    def __init__(self, models, options=(), log=None, start_seconds=120):
        self.port, self.grpc_port = free_port(), free_port()
        command = [str(ROOT / "performer"), "serve", *map(str, models), "--port", str(self.port), "--grpc-port", str(self.grpc_port), *options]
        self.log = pathlib.Path(log or ROOT / "build" / f"serve-{self.port}.log")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(command, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + start_seconds
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise SystemExit(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def is_ready(self):
        try:
            return self.get("/ready")[0] == 200
        except OSError:
            return False

    def get(self, path):
        return self.request("GET", path)

    def request(self, method, path, body=None, headers=(), timeout=120):
        """Status, and the answer as JSON where it is that."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json", **dict(headers)}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as e:
            status, content = e.code, e.read()
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content

    def post(self, path, body, **more):
        return self.request("POST", path, body, **more)

    def figure(self, name):
        """Of /proc/PID/status, such as VmRSS (kB) and Threads."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise KeyError(name)

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self):
        """Ends it as an operator does. Its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.kill()
            return
        status = self.stop()
        if status != 0:
            raise SystemExit(f"the server ended with status {status}:\n{self.log.read_text()[-4000:]}")
