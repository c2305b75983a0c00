#!/usr/bin/env bash
# Where the time of the last `mvn test` or `mvn verify` went: the slowest classes as a Markdown table. Tests of one run share the cores, so compare within a run.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 - "${1:-20}" <<'PY'
import pathlib
import sys
import xml.etree.ElementTree as tree

suites = []
for report in pathlib.Path("target/surefire-reports").glob("TEST-*.xml"):
    suite = tree.parse(report).getroot()
    slowest = max(suite.iter("testcase"), key=lambda case: float(case.get("time")), default=None)
    suites.append((float(suite.get("time")), suite, slowest))
if not suites:
    sys.exit("target/surefire-reports holds no reports; run mvn test first")
total = sum(seconds for seconds, _, _ in suites)
print(f"{len(suites)} classes, {total:.0f} s in all processes together\n")
print("| class | tests | seconds | share | slowest test |\n|---|---|---|---|---|")
for seconds, suite, slowest in sorted(suites, key=lambda entry: -entry[0])[: int(sys.argv[1])]:
    name = suite.get("name").removeprefix("dev.performer.")
    worst = "" if slowest is None else f"{slowest.get('name')}, {float(slowest.get('time')):.0f} s"
    print(f"| {name} | {suite.get('tests')} | {seconds:.0f} | {100 * seconds / total:.0f} % | {worst} |")
PY
