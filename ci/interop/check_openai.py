"""Clients of OpenAI's API against ./performer serve: python check_openai.py make FOLDER; python check_openai.py check FOLDER LM CHAT CLASS_PATH.

make: a small GPT-2 with a chat template, as transformers saves it, what transformers make of a conversation, and TensorFlow of texts.
check: PyPI's openai and Maven's langchain4j-open-ai (examples/langchain4j, on CLASS_PATH) complete, stream, embed and chat as
./performer generate, TensorFlow and transformers do. LM is a causal protein model, CHAT what was imported from FOLDER.
"""
import contextlib
import json
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
TEXTS = ["MKT", "ACDEFGHIKLMNPQRSTVWY", "GG"]
MESSAGES = [{"role": "system", "content": "Be  brief."}, {"role": "user", "content": " What is a Performer? "}]
ENCODER = "savedmodels/protein-mlm/saved_model"
TEMPLATE = """{%- for message in messages %}
    {{- '<|' + message['role'] + '|>' + message['content'] | trim + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
{%- endif %}"""


def make(folder):
    import tensorflow as tf
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tf.random.set_seed(3)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*alphabet, "<|endoftext|>"])}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<|endoftext|>", eos_token="<|endoftext|>", chat_template=TEMPLATE)
    config = transformers.GPT2Config(vocab_size=len(tokenizer), n_positions=256, n_embd=32, n_layer=2, n_head=2, initializer_range=0.3, bos_token_id=256, eos_token_id=256)
    model = transformers.TFGPT2LMHeadModel(config)
    ids = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_tensors="tf")
    generated = model.generate(ids, attention_mask=tf.ones_like(ids), max_new_tokens=20, do_sample=False, pad_token_id=256).numpy()[0, ids.shape[1]:]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    words = json.load(open(f"{ENCODER}/assets.extra/performer.json"))["vocabulary"]
    embed = tf.saved_model.load(ENCODER).signatures["embed"]
    rows = [[*map(words["tokens"].index, text), words["eosId"]] for text in TEXTS]
    with open(f"{folder}/vectors.json", "w") as out:
        json.dump([embed(tokens=tf.constant([row]))["embedding"].numpy()[0].tolist() for row in rows], out)
    with open(f"{folder}/expected.json", "w") as out:
        json.dump({"prompt_tokens": ids.shape[1], "text": tokenizer.decode(generated, skip_special_tokens=True)}, out)


@contextlib.contextmanager
def served(**models):
    """The URL of a server, which then has to end well."""
    command = ["./performer", "serve", *(f"{name}={path}" for name, path in models.items()), "--port", "0", "--no-grpc"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ready = next((line for line in server.stdout if line.startswith("ready: ")), None)
        assert ready, "the server did not start"
        yield ready.split()[1]
        server.terminate()
        assert server.wait(60) == 0, f"the server ended with {server.returncode}"
    finally:
        server.kill()


def generated(model, *options):
    command = ["./performer", "generate", model, "--prompt", "MKT", *options]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()[len("MKT"):]


def check(folder, lm, chat, class_path):
    with served(lm=lm, encoder=ENCODER, chat=chat) as url:
        python(url, folder, generated(lm, "--tokens", "24", "--seed", "5"))
        langchain4j(url, class_path, generated(lm, "--tokens", "16", "--greedy"), json.load(open(f"{folder}/vectors.json"))[0])


def langchain4j(url, class_path, expected, vector):
    command = ["java", "-cp", class_path, "example.TalkToPerformer", url, "lm", "encoder", "MKT", "chat"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    assert lines[0] == f"text {expected}" and lines[1] == f"streamed {expected} in pieces {expected}", (lines, expected)
    size, first = lines[2].split()[1:]
    assert int(size) == len(vector) and abs(float(first) - vector[0]) < 1e-5, (lines[2], vector[0])
    answer = "\n".join(lines[3:])
    whole, pieces = answer[len("answer "):].split("\nanswer in pieces ")
    assert whole and whole == pieces, lines
    print(f"langchain4j: a text, a stream, a vector of {size}, a chat")


def python(url, folder, expected):
    import numpy as np
    import openai
    import requests

    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    names = [model.id for model in client.models.list()]
    assert {"lm", "chat"} <= set(names), names
    assert client.models.retrieve("lm").id == "lm"

    given = dict(model="lm", prompt="MKT", max_tokens=24, seed=5)
    whole = client.completions.create(**given, logprobs=3, echo=True)
    assert whole.choices[0].text == "MKT" + expected, (whole, expected)
    logs = whole.choices[0].logprobs
    assert len(logs.tokens) == whole.usage.total_tokens and "".join(logs.tokens) == whole.choices[0].text
    scores = requests.post(f"{url}/v1/models/lm:score", json={"prompt": "MKT" + expected}).json()["results"][0]["log_probabilities"]
    own = np.array([number or 0 for number in logs.token_logprobs])
    assert np.abs(own - scores[: len(own)]).max() < 1e-4, (own, scores)
    pieces = list(client.completions.create(**given, stream=True, stream_options={"include_usage": True}))
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == expected and pieces[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len(pieces) >= whole.usage.completion_tokens

    answer = client.embeddings.create(model="encoder", input=TEXTS)  # base64, which this client decodes
    plain = requests.post(f"{url}/v1/embeddings", json={"model": "encoder", "input": TEXTS}).json()
    for mine, one in zip(answer.data, plain["data"]):
        assert np.abs(np.array(mine.embedding) - one["embedding"]).max() < 1e-6 and mine.index == one["index"]
    reference = json.load(open(f"{folder}/vectors.json"))
    assert np.abs(np.array([one.embedding for one in answer.data]) - reference).max() < 1e-5

    chat = json.load(open(f"{folder}/expected.json"))
    reply = client.chat.completions.create(model="chat", messages=MESSAGES, temperature=0, max_completion_tokens=20, logprobs=True, top_logprobs=2)
    assert reply.usage.prompt_tokens == chat["prompt_tokens"], (reply.usage, chat)
    assert reply.choices[0].message.content == chat["text"], (reply.choices[0].message.content, chat["text"])
    assert len(reply.choices[0].logprobs.content) == reply.usage.completion_tokens
    stream = client.chat.completions.create(model="chat", messages=MESSAGES, temperature=0, max_completion_tokens=20, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in stream) == chat["text"]

    def refused(kind, call, **keys):
        try:
            call(**keys)
        except kind as e:
            return e
        raise AssertionError(f"{keys} was taken")

    assert refused(openai.NotFoundError, client.completions.create, model="nothing", prompt="MKT").code == "model_not_found"
    wrong = refused(openai.BadRequestError, client.completions.create, model="lm", prompt="MKT", temperature=9)
    assert wrong.param == "temperature" and wrong.type == "invalid_request_error", wrong
    assert refused(openai.BadRequestError, client.chat.completions.create, model="lm", messages=MESSAGES).code == "no_chat_template"
    with client.completions.create(model="lm", prompt="MKT", max_tokens=60, stream=True) as stream:
        next(iter(stream))  # and leaves
    print(f"openai {openai.__version__}: {len(pieces)} pieces of a text, {len(TEXTS)} vectors, a chat of {chat['prompt_tokens']} tokens")


if sys.argv[1] == "make":
    make(sys.argv[2])
else:
    check(*sys.argv[2:])
