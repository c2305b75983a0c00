"""Hundreds of malformed requests to a server: each gets the right 4xx in the shape that its clients read, and the server lives on in bounded memory.

usage: malformed.py CAUSAL_MODEL ENCODER_MODEL
"""
import concurrent.futures
import json
import random
import socket
import sys
import time

from server import Server

causal, encoder = sys.argv[1:]
random.seed(1)
problems = []
count = 0


def check(name, condition, found):
    global count
    count += 1
    if not condition:
        problems.append(f"{name}: {str(found)[:300]}")


def shaped(path, body):
    """Whether an error has the shape of its API."""
    error = body.get("error") if isinstance(body, dict) else None
    if path.startswith(("/v1/completions", "/v1/embeddings", "/v1/chat")):
        return isinstance(error, dict) and isinstance(error.get("message"), str) and error["message"] and "type" in error
    return isinstance(error, str) and error


def leaks(body):
    text = json.dumps(body) if not isinstance(body, bytes) else body.decode(errors="replace")
    return any(mark in text for mark in ("java.", "Exception", "\tat ", "dev.performer", "io.vertx", "com.fasterxml", "StreamRead", "{{node", "root:x:"))


def refused(server, name, method, path, body=None, allowed=(400,), **more):
    try:
        status, answer = server.request(method, path, body, **more)
    except OSError as e:
        check(name, False, f"no answer: {e}")
        return
    right = status in allowed and shaped(path, answer) and not leaks(answer)
    check(f"{name} ({method} {path[:80]} {str(body)[:80]})", right, (status, answer))


def raw(port, data, wait=20.0, pause=0.0):
    """The status of the answer to bytes on a socket; 0 where the server closed it without one, None where it did neither."""
    with socket.create_connection(("127.0.0.1", port), wait) as connection:
        connection.settimeout(wait)
        try:
            for piece in data if isinstance(data, list) else [data]:
                connection.sendall(piece)
                time.sleep(pause)
            head = b""
            while b"\r\n" not in head:
                more = connection.recv(4096)
                if not more:
                    return 0
                head += more
            return int(head.split()[1])
        except TimeoutError:
            return None
        except (ConnectionError, ValueError, IndexError):
            return 0


def json_texts():
    yield from ["", " ", "{", "}", "[", "null", "1", '"text"', "[]", "{]", '{"instances"', '{"instances":', '{"instances":[', '{"instances":[1,}', "{'instances':[1]}"]
    yield from ['{"instances":[NaN]}', '{"instances":[Infinity]}', '{"instances":[1]} x', '{"instances":[1]}{"a":1}', "\x00", "<xml/>", "instances=1", "[" * 100_000, '{"a":' * 50_000]
    yield from ['{"instances":[1e999999]}', '{"instances":[' + "9" * 5000 + "]}", '{"instances":[01]}', '{"instances":[+1]}', '{"instances":[.5]}', '{"instances":"\\ud800"}', "//x\n{}", "{/*x*/}"]
    yield from [b"\xff\xfe\x00", b'{"instances":["\xff"]}', b"\x1f\x8b\x08\x00garbage"]
    whole = json.dumps({"instances": [[5, 6, 7, 8]] * 3})
    yield from (whole[:i] for i in range(1, len(whole) - 1, 4))


def predict_bodies(row):
    yield from [{}, {"instance": [row]}, {"instances": [row], "inputs": [row]}, {"instances": []}, {"instances": None}, {"instances": 5}, {"instances": "x"}, {"instances": {}}, {"inputs": None}]
    yield from [{"instances": [row], "signature_name": name} for name in ("nothing", 5, ["x"], {}, "../x", "x" * 10_000)]
    yield from [{"instances": [row, row[:-1]]}, {"instances": [row, 5]}, {"instances": [[row]]}, {"instances": [[[[[row]]]]]}, {"instances": [{"tokens": row}, row]}, {"instances": [{"tokens": row}, {"ids": row}]}]
    yield from [{"instances": [["a"] * 4]}, {"instances": [[1.5, 2, 3, 4]]}, {"instances": [[True, False]]}, {"instances": [[None, 1]]}, {"instances": [[{}, 1]]}, {"instances": [[{"b64": "QQ=="}]]}, {"instances": [[{"b64": "%%"}]]}]
    yield from [{"instances": [[1 << 40, 1]]}, {"instances": [[-1, 1]]}, {"instances": [[99_999, 1]]}, {"instances": [[1e300, 1]]}, {"instances": [{}]}, {"instances": [{"tokens": row, "more": row}]}]
    yield from [{"inputs": {}}, {"inputs": {"ids": [row]}}, {"inputs": {"tokens": row}}, {"inputs": {"tokens": [row], "more": [row]}}, {"inputs": {"tokens": "x"}}, {"inputs": {"tokens": {}}}, {"inputs": {"tokens": [[row, row]]}}]


