#!/usr/bin/env bash
# ./performer serve under malformed requests, a mixed load with cancelled requests and reloads, and kill -9; about a minute and a half.
# SOAK_MINUTES=10 and KILLS=20 make it a night's work. Needs JDK 17, Maven and python3, no packages.
set -euo pipefail
cd "$(dirname "$0")/.."
work=build/serving
rm -rf "$work"
mkdir -p "$work"
encoder=savedmodels/protein-mlm/saved_model
./performer train training/protein-causal.yaml --output "$work/run" --set training.steps=1 --set training.batchTokens=1024 \
  --set training.evaluationBatches=1 >/dev/null 2>"$work/train.log" || {
  cat "$work/train.log" >&2
  exit 1
}
python3 ci/serving/malformed.py "$work/run" "$encoder"
python3 ci/serving/soak.py "$work/run" "$encoder" "${SOAK_MINUTES:-0.3}" "$work/soak"
python3 ci/serving/kills.py "$work/run" "$encoder" "${KILLS:-2}" "$work/kills"
