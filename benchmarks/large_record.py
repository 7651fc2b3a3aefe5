"""How long `hf-lrsched plot` and `report` take for a record of 250 MB, and how much memory.

    PYTHONPATH=. python benchmarks/large_record.py [--output benchmarks/results/large_record.md]

The record is written by this script: a training record for each update, an evaluation for every thousandth, as a run with
`logging_steps=1` leaves them. Bounds: 15 seconds and 500 MB each, the import of matplotlib or Plotly included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hf_lrsched.runs.record import Segment
from hf_lrsched.schedules import Horizon
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Trajectory

MAX_SECONDS, MAX_MEGABYTES = 15.0, 500.0
#: Measures one command in a process of its own, whose peak memory is then that of its only child.
MEASURE = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
MEASURE += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def write_record(folder: Path, megabytes: int) -> int:
    """Write a record of so many megabytes; return its updates."""
    row = '{"start":0,"step":%d,"epoch":%.6f,"loss":%.6f,"grad_norm":%.6f,"learning_rate":%.12g}\n'
    updates = megabytes * 1_000_000 // 107
    trajectory = Trajectory(RunSettings("warmup(10%) >> linear()", Horizon(updates, updates // 10), (2e-5,)))
    start = {"start": 0, "step": 0, "num_updates": updates, "groups": ["weights"], "peaks": [2e-5]}
    folder.mkdir(parents=True)
    (folder / "run.jsonl").write_text(json.dumps(start | Segment(0, trajectory, 0.0, (1.0,)).to_row()) + "\n")
    with (folder / "train.jsonl").open("w") as file:
        for step in range(1, updates + 1):
            lr = 2e-5 * (1 - step / updates)
            file.write(row % (step, 10 * step / updates, 0.2 + step % 997 / 1000, 1 + step % 89 / 100, lr))
    with (folder / "evaluations.jsonl").open("w") as file:
        for step in range(1000, updates + 1, 1000):
            metrics = {"eval_loss": 0.5 + step % 7 / 100, "eval_accuracy": 0.8 + step % 11 / 100}
            file.write(json.dumps({"start": 0, "step": step, "epoch": 10 * step / updates, **metrics}) + "\n")
    return updates


def measure(*command: str) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory in megabytes."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, int(done.stdout) * 1024 / 1e6  # Linux counts kibibytes


def main() -> None:
    """Write the record, measure both commands, print the table; exit with 1 where a bound is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=250)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "run", "record")
        updates = write_record(record, arguments.megabytes)
        size = sum(file.stat().st_size for file in record.iterdir()) / 1e6
        lines = [f"A record of {size:.0f} MB, {updates:,} training records.", ""]
        lines += ["| command | seconds | memory, MB | bounds |", "|---|---|---|---|"]
        is_within = True
        for command, ending in (("plot", "png"), ("report", "html")):
            output = str(Path(folder, f"run.{ending}"))
            seconds, memory = measure(
                sys.executable, "-m", "hf_lrsched", command, str(record.parent), "--output", output
            )
            is_within &= seconds <= MAX_SECONDS and memory <= MAX_MEGABYTES
            lines.append(f"| `{command}` | {seconds:.1f} | {memory:.0f} | {MAX_SECONDS:g} s, {MAX_MEGABYTES:g} MB |")
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output is not None:
        arguments.output.write_text("# Plot and report of a large record\n\n" + text, encoding="utf-8")
    sys.exit(0 if is_within else 1)


if __name__ == "__main__":
    main()
