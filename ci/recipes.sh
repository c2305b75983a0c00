#!/usr/bin/env bash
# Each shipped recipe, shortened: what it measures moves in the right direction. About three minutes on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."
work="$PWD/build/recipes"
rm -rf "$work"
mkdir -p "$work"

# NAME OUTPUT OPTIONS...: trains, and leaves the last line of its JSON in OUTPUT.json.
short() {
  local recipe="$1" output="$2"
  shift 2
  echo "--- $recipe $*"
  ./performer train "training/$recipe.yaml" --output "$work/$output" --set training.evaluateEvery=0 --set training.checkpointEvery=0 \
    --set training.evaluationBatches=8 --set training.warmupSteps=5 --json "$@" >"$work/$output.out"
  tail -n 1 "$work/$output.out" >"$work/$output.json"
  cat "$work/$output.json"
}

short protein-causal causal --set training.steps=20
short protein-causal causal-exact --run transformer --set training.steps=20
short protein-masked masked --set training.steps=20
short text-bytes text --set training.steps=20
short protein-spans spans --set training.steps=100
short protein-regression regression --set training.steps=120
short pixels pixels --set training.steps=60
short long-range long --set training.steps=400 --set training.warmupSteps=20 # as it is: selecting is learnt all at once, after 100 to 200 steps
short weight-transfer transformer --run transformer --set training.steps=40
short weight-transfer performer --run performer --from "$work/transformer/model" --set training.steps=20
short redraw redraw --run softmax-chi-redraw --set training.steps=40

python3 - "$work" <<'PY'
import json, pathlib, sys

work = pathlib.Path(sys.argv[1])
result = lambda name: json.loads((work / f"{name}.json").read_text())
failures = []

def at_most(what, value, limit):
    if not 0 < value <= limit:  # negated, so that NaN fails
        failures.append(f"{what}: {value}, expected at most {limit}")

# A token of 29 at random has a perplexity of 29, a byte 259, a level 19; a count of letters alone gives 18.4, 29 and 7.6.
for name, limit in [("causal", 19.5), ("causal-exact", 19.5), ("masked", 19.5), ("text", 40), ("pixels", 5.5), ("transformer", 19), ("redraw", 19.5)]:
    after = result(name)["perplexityAfter"]
    at_most(f"{name}: perplexity", after, limit)
    at_most(f"{name}: perplexity over that before", after / result(name)["perplexityBefore"], 0.7)
if not result("long")["accuracyAfter"] >= 0.99:
    failures.append(f"long-range: accuracy {result('long')['accuracyAfter']}, expected at least 0.99")
# Weights were carried over: the Performer begins near where the Transformer ended.
at_most("weight-transfer: perplexity at step 0 over the Transformer's", result("performer")["perplexityBefore"] / result("transformer")["perplexityAfter"], 1.1)
at_most("spans: perplexity", result("spans")["perplexityAfter"], 16)
at_most("regression: error over that of the mean", result("regression")["lossAfter"], 0.3)
sys.exit("\n".join(["recipes:"] + failures) if failures else 0)
PY
echo "recipes: eleven runs went where they should"