def openai_bodies(model):
    good = {"model": model, "prompt": "MKT", "max_tokens": 2}
    wrong = {
        "model": ["nothing", 5, None, "", "../../etc/passwd", {}, []],
        "prompt": [5, None, {}, [], ["a", 5], [[1], "a"], [None], [-1], [10**9], [1.5], [[10**9]], ["a", ["b"]], True, "M" * 3_000_000],
        "max_tokens": [-1, "2", 1.5, 10**12, {}, [], True, 2**63],
        "temperature": [-1, "hot", 1e400, {}, True],
        "top_p": [-0.1, 1.1, "x", []],
        "n": [0, -1, "1", 1.5, 100_000],
        "best_of": [0, -1, "x", 100_000],
        "logprobs": [-1, "x", 1.5, 10**9],
        "echo": ["yes", 5, {}],
        "stream": ["yes", 5, {}],
        "stop": [5, {}, [5], ["a", None], ["a", "b", "c", "d", "e"]],
        "seed": ["x", 1.5, {}, 2**70],
        "presence_penalty": [3, -3, "x"],
        "frequency_penalty": [3, -3, "x"],
        "logit_bias": [5, "x", {"a": 1}, {"5": "x"}, {"5": 1000}, {"99999999": 1}, []],
        "suffix": ["x"],
        "stream_options": [5, {"include_usage": "x"}],
    }
    for key, values in wrong.items():
        for value in values:
            yield key, {**good, key: value}
    yield "no prompt", {"model": model}
    yield "no model", {"prompt": "MKT"}


def paths():
    names = ["..", "../..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..", "nothing", "%00", "a%00b", "x" * 3000, "%ff", "lm%2f..", "C:%5cx", "%252e%252e%252fetc"]
    for name in names:
        yield from [f"/v1/models/{name}", f"/v1/models/{name}/metadata", f"/v1/models/{name}/versions/1", f"/v1/models/lm/sessions/{name}", f"/{name}", f"/v1/models/lm/labels/{name}"]
    yield from ["/v1/models/lm/versions/x", "/v1/models/lm/versions/-1", "/v1/models/lm/versions/99999999999999999999", "/v1/models/lm/versions/7", "/v1/models/lm/versions/", "/v1/models/lm/labels/stable", "/v2/models/lm", "/etc/passwd", "//etc/passwd", "/v1/models/lm/metadata/x"]


def http(port):
    post = b"POST /v1/models/lm:predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    closed = {0, 400, 408, 411, 413, 414, 417, 431, 501, 505}
    requests = {
        "no request": b"\r\n\r\n\r\n",
        "garbage": bytes(random.randrange(256) for _ in range(4000)),
        "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        "HTTP/0.9": b"GET /\r\n\r\n",
        "HTTP/3.7": b"GET / HTTP/3.7\r\nHost: x\r\n\r\n",
        "long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "large headers": b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(500)) + b"\r\n",
        "negative length": post + b"Content-Length: -5\r\n\r\n{}",
        "length of letters": post + b"Content-Length: five\r\n\r\n{}",
        "two lengths": post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "huge length": post + b"Content-Length: 99999999999999\r\n\r\n{}",
        "length over all numbers": post + b"Content-Length: 99999999999999999999999999\r\n\r\n{}",
        "length and chunks": post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "bad chunk": post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "huge chunk": post + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n{}",
        "header without colon": b"GET /health HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        "null in a header": b"GET /health HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    }
    for name, data in requests.items():
        status = raw(port, data)
        check(name, status in closed, status)
    check("a body that ends early", raw(port, post + b"Content-Length: 100\r\n\r\n{\"inst", 90) in closed, "no end")
    check("a slow head", raw(port, [b"GET /health HT"] + [b"X"] * 3, 90, 0.5) in closed, "no end")


