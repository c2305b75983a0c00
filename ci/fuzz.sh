#!/usr/bin/env bash
# Damaged files for every reader and for predict: ci/fuzz.sh [SECONDS [SEED [TARGET]]], 60 seconds from seed 1 without arguments.
# The same seeds make the same files. What fails is kept in target/fuzz/failures, with the command that makes it again.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target/fuzz
mvn -q -B -DskipTests test-compile dependency:build-classpath -DincludeScope=test -Dmdep.outputFile=target/fuzz/classpath
export TF_CPP_MIN_LOG_LEVEL=2 TF_ENABLE_ONEDNN_OPTS=1
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -cp "target/test-classes:target/classes:$(cat target/fuzz/classpath)" \
  dev.performer.fuzz.Fuzz target/fuzz "${@:-60}"
