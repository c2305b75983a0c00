#!/usr/bin/env bash
# Java writes SavedModels, Python's TensorFlow loads, trains and saves them, Java reads them back.
# Needs JDK 17, Maven, and python3 (3.9 to 3.12) with pip; about two minutes after downloads.
# INTEROP_PYTHON=/path/to/python takes an interpreter that has tensorflow 2.18 and tf-keras already.
set -euo pipefail
cd "$(dirname "$0")/.."

work=build/interop
venv=build/venv
packages=("tensorflow==2.18.*" "tf-keras==2.18.*")

find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3.10 python3.9 python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "interop: tensorflow 2.18 needs Python 3.9 to 3.12; found $(python3 --version 2>&1 || true)" >&2
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
  touch "$venv/complete"
}

if [ -n "${INTEROP_PYTHON:-}" ]; then
  python=$INTEROP_PYTHON
else
  [ -e "$venv/complete" ] || make_venv
  python=$venv/bin/python
fi
"$python" -c 'import tensorflow, tf_keras' 2>/dev/null || {
  echo "interop: $python cannot import tensorflow and tf_keras" >&2
  exit 1
}

export TF_CPP_MIN_LOG_LEVEL=3
export CUDA_VISIBLE_DEVICES=-1
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

java_main() {
  run java -cp "$classpath" "dev.performer.savedmodel.$1" "${@:2}"
}

for name in protein_exp keras3_transformer; do
  "$python" -m zipfile -e "$models/$name.zip" "$work/$name"
done
keras2=$work/protein_exp/keras_saved_model
keras3=$work/keras3_transformer/exported_saved_model
java_main InteropExport "$work/java" "$keras2" "$keras3"
for name in traced cut corners; do
  run "$python" ci/interop/check_export.py "$work/java/$name" "$work/python"
done
run "$python" ci/interop/check_replacement.py "$keras2" "$work/java/keras2" layer_with_weights-
run "$python" ci/interop/check_replacement.py "$keras3" "$work/java/keras3" _all_variables/
java_main InteropCheck "$work/java" "$work/python" traced cut
echo "interop: passed"
