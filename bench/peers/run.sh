#!/usr/bin/env bash
# A training step of the same model in ours, JAX, TensorFlow and performer-pytorch, in turns: bench/peers/run.sh [--out DIR] [--lengths …]
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
"$home/performer" --version >/dev/null # builds if need be
exec python3 "$here/bench.py" "${options[@]}" "$@"
