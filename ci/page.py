#!/usr/bin/env python3
"""The server's page in headless Chromium: it takes the key, streams a text, shows alternatives, plots scores, and loads nothing from elsewhere.

usage: page.py [SCREENSHOT]     (PERFORMER: the command line, ./performer; CHROMIUM: the browser)
"""
import base64
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PERFORMER = shlex.split(os.environ.get("PERFORMER", str(ROOT / "performer")))
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe"
WAIT = 90  # seconds, for a busy machine
KEY = "a key for this test"


class Browser:
    """One page, over DevTools' protocol on a pipe."""

    def __init__(self, folder):
        to_browser, self.requests = os.pipe()
        self.answers, from_browser = os.pipe()
        pipes = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        command = ["bash", "-c", pipes, "bash", CHROMIUM, *FLAGS.split(), f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.rest, self.number, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")

    def message(self):
        while b"\0" not in self.rest:
            more = os.read(self.answers, 1 << 16)
            if not more:
                raise SystemExit("the browser has gone")
            self.rest += more
        first, self.rest = self.rest.split(b"\0", 1)
        return json.loads(first)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression, what):
        end = time.monotonic() + WAIT
        while not (value := self.value(expression)):
            if time.monotonic() > end:
                shown = self.value("document.body.innerText")
                raise SystemExit(f"{what}: waited {WAIT} s for {expression}; the page shows:\n{shown}")
            time.sleep(0.05)
        return value

    def fill(self, name, text):
        self.value(f"document.getElementById('{name}').value = ''; document.getElementById('{name}').focus()")
        self.call("Input.insertText", text=text)

    def click(self, selector):
        self.mouse("mouseMoved", selector)
        self.mouse("mousePressed", selector, button="left", clickCount=1)
        self.mouse("mouseReleased", selector, button="left", clickCount=1)

    def mouse(self, kind, selector, **more):
        find = f"document.querySelector({json.dumps(selector)})"
        self.value(f"{find}.scrollIntoView({{block: 'nearest'}})")
        x, y = self.value(f"(() => {{ const b = {find}.getClientRects()[0]; return [b.x + b.width / 2, b.y + b.height / 2]; }})()")
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def screenshot(self, path, dark=False):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        data = self.call("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait()


def run(*arguments):
    subprocess.run([*PERFORMER, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def check(condition, what):
    if not condition:
        raise SystemExit(f"page: {what}")


def use(browser, url):
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=1000, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=url)

    # Without a key it calls for one.
    browser.wait("document.getElementById('dialog') && document.getElementById('dialog').open", "the key")
    browser.fill("secret", KEY)
    browser.click("#dialog button[value=use]")
    browser.wait("document.getElementById('model').options.length === 2", "the models")
    names = browser.value("[...document.getElementById('model').options].map(option => option.value).sort().join()")
    check(names == "lm,protein", f"the models are {names}")
    browser.wait("document.getElementById('state').className === 'ready'", "the figures")
    check(browser.value("document.getElementById('load').innerText.includes('Process memory')"), "no process memory is shown")

    # A causal model streams tokens.
    choose(browser, "lm")
    browser.wait("!document.getElementById('generate').disabled", "a model that generates")
    check("attention" in browser.value("document.getElementById('attention').innerText"), "nothing is shown of attention")
    check("causal-lm" in browser.value("document.getElementById('card').innerText"), "the card has no objective")
    first = generate(browser, 48, 1)
    check(generate(browser, 48, 1) == first, "the same seed gives another text")
    check(generate(browser, 48, 2) != first, "another seed gives the same text")
    bars = browser.value("document.querySelectorAll('#plot rect').length")
    check(bars == browser.value("document.querySelectorAll('#text .token').length"), f"{bars} bars are plotted")
    browser.mouse("mouseMoved", "#text .token:nth-of-type(12)")
    browser.wait("!document.getElementById('tip').hidden", "the alternatives")
    shares = browser.value("[...document.querySelectorAll('#tip .share')].map(share => parseFloat(share.innerText))")
    check(len(shares) == 5 and shares == sorted(shares, reverse=True) and sum(shares) <= 100.5, f"the alternatives have {shares}")

    # One is stopped at its first token.
    browser.value("new MutationObserver((changes, observer) => { if (document.querySelector('#text .token')) { observer.disconnect(); document.getElementById('stop').click(); } }).observe(document.getElementById('text'), { childList: true }) || 1")
    browser.click("#generate")
    browser.wait("document.getElementById('note').innerText === 'stopped'", "the end of a text that was stopped")
    browser.wait("!document.getElementById('generate').disabled", "the end of the call")

    # What is wrong is shown in the server's words.
    browser.fill("topp", "7")
    browser.value("document.getElementById('form').noValidate = true")
    browser.click("#generate")
    message = browser.wait("!document.getElementById('error').hidden && document.getElementById('error').innerText", "an error")
    check("top_p" in message, f"the error is: {message}")
    browser.fill("topp", "1")

    # A masked model scores a sequence.
    choose(browser, "protein")
    browser.wait("document.getElementById('generate').disabled && !document.getElementById('score').disabled", "a model that scores only")
    browser.fill("prompt", "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGT")
    browser.click("#score")
    note = browser.wait("document.getElementById('note').innerText.includes('perplexity') && document.getElementById('note').innerText", "a score")
    check(note.startswith("44 tokens"), f"the score is of {note}")
    check(browser.value("document.querySelectorAll('#plot rect').length") == 44, "not all residues are plotted")

    # Markup in a prompt is text.
    choose(browser, "lm")
    browser.wait("!document.getElementById('generate').disabled", "a model that generates")
    browser.fill("prompt", "<img src=x onerror=alert(1)>")
    browser.click("#score")
    browser.wait("document.getElementById('stop').hidden", "an answer to markup")
    check(browser.value("document.querySelectorAll('img').length") == 0, "the prompt became markup")


def choose(browser, name):
    browser.value(f"document.getElementById('model').value = '{name}'; document.getElementById('model').dispatchEvent(new Event('change'))")


def generate(browser, tokens, seed):
    browser.fill("prompt", "MKTAYIAKQR")
    browser.fill("tokens", str(tokens))
    browser.fill("seed", str(seed))
    browser.click("#generate")
    browser.wait("document.getElementById('note').innerText.includes('ended by')", "a text")
    text = browser.value("document.getElementById('text').innerText")
    browser.value("document.getElementById('note').innerText = ''")
    check(text.startswith("MKTAYIAKQR"), f"the text is {text}")
    return text


def only_own(browser, url):
    """No error on the console, and nothing from elsewhere."""
    for event in browser.events:
        parameters = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            check(address.startswith((url, "data:", "about:")), f"the page loads {address}")
        check(event["method"] != "Runtime.exceptionThrown", parameters)
        if event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            # Refused calls are logged, too: without the key, and with a wrong value.
            check(re.search("status of (401|400)", parameters["entry"]["text"]), parameters["entry"])


def picture(browser, path):
    generate(browser, 50, 7)
    browser.wait("document.getElementById('history').children.length === 2", "the load")
    browser.mouse("mouseMoved", "#text .token:nth-of-type(20)")
    browser.screenshot(path)
    browser.screenshot(ROOT / "build" / "page-dark.png", dark=True)


def main():
    check(CHROMIUM, "no chromium is found; install it, or set CHROMIUM")
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        folder = pathlib.Path(folder)
        run("import", "savedmodels/checkpoints/lm_relu", "--output", folder / "lm")
        command = [*PERFORMER, "serve", f"lm={folder / 'lm'}", "protein=savedmodels/protein-mlm/saved_model", "--port", "0", "--no-grpc"]
        environment = {**os.environ, "PERFORMER_API_KEY": KEY}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        try:
            line = next((line for line in server.stdout if line.startswith("ready: ")), "")
            check(line, "the server did not start")
            url = line.split()[1] + "/"
            browser = Browser(folder / "profile")
            try:
                use(browser, url)
                only_own(browser, url)
                picture(browser, sys.argv[1] if len(sys.argv) > 1 else build / "page.png")
            finally:
                browser.close()
        finally:
            server.terminate()
            status = server.wait(60)
        check(status == 0, f"the server ended with status {status}")
    print("page: all is shown as it should be")


main()
