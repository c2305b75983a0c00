#!/usr/bin/env bash
# Runs every ./performer and curl command that README.md and docs/ show, in the order of the files, in a scratch folder. Options that only
# make a run smaller are appended to the commands that would take minutes. A server runs until the next one, or the end of its file.
set -euo pipefail
cd "$(dirname "$0")/.."
home="$PWD"
work="$home/build/docs"
rm -rf "$work"
mkdir -p "$work/docs"

# The shipped models and data under the names that the docs use, and stand-ins for the reader's own files.
ln -s "$home/savedmodels" "$home/training" "$work/"
cp "$home/training/data/family_test.fasta.gz" "$work/X.fasta.gz"
cp -r "$home/savedmodels/protein-mlm/saved_model" "$work/MODEL"
python3 - "$work" <<'PY'
import csv, gzip, pathlib, random, struct, sys, zipfile

def npy(kind, shape, data):
    head = str({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data

def npz(path, **arrays):
    with zipfile.ZipFile(path, "w") as out:
        for name, (kind, shape, values) in arrays.items():
            out.writestr(name + ".npy", npy("<" + kind, shape, struct.pack(f"<{len(values)}{kind[0]}", *values)))

random.seed(1)
work = pathlib.Path(sys.argv[1])
normal = lambda n: [random.gauss(0, 1) for _ in range(n)]
qkv = {name: ("f4", (1, 50, 2, 16), normal(1600)) for name in "qkvg"}
npz(work / "qkv.npz", **qkv)
npz(work / "tokens.npz", tokens=("i4", (1, 8), [1, 2, 3, 28, 5, 6, 7, 26]))
ids = [random.randrange(4, 25) for _ in range(20 * 8)]
npz(work / "maps.npz", tokens=("i4", (20, 8), ids), target=("i4", (20, 8), ids[::-1]))
with gzip.open(work / "training/data/isoelectric_valid.csv.gz", "rt") as rows, open(work / "acidity.csv", "w") as classes:
    classes.write("sequence,label\n")
    for row in csv.DictReader(rows):
        classes.write(f"{row['sequence']},{'acidic' if float(row['pI']) < 7 else 'basic'}\n")
PY

smaller() {
  case "$1" in
    *" reproduce"*) echo "--only pixels --budget 5s --output build/reproduce-$count" ;;
    *" train "*) echo "--set training.steps=3 --set training.batchTokens=1024 --set data.length=64 --set training.evaluationBatches=1" ;;
    *" quickstart"*) echo "--steps 4 --output build/quickstart" ;;
    *"favor-stages"*) echo "--set stages.0.training.steps=1 --set stages.1.training.steps=1 --set stages.2.training.steps=1 --set data.length=48 --set evaluation.sequences=16" ;;
    *" --teacher"*) echo "--set training.steps=2 --set data.length=48 --set evaluation.sequences=16" ;;
    *" approximate --model"*) echo "--sequences 4 --length 48" ;;
    *" fine-tune"*" --task "* | *" --loss "*) echo "--steps 4 --batch-size 8 --length 64 --evaluate-every 2 --evaluation-batches 2" ;;
    *" fine-tune"*) echo "--steps 4 --length 64 --batch-tokens 2048 --evaluate-every 2 --checkpoint-every 2" ;;
    *" devices "*) echo "--no-compile" ;; # ModelDevicesTest compiles
    *" bench"*) echo "--lengths 64,128 --rounds 2" ;;
    *" approximate"*) echo "--length 128 --draws 2 --features 16,32" ;;
  esac
}

# Starts a server on a free port; without arguments one of what the docs of REST name.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
server=""
stop() {
  if [ -n "$server" ]; then kill "$server" && wait "$server"; fi
  server=""
}
trap 'kill $server 2>/dev/null || true' EXIT
serve() {
  stop
  if [ $# = 0 ]; then
    mkdir -p protein && ln -sfn "$home/savedmodels/protein-mlm/saved_model" protein/3
    echo '{"modelConfigList": {"config": [{"name": "protein", "basePath": "protein", "versionLabels": {"stable": 3}}]}}' >models.config
    set -- --models models.config
  fi
  rm -f serve.log
  "$home/performer" serve "$@" --port "$port" --no-grpc >serve.log &
  server=$!
  until grep -qs '^ready' serve.log; do
    kill -0 "$server" || { echo "docs: the server did not start" >&2; exit 1; }
    sleep 0.2
  done
}

count=0
cd "$work"
# Lines of fenced blocks that start with ./performer; a backslash joins the next line; a comment or a prompt is cut off.
while IFS= read -r line; do
  case "$line" in
    *attend*) line="${line//X.npz/qkv.npz}" ;;
    *" --context "*) line="${line%% --context*} --context 16,64" ;; # smaller() has sequences of 64
    *" bench "*--lengths*) line="${line%% --lengths*}" ;; # smaller() has others
    *) line="${line//X.npz/tokens.npz}" ;;
  esac
  case "$line" in
    "#file") stop; continue ;;
    *" --python "*) continue ;; # ci/interop.sh has a Python with the converters
    "./performer serve "*) echo "--- $line"; eval "serve ${line#./performer serve }"; count=$((count + 1)); continue ;;
    *"curl "*)
      if [ -z "$server" ]; then serve; fi
      line="${line//localhost:8501/localhost:$port}"
      line="${line//curl /curl -sS --fail-with-body }"
      ;;
  esac
  line="${line//.\/performer/$home/performer}"
  extra="$(smaller "$line")"
  echo "--- $line $extra"
  eval "$line $extra" </dev/null
  count=$((count + 1))
done < <(for file in "$home/README.md" "$home"/docs/*.md; do
  sed -e ':a' -e '/\\$/{N;s/\\\n */ /;ba}' "$file" | sed -n '/^```/,/^```/p' |
    sed -n -e 's/^\(\$ \)\{0,1\}\([A-Z_]*=[^ ]* \)\{0,1\}\(\.\/performer .*\)$/\3/p' -e '/^\(ID=$(\)\{0,1\}curl /p' | sed 's/  *#.*//'
  echo '#file'
done | awk '$0 == "#file" || !seen[$0]++')
stop
[ "$count" -gt 5 ] || { echo "docs: only $count commands found" >&2; exit 1; }
echo "docs: $count commands ran"
