#!/usr/bin/env bash
# Attention alone and a training step of the same model in ours and in other libraries, in turns: bench/peers/run.sh [--out DIR] [--lengths …]
# Packages come from PyPI into virtual environments under build/peers-venv (several GB for PyTorch). One that cannot be installed is left out.
set -euo pipefail
here="$(CDPATH='' cd "$(dirname "$0")" && pwd)"
home="$(CDPATH='' cd "$here/../.." && pwd)"
venvs="${PEERS_VENVS:-$home/build/peers-venv}"
options=()
environment() { # name, packages…
  local name="$1" python="$venvs/$1/bin/python"
  shift
  if [ ! -f "$venvs/$name/installed" ]; then
    python3 -m venv "$venvs/$name" && "$venvs/$name/bin/pip" install -q "$@" && touch "$venvs/$name/installed" ||
      { echo "peers: $* cannot be installed; left out" >&2; return 0; }
  fi
  options+=("--$name" "$python")
}
mkdir -p "$venvs"
environment jax 'jax[cpu]'
environment tensorflow 'tensorflow==2.18.*'
environment torch performer-pytorch numpy
environment garden 'tensorflow==2.18.*' 'tf_keras==2.18.*'
if [ -f "$venvs/garden/installed" ] && [ ! -f "$venvs/garden/models" ]; then # without the hundred packages of its vision models
  "$venvs/garden/bin/pip" install -q --no-deps 'tf-models-official==2.18.0' && touch "$venvs/garden/models" || echo "peers: tf-models-official cannot be installed" >&2
fi
"$home/performer" --version >/dev/null # builds if need be
python3 "$here/attention.py" "${options[@]}" "$@"
exec python3 "$here/bench.py" "${options[@]}" "$@"
