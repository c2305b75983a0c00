"""Compares what TensorBoard reads of a run directory with its metrics.jsonl."""
import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
events = EventAccumulator(str(run)).Reload()
files = list(run.glob("events.out.tfevents.*"))
if len(files) != 2:
    sys.exit(f"{run} has {len(files)} event files, expected one for each of its two parts")
compared = 0
for line in (run / "metrics.jsonl").read_text().splitlines():
    entry = json.loads(line)
    for name, value in entry.items():
        if name in ("kind", "step", "guesses", "sequences", "seconds"):
            continue
        found = [e.value for e in events.Scalars(f"{entry['kind']}/{name}") if e.step == entry["step"]]
        if len(found) != 1 or abs(found[0] - value) > 1e-6 * max(1, abs(value)):
            sys.exit(f"step {entry['step']}: {entry['kind']}/{name} is {value}, TensorBoard has {found}")
        compared += 1
if compared < 60:
    sys.exit(f"only {compared} numbers compared")
print(f"TensorBoard reads all {compared} numbers of {run}", file=sys.stderr)
