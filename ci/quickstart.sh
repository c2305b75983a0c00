#!/usr/bin/env bash
# The quickstart does what the README promises: a Python model gets better, and its export computes what the trained graph computed.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/ci
./performer quickstart --json >build/ci/quickstart.out
tail -n 1 build/ci/quickstart.out
tail -n 1 build/ci/quickstart.out | python3 -c '
import json, math, os, sys

try:
    result = json.loads(sys.stdin.read())
except ValueError as error:
    sys.exit(f"quickstart --json: the last line of stdout is not JSON: {error}")
if not isinstance(result, dict):
    sys.exit("quickstart --json: the last line of stdout is not a JSON object")
missing = {"perplexityBefore", "perplexityAfter", "maxOutputDifference", "maxServedDifference", "seconds", "model"} - result.keys()
if missing:
    sys.exit("quickstart --json lacks " + ", ".join(sorted(missing)))

before, after, difference, served = (result[k] for k in ("perplexityBefore", "perplexityAfter", "maxOutputDifference", "maxServedDifference"))
failures = []
# Negated, so that NaN fails; a perplexity is at least 1.
if not (1 <= after <= 0.9 * before < math.inf):
    failures.append(f"perplexity went from {before} to {after}: not down to 0.9 of it")
if not (0 <= difference <= 1e-5):
    failures.append(f"the export differs from the trained graph by {difference}, more than 1e-5")
if not (0 <= served <= 1e-5):
    failures.append(f"over HTTP the export differs from itself by {served}, more than 1e-5")
if not os.path.isfile(os.path.join(result["model"], "saved_model.pb")):
    model = result["model"]
    failures.append(f"no SavedModel at {model}")
if failures:
    sys.exit("quickstart: " + "; ".join(failures))
seconds = result["seconds"]
if seconds > 180:
    print(f"warning: the quickstart took {seconds:.0f} s, more than 180 s; is the machine slow or busy?", file=sys.stderr)
'