def half_open(port, connections):
    """Connections that never ask; the server goes on for others."""
    held = []
    for i in range(connections):
        connection = socket.create_connection(("127.0.0.1", port), 20)
        connection.sendall([b"", b"POST /v1/compl", b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"][i % 3])
        held.append(connection)
    return held


with Server([f"lm={causal}", f"encoder={encoder}"], ["--idle", "8s"]) as server:
    good = {"instances": [[5, 6, 7, 8]]}
    alive = lambda: server.post("/v1/models/lm:predict", good)[0] == 200 and server.get("/health")[0] == 200
    check("a right request", alive(), server.post("/v1/models/lm:predict", good))
    check("a right completion", server.post("/v1/completions", {"model": "lm", "prompt": "MKT", "max_tokens": 2})[0] == 200, server.post("/v1/completions", {"model": "lm", "prompt": "MKT", "max_tokens": 2}))

    for text in json_texts():
        body = text if isinstance(text, bytes) else text.encode()
        for path in ("/v1/models/lm:predict", "/v1/completions", "/v1/embeddings", "/v1/models/lm:generate"):
            refused(server, "JSON", "POST", path, body)
    memory = server.figure("VmRSS")
    for body in predict_bodies([5, 6, 7, 8]):
        refused(server, "predict", "POST", "/v1/models/lm:predict", body)
        refused(server, "score", "POST", "/v1/models/lm:score", body)
    for key, body in openai_bodies("lm"):
        refused(server, key, "POST", "/v1/completions", body, (400, 404, 413, 422))
    for body in [{"model": "encoder"}, {"model": "encoder", "input": 5}, {"model": "encoder", "input": []}, {"model": "encoder", "input": [5, "a"]}, {"model": "encoder", "input": "MKT", "encoding_format": "x"}, {"model": "encoder", "input": "MKT", "dimensions": 3}, {"model": "nothing", "input": "MKT"}, {"model": "encoder", "input": [None]}]:
        refused(server, "embeddings", "POST", "/v1/embeddings", body, (400, 404))
    refused(server, "chat without a template", "POST", "/v1/chat/completions", {"model": "lm", "messages": [{"role": "user", "content": "MKT"}]})
    refused(server, "completion of an encoder", "POST", "/v1/completions", {"model": "encoder", "prompt": "MKT", "max_tokens": 2})
    for path in paths():
        refused(server, "path", "GET", path, None, (400, 404, 405, 414))
        refused(server, "path", "POST", path + ":predict", good, (400, 404, 405, 414))
    for method, path in [("PUT", "/v1/completions"), ("DELETE", "/v1/models/lm"), ("GET", "/v1/completions"), ("PATCH", "/v1/models/lm:predict"), ("GET", "/v1/models/lm:predict"), ("POST", "/metrics")]:
        refused(server, "method", method, path, None, (404, 405))
    for body in [{}, {"prompt": 5}, {"prompt": None}, {"tokens": ["a"]}, {"prompt": "M", "tokens": [5]}, {"prompt": "?" * 10}]:
        refused(server, "session", "POST", "/v1/models/lm/sessions", body)
        refused(server, "generate", "POST", "/v1/models/lm:generate", body)
        refused(server, "no session", "POST", "/v1/models/lm/sessions/nothing:generate", {"prompt": "M"}, (404,))
    for size in (0, 10, 1000, 100_000):
        refused(server, "session file", "POST", "/v1/models/lm/sessions:load", random.randbytes(size), headers={"Content-Type": "application/octet-stream"})
    refused(server, "large body", "POST", "/v1/models/lm:predict", b'{"instances":[[' + b"5," * 60_000_000 + b"5]]}", (413,))
    http(server.port)
    held = half_open(server.port, 150)
    check("a request beside half-open ones", alive(), "no answer")
    for data in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.randbytes(200), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", random.randbytes(3000)):
        check("garbage for gRPC", raw(server.grpc_port, data, 30) is not None, "no end")

    def flood(i):
        try:
            return server.post("/v1/models/lm:predict", good)[0]
        except OSError as e:
            return str(e)

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        found = list(pool.map(flood, range(2000)))
    check("flood", set(found) <= {200, 429, 503} and found.count(200) > 0, {key: found.count(key) for key in set(found)})
    for connection in held:
        connection.close()
    check("alive in the end", alive(), "no answer")
    grown = (server.figure("VmRSS") - memory) / 1024
    check("memory", grown < 1500, f"{grown:.0f} MiB more")
    check("log without a stack trace", "\tat " not in server.log.read_text(), server.log.read_text()[-2000:])

shown = {}
for problem in problems:
    shown.setdefault(problem.split(" (")[0].split(":")[0], []).append(problem)
for kind in shown.values():
    print("\n".join(kind[:4]), file=sys.stderr)
if problems:
    sys.exit(f"{len(problems)} of {count} malformed requests were not answered as they should be")
print(f"{count} malformed requests: right 4xx each, {grown:.0f} MiB more memory")
