#!/usr/bin/env bash
# The tests tagged "slow", which `mvn verify` leaves out.
set -euo pipefail
cd "$(dirname "$0")/.."
exec mvn -B -Dtest.groups=slow -Dtest.excludedGroups= test-compile surefire:test
