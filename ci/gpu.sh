#!/usr/bin/env bash
# An NVIDIA GPU against the CPU, in one command (about five minutes): attention with gradients, predictions, generation, training and its
# loss curve, then speed. Needs a GPU, a JDK, Python 3, and CUDA 12 with cuDNN 9 or PERFORMER_PROFILE=gpu-redist.
#   ci/gpu.sh                  all of it
#   ci/gpu.sh prepare FOLDER   what a machine without network needs: copy FOLDER there and run FOLDER/ci/gpu.sh
#   ci/gpu.sh dry              the same with a second CPU in the GPU's place, and small sizes: whether this script works
#   ci/gpu.sh kernels          the list of GPU kernels in the jar against TensorFlow's library for GPUs; needs no GPU
set -euo pipefail
cd "$(dirname "$0")/.."
home="$PWD"
work="$home/build/gpu"
what="${1:-all}"
export PERFORMER_PROFILE="${PERFORMER_PROFILE-gpu}" TF_CPP_MIN_LOG_LEVEL=3

fail() {
  echo "gpu: $1" >&2
  exit 1
}
note() { echo "gpu: $1, $SECONDS s"; }

case "$what" in
  all | dry) [ $# -le 1 ] || fail "$what takes no argument" ;;
  kernels)
    [ -d target/test-classes ] || mvn -q -B test-compile
    mkdir -p "$work"
    mvn -q -B -Pgpu dependency:build-classpath -Dmdep.includeScope=test "-Dmdep.outputFile=$work/classpath"
    exec java -Dorg.bytedeco.javacpp.maxPhysicalBytes=0 -cp "target/test-classes:target/classes:$(cat "$work/classpath")" \
      dev.performer.graph.GpuKernelList check 2> >(grep '^gpu:' >&2)
    ;;
  prepare)
    target="${2:?ci/gpu.sh prepare FOLDER}"
    [ ! -e "$target/lib" ] || fail "$target/lib exists; name a new folder"
    ./performer --version >/dev/null
    built="target/launcher/performer${PERFORMER_PROFILE:+-$PERFORMER_PROFILE}"
    mkdir -p "$target/lib" "$target/ci"
    tr ':' '\n' <"$built.classpath" | xargs -I{} cp {} "$target/lib/"
    cp "$built.jar" "$target/lib/performer.jar"
    cp -r performer savedmodels training "$target/"
    cp ci/gpu.sh "$target/ci/"
    echo "gpu: $(du -sh "$target" | cut -f1) in $target; copy it to the machine with the GPU and run ci/gpu.sh there"
    exit
    ;;
  *) fail "prepare, dry and kernels are known, not $what" ;;
esac

rm -rf "$work"
mkdir -p "$work/cpu" "$work/gpu"
command -v python3 >/dev/null || fail "no python3 was found, which compares the results"

# What the two sides are, and that they are what they shall be.
gpu="${CUDA_VISIBLE_DEVICES-0}"
if [ "$what" = dry ]; then gpu=-1; fi
CUDA_VISIBLE_DEVICES=$gpu ./performer devices --json >"$work/devices.json" 2>"$work/devices.log" || {
  tail -n 5 "$work/devices.log" >&2
  fail "./performer devices failed"
}
python3 - "$work/devices.json" "$what" <<'PY' || exit 1
import json, sys
machine = json.load(open(sys.argv[1]))["machine"]
gpus = [d for d in machine["devices"] if d["type"] == "GPU"]
if not gpus and sys.argv[2] != "dry":
    library = [] if machine["libraryForGpus"] else ["TensorFlow's library for GPUs (PERFORMER_PROFILE=gpu)"]
    missing = ", ".join(library + machine["missingCuda"]) or "a GPU that CUDA sees"
    sys.exit(f"gpu: TensorFlow has no GPU on this machine; missing: {missing}; PERFORMER_PROFILE=gpu-redist brings all but the driver")
for d in gpus:
    print(f"gpu: {d['name']}, {d['memoryBytes'] / 1e9:.1f} GB")
PY

