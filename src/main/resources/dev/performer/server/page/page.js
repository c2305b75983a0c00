"use strict";

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const LIKELIEST = 5;

let card = null; // of the chosen model, once it is there
let turns = 0;
let running = null; // the controller of the call that runs
let history = [];
let before = null;

/* Calls */

async function request(path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem("key");
  if (key) headers.Authorization = "Bearer " + key;
  if (body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body) });
  if (response.ok) return response;
  if (response.status === 401) openKeyDialog();
  const text = await response.text();
  let message = text;
  try {
    const error = JSON.parse(text).error;
    message = typeof error === "string" ? error : error.message;
  } catch { /* no JSON: the text itself */ }
  throw new Error(message || "status " + response.status);
}

async function json(path, body, signal) {
  return (await request(path, body, signal)).json();
}

/** Server-sent events of a response, each one's data. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      yield part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}

function openKeyDialog() {
  if (!byId("dialog").open) byId("dialog").showModal();
}

/* Parts of the page */

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function showError(error) {
  if (error && error.name === "AbortError") return;
  byId("error").textContent = error ? error.message : "";
  byId("error").hidden = !error;
}

function list(owner, entries) {
  const shown = entries.filter(([, value]) => value || value === 0);
  owner.replaceChildren(...shown.flatMap(([name, value]) => [element("dt", null, name), element("dd", null, String(value))]));
}

/** From orange at probability 0 to blue at 1, faint at 1/4: most tokens of proteins are unlikely. */
function tint(probability) {
  const place = 2 * Math.sqrt(probability) - 1;
  return `hsl(${place < 0 ? "32 95% 55%" : "205 90% 45%"} / ${0.1 + 0.6 * Math.abs(place)})`;
}

function percent(probability) {
  return (100 * probability).toFixed(probability < 0.0995 ? 2 : 1) + " %";
}

function visible(text) {
  return text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣");
}

/* Tokens and their scores */

const shownTokens = []; // {name, logProbability, likeliest, span, bar}

function clear(prompt) {
  shownTokens.length = 0;
  byId("text").replaceChildren(element("span", { class: "prompt" }, prompt));
  byId("plot").replaceChildren();
  byId("legend").hidden = false;
}

function add(piece, token) {
  const span = element("span", { class: "token", tabindex: "-1" }, piece);
  span.style.backgroundColor = tint(Math.exp(token.logProbability));
  const entry = { ...token, span };
  span.addEventListener("mouseenter", () => point(entry, span));
  span.addEventListener("mouseleave", leave);
  const text = byId("text");
  const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 4;
  text.append(span);
  if (atEnd) text.scrollTop = text.scrollHeight;
  shownTokens.push(entry);
}

function addRest(piece) {
  if (piece) byId("text").append(piece);
}

function point(entry, at) {
  const tip = byId("tip");
  const probability = Math.exp(entry.logProbability);
  const head = `${visible(entry.name)}: ${percent(probability)}, log ${entry.logProbability.toFixed(3)}`;
  tip.replaceChildren(element("div", null, head));
  const most = Math.max(...(entry.likeliest || []).map((one) => one.log_probability));
  for (const one of entry.likeliest || []) {
    const share = Math.exp(one.log_probability);
    const bar = element("div", { class: "bar" });
    bar.style.width = 100 * Math.exp(one.log_probability - most) + "%";
    const row = element("div", { class: "row" + (one.id === entry.id ? " chosen" : "") });
    row.append(element("span", { class: "name" }, visible(one.token)), bar, element("span", { class: "share" }, percent(share)));
    tip.append(row);
  }
  tip.hidden = false;
  const box = at.getBoundingClientRect();
  const left = Math.min(box.left, window.innerWidth - tip.offsetWidth - 12);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = Math.max(8, left) + "px";
  tip.style.top = (above > 8 ? above : box.bottom + 8) + "px";
  entry.span.classList.add("marked");
  if (entry.bar) entry.bar.classList.add("marked");
}

function leave() {
  byId("tip").hidden = true;
  for (const marked of document.querySelectorAll(".marked")) marked.classList.remove("marked");
}

