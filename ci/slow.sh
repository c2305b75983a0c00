#!/usr/bin/env bash
# The tests tagged "slow", which `mvn verify` leaves out; finding none is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
exec mvn -B -Dtest.groups=slow -Dtest.excludedGroups= -DfailIfNoTests=true test-compile surefire:test
