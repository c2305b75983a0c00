#!/usr/bin/env bash
# The README's test command: compiles, runs the tests but the slow ones, checks the format, packages. Arguments are more of Maven's.
set -euo pipefail
cd "$(dirname "$0")/.."
exec mvn -B verify "$@"
