"""TensorFlow Serving's REST API and streamed completions with Python's own library: python rest.py http://127.0.0.1:8501 lm"""
import json
import sys
import urllib.request

TOKENS = [[1, 2, 3, 4]]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=60)


def main():
    url, model = sys.argv[1:]
    with post(f"{url}/v1/models/{model}:predict", {"inputs": {"tokens": TOKENS}}) as response:
        logits = json.load(response)["outputs"]
    logits = logits.get("logits", logits) if isinstance(logits, dict) else logits  # one output alone has no name
    print("logits", len(logits), len(logits[0]), len(logits[0][0]))
    print("likeliest", *(max(range(len(row)), key=row.__getitem__) for row in logits[0]))
    print(f"largest {max(map(max, logits[0])):.4f}")

    body = {"model": model, "prompt": "MKT", "max_tokens": 20, "seed": 1, "stream": True}
    text = ""
    with post(f"{url}/v1/completions", body) as response:
        for line in response:  # server-sent events
            data = line.decode().strip().removeprefix("data: ")
            if data and data != "[DONE]":
                text += json.loads(data)["choices"][0]["text"]
    print("text MKT" + text)


if __name__ == "__main__":
    main()