# Inputs.
python3 - "$work" <<'PY'
import random, struct, sys, zipfile
random.seed(1)
def npy(kind, shape, data):
    head = str({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data
shape = (2, 130, 2, 16)
with zipfile.ZipFile(sys.argv[1] + "/qkv.npz", "w") as out:
    for name in "qkvg":
        values = [random.gauss(0, 0.7) for _ in range(2 * 130 * 2 * 16)]
        out.writestr(name + ".npy", npy("<f4", shape, struct.pack(f"<{len(values)}f", *values)))
with zipfile.ZipFile(sys.argv[1] + "/tokens.npz", "w") as out:
    values = [random.randrange(4, 25) for _ in range(4 * 64)]
    out.writestr("tokens.npy", npy("<i4", (4, 64), struct.pack("<256i", *values)))
PY

# NAME COMMAND...: runs it in both folders, the CPU's first; float32 products are float32 on the GPU, too.
both() {
  local name=$1 side
  shift
  for side in cpu gpu; do
    (
      cd "$work/$side"
      export NVIDIA_TF32_OVERRIDE=0 CUDA_VISIBLE_DEVICES=-1
      if [ "$side" = gpu ]; then CUDA_VISIBLE_DEVICES=$gpu; fi
      "$home/performer" "$@" >"$name.out" 2>"$name.err"
    ) || {
      tail -n 5 "$work/$side/$name.err" >&2
      fail "$name failed on the $side"
    }
  done
}

# NAME FILE TOLERANCE: the largest difference, relative to the largest value of each array, or to each loss.
compare() {
  python3 - "$work/cpu/$2" "$work/gpu/$2" "$1" "$3" <<'PY' || exit 1
import ast, json, struct, sys, zipfile
def arrays(path):
    with zipfile.ZipFile(path) as file:
        for name in sorted(file.namelist()):
            data = file.read(name)
            size = struct.unpack("<H", data[8:10])[0]
            head = ast.literal_eval(data[10:10 + size].decode())
            kind = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q"}[head["descr"]]
            values = data[10 + size:]
            yield name, struct.unpack(f"<{len(values) // struct.calcsize(kind)}{kind}", values)
def losses(path):
    lines = [json.loads(line) for line in open(path)]
    for line in lines:
        if "loss" in line:
            yield f"{line['kind']} {line['step']}", (line["loss"],)
cpu, gpu, name, tolerance = *sys.argv[1:4], float(sys.argv[4])
read = losses if cpu.endswith(".jsonl") else arrays
a, b = list(read(cpu)), list(read(gpu))
if [n for n, _ in a] != [n for n, _ in b] or not a:
    sys.exit(f"gpu: {name}: the CPU has {[n for n, _ in a]}, the GPU {[n for n, _ in b]}")
worst = 0
for (what, x), (_, y) in zip(a, b):
    scale = max(map(abs, x)) or 1
    here = max(abs(p - q) for p, q in zip(x, y)) / scale
    if not here <= tolerance:  # not a number, too
        sys.exit(f"gpu: {name}: {what} differs by {here:.1e} of {scale:.3g}, more than {tolerance:g}")
    worst = max(worst, here)
print(f"gpu: {name}: {len(a)} equal within {worst:.1e}")
PY
}

# Attention, forward and backward.
for kernel in softmax hyperbolic relu; do
  both "attend-$kernel" attend ../qkv.npz --output "$kernel.npz" --kernel "$kernel" --causal
  compare "causal $kernel attention with gradients" "$kernel.npz" 2e-4
done
both attend-favor attend ../qkv.npz --output "favor.npz" --kernel favor++
compare "favor++ attention with gradients" favor.npz 2e-4
both attend-exact attend ../qkv.npz --output exact.npz --exact
compare "exact attention with gradients" exact.npz 2e-4

# Models: Python's, and one of ours that generates.
both predict predict "$home/savedmodels/protein-mlm/saved_model" --inputs ../tokens.npz --output predicted.npz
compare "predictions of a Keras model" predicted.npz 1e-4
both import import "$home/savedmodels/checkpoints/lm_relu" --output lm
both predict-lm predict lm --inputs ../tokens.npz --output lm.npz
compare "predictions of a language model" lm.npz 1e-4
both generate generate lm --prompt MKT --tokens 40 --greedy
cmp -s "$work/cpu/generate.out" "$work/gpu/generate.out" || fail "generation: the CPU and the GPU write different texts"
note "generation: the same 40 tokens"

# Training: the same steps on both, then the precision that GPUs are for.
steps=40
if [ "$what" = dry ]; then steps=6; fi
data="$home/training/data"
both train fine-tune lm --data "$data/family_train.fasta.gz" --validation "$data/family_test.fasta.gz" --output run --steps $steps \
  --length 64 --batch-tokens 1024 --evaluate-every 0 --evaluation-batches 2
compare "losses of $steps steps" run/metrics.jsonl 5e-3

both mixed train "$home/training/protein-causal.yaml" --output mixed --set training.precision=bfloat16 --set training.steps=$steps \
  --set model.layers=2 --set model.hiddenSize=128 \
  --set training.batchTokens=2048 --set data.length=128 --set training.evaluateEvery=0 --set training.evaluationBatches=2 \
  --set training.logEvery=2 --set training.diagnosticsEvery=0
compare "losses of $steps steps in bfloat16" mixed/metrics.jsonl 3e-2
note "results agree"

# NAME COMMAND...: measures on the GPU, with what float32 products it has by itself.
measure() {
  local name=$1
  shift
  if (cd "$work/gpu" && CUDA_VISIBLE_DEVICES=$gpu "$home/performer" "$@" >"$name.out" 2>"$name.err"); then
    grep '|' "$work/gpu/$name.out" || true
    note "$name: measured"
    return
  fi
  tail -n 3 "$work/gpu/$name.err" >&2
  return 1
}
lengths=1024,4096,16384
if [ "$what" = dry ]; then lengths=64,128; fi
measure attention bench --lengths $lengths --timeout 2 || fail "attention was not measured"
lengths=${lengths%,*}
measure training bench --train --compute plain,bfloat16 --lengths $lengths --timeout 2 || fail "training was not measured"
# XLA for GPUs needs ptxas and libdevice of a CUDA toolkit besides what TensorFlow needs.
measure compiled bench --train --compute xla --attention relu --lengths 1024 --timeout 2 ||
  echo "gpu: XLA did not compile for this GPU; install a CUDA 12 toolkit and name it in XLA_FLAGS=--xla_gpu_cuda_data_dir=FOLDER"
if [ "$what" = dry ]; then
  echo "gpu: dry run passed in $SECONDS s: both sides were the CPU"
else
  echo "gpu: passed in $SECONDS s"
fi