/** Bars of -log p, one a token. */
function plot() {
  const scored = shownTokens.filter((token) => Number.isFinite(token.logProbability));
  if (scored.length === 0) {
    byId("plot").replaceChildren();
    return;
  }
  const letters = scored.length <= 400;
  const step = letters ? Math.max(13, Math.min(26, 760 / scored.length)) : 3;
  const height = 130;
  const left = 34;
  const most = Math.max(1, Math.ceil(Math.max(...scored.map((token) => -token.logProbability))));
  const width = left + step * scored.length + 8;
  const svg = drawn("svg", { width, height: height + 34, role: "img", "aria-label": "Negative log-probability of each token" });
  for (const tick of [0, most / 2, most]) {
    const y = 8 + height * (1 - tick / most);
    svg.append(drawn("line", { class: "axis", x1: left, x2: width, y1: y, y2: y }));
    const label = drawn("text", { x: left - 6, y: y + 3, "text-anchor": "end" });
    label.textContent = Number.isInteger(tick) ? tick : tick.toFixed(1);
    svg.append(label);
  }
  scored.forEach((token, i) => {
    const size = Math.max(1, (height * -token.logProbability) / most);
    const x = left + i * step;
    const bar = drawn("rect", { x: x + 1, y: 8 + height - size, width: Math.max(1, step - 2), height: size, rx: letters ? 2 : 0 });
    bar.style.fill = tint(Math.exp(token.logProbability));
    token.bar = bar;
    bar.addEventListener("mouseenter", () => point(token, bar));
    bar.addEventListener("mouseleave", leave);
    svg.append(bar);
    if (letters && [...token.name].length <= 3) {
      const letter = drawn("text", { class: "letter", x: x + step / 2, y: height + 21, "text-anchor": "middle" });
      letter.textContent = visible(token.name);
      svg.append(letter);
    }
    if (i % 10 === 9 && letters) {
      const place = drawn("text", { x: x + step / 2, y: height + 32, "text-anchor": "middle" });
      place.textContent = i + 1;
      svg.append(place);
    }
  });
  const label = drawn("text", { x: 0, y: height + 32 });
  label.textContent = "−log p";
  svg.append(label);
  byId("plot").replaceChildren(svg);
}

/* Generating and scoring */

function path(verb) {
  return "v1/models/" + encodeURIComponent(byId("model").value) + verb;
}

function number(id) {
  const value = byId(id).valueAsNumber;
  return Number.isNaN(value) ? undefined : value;
}

async function work(name, action) {
  if (running) return;
  running = new AbortController();
  showError(null);
  byId("note").textContent = name;
  byId("stop").hidden = false;
  enable();
  try {
    byId("note").textContent = await action(running.signal);
  } catch (error) {
    byId("note").textContent = error.name === "AbortError" ? "stopped" : "";
    showError(error);
  }
  running = null;
  byId("stop").hidden = true;
  enable();
}

async function generate(signal) {
  const prompt = byId("prompt").value;
  const body = {
    prompt, stream: true, likeliest: LIKELIEST,
    max_tokens: number("tokens"), temperature: number("temperature"), top_k: number("topk"), top_p: number("topp"), seed: number("seed"),
  };
  const start = performance.now();
  const response = await request(path(":generate"), body, signal);
  clear(prompt);
  let first = 0;
  let end = {};
  let drawing = false;
  for await (const data of events(response)) {
    if (data === "[DONE]") continue;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message || event.error);
    if (event.id !== undefined) {
      first = first || performance.now();
      add(event.piece, { id: event.id, name: event.token, logProbability: event.log_probability, likeliest: event.likeliest });
      if (!drawing) {
        drawing = true;
        requestAnimationFrame(() => { drawing = false; plot(); });
      }
    } else if (event.reason !== undefined) {
      end = event;
      addRest(event.piece);
    }
  }
  plot();
  const seconds = (performance.now() - first) / 1000;
  const rate = shownTokens.length > 1 ? `, ${((shownTokens.length - 1) / seconds).toFixed(0)} a second` : "";
  const wait = first ? `, the first after ${Math.round(first - start)} ms` : "";
  return `${shownTokens.length} tokens${rate}${wait}; ended by ${end.reason || "the server"}`;
}

async function score(signal) {
  const prompt = byId("prompt").value;
  const answer = await json(path(":score"), { prompt }, signal);
  const result = answer.results[0];
  clear("");
  const names = result.token_texts;
  result.log_probabilities.forEach((value, i) => {
    // What does not count has 0: the text's begin and end.
    if (value === 0) byId("text").append(element("span", { class: "prompt" }, names[i]));
    else add(names[i], { id: result.tokens[i], name: names[i], logProbability: value });
  });
  plot();
  const perplexity = result.perplexity === null ? "nothing counts" : `perplexity ${result.perplexity.toFixed(3)}`;
  return `${result.counted} tokens, ${perplexity}`;
}

/* The model */

function enable() {
  byId("generate").disabled = running !== null || !card || !card.generates;
  byId("score").disabled = running !== null || !card || !card.scores;
}

function tensors(specs) {
  return Object.entries(specs).map(([name, spec]) => `${name} ${spec}`).join("; ");
}

async function choose() {
  const turn = ++turns;
  card = null;
  enable();
  if (!byId("model").value) return;
  try {
    const answer = await json(path("/card"));
    if (turn !== turns) return; // another was chosen meanwhile
    card = answer;
    showCard();
    showError(null);
  } catch (error) {
    list(byId("card"), []);
    showError(error);
  }
  enable();
}

