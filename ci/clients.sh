#!/usr/bin/env bash
# Clients of users (examples/) against one server: Python, Java, C and curl, and Go where there is a go. Each prints what ./performer predict
# and generate print for the same model. Needs what ci/interop.sh installs (CLIENTS_PYTHON or INTEROP_PYTHON take another Python with
# tensorflow-serving-api and openai), a C compiler, curl, JDK 17 and Maven; about a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
work="$PWD/build/clients"
rm -rf "$work"
mkdir -p "$work"
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1
python="${CLIENTS_PYTHON:-${INTEROP_PYTHON:-$PWD/build/venv/bin/python}}"

fail() {
  echo "clients: $1" >&2
  exit 1
}
"$python" -c 'import openai, tensorflow, tensorflow_serving.apis' 2>/dev/null || fail "$python has no openai, tensorflow or tensorflow-serving-api; run ci/interop.sh first"

./performer import savedmodels/checkpoints/lm_relu --output "$work/lm" >/dev/null 2>&1
./performer export "$work/lm" --output "$work/base/lm" --version 1 >/dev/null 2>&1

# What the command line makes of it, in the clients' words.
python3 - "$work" <<'PY'
import struct, sys, zipfile
head = str({"descr": "<i4", "fortran_order": False, "shape": (1, 4)}).encode()
head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
with zipfile.ZipFile(f"{sys.argv[1]}/tokens.npz", "w") as out:
    out.writestr("tokens.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + struct.pack("<4i", 1, 2, 3, 4))
PY
./performer predict "$work/lm" --inputs "$work/tokens.npz" --output "$work/logits.npz" >/dev/null 2>&1
python3 - "$work" >"$work/predicted" <<'PY'
import struct, sys, zipfile
data = zipfile.ZipFile(f"{sys.argv[1]}/logits.npz").read("logits.npy")
data = data[10 + struct.unpack("<H", data[8:10])[0]:]
values = struct.unpack(f"<{len(data) // 4}f", data)
size = len(values) // 4
rows = [values[i * size:(i + 1) * size] for i in range(4)]
print("logits 1 4", size)
print("likeliest", *(row.index(max(row)) for row in rows))
print(f"largest {max(values):.4f}")
PY
text="text $(./performer generate "$work/lm" --prompt MKT --tokens 20 --seed 1 2>/dev/null)"
[ "${#text}" -ge 12 ] || fail "the command line generated '$text'"

./performer serve lm="$work/base/lm" --port 0 --grpc-port 0 --json >"$work/ready" 2>"$work/server.log" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
until [ -s "$work/ready" ]; do
  kill -0 "$server" 2>/dev/null || { tail -n 20 "$work/server.log" >&2; fail "no server"; }
  sleep 0.2
done
read -r url address < <(python3 -c 'import json, sys; x = json.load(sys.stdin); print(x["url"], x["grpc"])' <"$work/ready")

# NAME predicted|text|both COMMAND...: prints what the command line does; the largest logit to 1e-4.
same() {
  local name=$1 what=$2
  shift 2
  "$@" >"$work/out" 2>"$work/err" || { tail -n 20 "$work/err" >&2; fail "$name failed"; }
  if [ "$what" != text ]; then
    diff <(grep -v '^largest' "$work/predicted") <(grep -E '^(logits|likeliest)' "$work/out") >&2 || fail "$name predicts something else"
    awk '$1 == "largest" { value[NR] = $2; n++ } END { d = 0; for (i in value) for (j in value) if (value[i] - value[j] > d) d = value[i] - value[j]; exit !(n == 2 && d <= 2e-4) }' \
      "$work/predicted" "$work/out" || fail "$name: the largest logit is another: $(grep -h '^largest' "$work/predicted" "$work/out" | tr '\n' ' ')"
  fi
  if [ "$what" != predicted ]; then
    grep '^text' "$work/out" >"$work/texts" || fail "$name prints no text"
    while IFS= read -r line; do [ "$line" = "$text" ] || fail "$name prints '$line', the command line '$text'"; done <"$work/texts"
  fi
  echo "clients: $name passed"
}

same "Python, REST" both "$python" examples/python/rest.py "$url" lm
same "Python, gRPC" predicted "$python" examples/python/grpc_predict.py "$address" lm
same "Python, OpenAI" text "$python" examples/python/openai_client.py "$url" lm
same "curl" both examples/curl/client.sh "$url" lm
same "Java, REST" both java examples/java/src/main/java/example/RestClient.java "$url" lm
mvn -q -B -f examples/java compile dependency:build-classpath -DincludeScope=runtime "-Dmdep.outputFile=$work/classpath"
same "Java, gRPC" predicted java -cp "examples/java/target/classes:$(cat "$work/classpath")" example.GrpcClient "$address" lm
if command -v go >/dev/null; then
  (cd examples/go && go build -o "$work/goclient" .)
  same "Go, gRPC" predicted "$work/goclient" examples/proto/serving.proto "$address" lm
else
  echo "clients: no go was found, so its client is not run"
fi

# TensorFlow's C library, as the Maven jar and as the Python wheel have it, on an export with variables and one without.
./performer export "$work/lm" --output "$work/frozen" --freeze >/dev/null 2>&1
make -s -C examples/c "PYTHON=$(cd "$(dirname "$(command -v "$python")")" && pwd)/$(basename "$python")" "OUT=$work"
same "C, the wheel's library" predicted "$work/predict" "$work/base/lm/1" serving_default 1 2 3 4
natives="$(find "${JAVACPP_CACHE:-$HOME/.javacpp/cache}" -name libtensorflow_cc.so.2 -path '*tensorflow-core-native-1.1.0-*' -printf '%h\n' -quit)"
rm "$work/predict"
make -s -C examples/c "PYTHON=$(cd "$(dirname "$(command -v "$python")")" && pwd)/$(basename "$python")" "LIBRARIES=$natives" "OUT=$work"
same "C, the jar's library" predicted "$work/predict" "$work/frozen" serving_default 1 2 3 4

kill "$server"
wait "$server" || fail "the server ended with status $?"
echo "clients: passed"
