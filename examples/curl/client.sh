#!/usr/bin/env bash
# A server asked with curl: client.sh http://127.0.0.1:8501 lm
# Needs curl, and jq or python3 to take answers apart.
set -euo pipefail
url=$1 model=$2

pick() { # JQ_PROGRAM PYTHON_EXPRESSION: of the JSON x on stdin
  if command -v jq >/dev/null; then jq -r "$1"; else python3 -c "import json, sys; x = json.load(sys.stdin); print($2)"; fi
}
ask() { # PATH JSON
  curl -sS --fail-with-body --max-time 60 -H 'Content-Type: application/json' -d "$2" "$url/v1/$1"
}

logits=$(ask "models/$model:predict" '{"signature_name": "serving_default", "instances": [{"tokens": [1, 2, 3, 4]}]}')
echo "logits $(pick '"\(.predictions | length) \(.predictions[0] | length) \(.predictions[0][0] | length)"' \
  'len(x["predictions"]), len(x["predictions"][0]), len(x["predictions"][0][0])' <<<"$logits")"
echo "likeliest $(pick '[.predictions[0][] | index(max)] | join(" ")' '*(r.index(max(r)) for r in x["predictions"][0])' <<<"$logits")"
printf 'largest %.4f\n' "$(pick '[.predictions[0][] | max] | max' 'max(map(max, x["predictions"][0]))' <<<"$logits")"

# -N shows each token as it comes.
text=""
while IFS= read -r line; do
  case "$line" in
    "data: [DONE]"*) break ;;
    "data: "*) text+=$(pick '.choices[0].text' 'x["choices"][0]["text"]' <<<"${line#data: }") ;;
  esac
done < <(curl -sS -N --max-time 60 -H 'Content-Type: application/json' \
  -d "{\"model\": \"$model\", \"prompt\": \"MKT\", \"max_tokens\": 20, \"seed\": 1, \"stream\": true}" "$url/v1/completions")
echo "text MKT$text"