function showCard() {
  const parts = card.card || {};
  const attention = parts.attention || {};
  const vocabulary = parts.vocabulary || {};
  const used = parts.languageModel || {};
  const from = parts.provenance || {};
  const abilities = ["generates", "scores", "embeds"].filter((ability) => card[ability]);
  list(byId("card"), [
    ["Name", card.name],
    ["Version", card.version],
    ["It", abilities.join(", ") || "predicts"],
    ["Built as", card.summary],
    ["Objective", used.objective],
    ["Attention", !card.summary && attention.kernel && `FAVOR+, kernel ${attention.kernel}, M = ${attention.features}`],
    ["Vocabulary", vocabulary.name || vocabulary.tokenizer],
    ["Tokens at most", used.maxLength],
    ["Imported from", from.importedFrom],
    ["Trained on", from.trainedOn],
    ["Steps", from.steps],
    ["Perplexity", from.metricsAfter && from.metricsAfter.perplexity],
  ]);
  const signatures = Object.entries(card.signatures);
  list(byId("signatures"), signatures.map(([name, one]) => [name, `${tensors(one.inputs)} → ${tensors(one.outputs)}`]));
  byId("more").textContent = `${signatures.length} signature${signatures.length === 1 ? "" : "s"}`;
  if (used.maxLength && number("tokens") > used.maxLength / 2) byId("tokens").value = Math.floor(used.maxLength / 2);
  const note = card.attention
    ? `The signature ${card.attention} gives this model's attention; call :predict with it.`
    : "This model gives no attention map: none of its signatures has an output “attention”.";
  byId("attention").replaceChildren(element("span", { class: "empty" }, note));
  byId("prompt").placeholder = vocabulary.name && vocabulary.name.includes("protein") ? "MKTAYIAKQRQISFVKSHFSRQ" : "";
}

async function loadModels() {
  const answer = await json("v1/models");
  const chosen = byId("model").value;
  const names = answer.data.map((model) => model.id);
  byId("model").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  if (names.includes(chosen)) byId("model").value = chosen;
  await choose();
}

/* Load */

/** Sums of Prometheus' samples by name. */
function sums(text) {
  const found = {};
  for (const line of text.split("\n")) {
    const sample = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$/.exec(line);
    if (sample && !(sample[2] || "").includes('api="control"')) found[sample[1]] = (found[sample[1]] || 0) + Number(sample[3]);
  }
  return found;
}

function time(seconds) {
  return seconds < 1 ? (1000 * seconds).toFixed(1) + " ms" : seconds.toFixed(2) + " s";
}

function bytes(count) {
  return count === undefined ? undefined : count >= 1 << 30 ? (count / (1 << 30)).toFixed(2) + " GB" : Math.round(count / (1 << 20)) + " MB";
}

async function watch() {
  try {
    const now = { time: performance.now(), ...sums(await (await request("metrics")).text()) };
    const seconds = before ? (now.time - before.time) / 1000 : 0;
    const rate = (name) => (before ? Math.max(0, (now[name] || 0) - (before[name] || 0)) / seconds : 0);
    const requests = rate("performer_requests_seconds_count");
    const busy = rate("performer_requests_seconds_sum");
    list(byId("load"), [
      ["Requests", (now.performer_requests_seconds_count || 0).toLocaleString("en")],
      ["A second", requests.toFixed(1)],
      ["Mean time", requests ? time(busy / requests) : "–"],
      ["Running, waiting", `${now.performer_http_running || 0}, ${now.performer_http_queue || 0}`],
      ["Connections", now.performer_http_connections],
      ["Tokens a second", now.performer_text_tokens_total === undefined ? undefined : rate("performer_text_tokens_total").toFixed(1)],
      ["Sessions", now.performer_text_sessions === undefined ? undefined : `${now.performer_text_sessions}, ${bytes(now.performer_text_session_bytes)}`],
      ["Prefix cache", bytes(now.performer_text_cache_bytes)],
      ["Process memory", bytes(now.process_resident_memory_bytes)],
    ]);
    history = [...history, requests].slice(-120);
    before = now;
    showHistory();
    byId("state").className = "ready";
    byId("state").textContent = "connected";
  } catch (error) {
    byId("state").className = "down";
    byId("state").textContent = error.message;
  }
}

function showHistory() {
  const most = Math.max(1, ...history);
  const points = history.map((value, i) => `${(i * 240) / 119},${46 - (44 * value) / most}`).join(" ");
  byId("history").replaceChildren(drawn("line", { x1: 0, x2: 240, y1: 47, y2: 47 }), drawn("polyline", { points }));
}

/* Events */

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!byId("generate").disabled) work("generating …", generate);
});
byId("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit();
});
byId("score").addEventListener("click", () => work("scoring …", score));
byId("stop").addEventListener("click", () => running && running.abort());
byId("model").addEventListener("change", choose);
byId("key").addEventListener("click", openKeyDialog);
byId("dialog").addEventListener("close", () => {
  if (byId("dialog").returnValue !== "use") return;
  sessionStorage.setItem("key", byId("secret").value.trim());
  byId("secret").value = "";
  loadModels().catch(showError);
});

loadModels().catch(showError);
watch();
setInterval(() => { if (!document.hidden) watch(); }, 2000);
