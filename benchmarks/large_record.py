"""How long `hf-lrsched plot` and `report` take for a record of 250 MB, and how much memory.

    python benchmarks/large_record.py
    python benchmarks/large_record.py --smoke

The record is written by this script: a training record for each update, an evaluation for every thousandth, as a run with
`logging_steps=1` leaves them. Bounds: 15 seconds of CPU and 500 MB each, the import of matplotlib or Plotly included.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from report import Report, parser

from hf_lrsched.runs.record import Segment
from hf_lrsched.schedules import Horizon
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Trajectory

MAX_SECONDS, MAX_MEGABYTES = 15.0, 500.0
#: Measures one command in a process of its own, whose peak memory is then that of its only child.
MEASURE = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
MEASURE += "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime, used.ru_maxrss)"


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
    """Run a command; return its seconds of CPU and its peak memory in megabytes."""
    done = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, text=True, check=True)
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory * 1024 / 1e6  # Linux counts kibibytes


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--megabytes", type=int, default=250, help="the size of the record (default: 250)")
    arguments.add_argument("--smoke", action="store_true", help="a record of 2 MB: shows that the script works")
    options = arguments.parse_args()
    report = Report("Plot and report of a large record", "large_record.py")
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "run", "record")
        updates = write_record(record, 2 if options.smoke else options.megabytes)
        size = sum(file.stat().st_size for file in record.iterdir()) / 1e6
        report.text(f"A record of {size:.0f} MB with {updates:,} training records; whole processes, seconds of CPU.")
        table = []
        for command, ending in (("plot", "png"), ("report", "html")):
            output = str(Path(folder, f"run.{ending}"))
            seconds, memory = measure(
                sys.executable, "-m", "hf_lrsched", command, str(record.parent), "--output", output
            )
            is_within = seconds <= MAX_SECONDS and memory <= MAX_MEGABYTES
            holds = report.bound(f"{command}: at most {MAX_SECONDS:g} s and {MAX_MEGABYTES:g} MB", is_within)
            table.append([f"`{command}`", f"{seconds:.1f}", f"{memory:.0f}", holds])
        bounds = f"at most {MAX_SECONDS:g} s, {MAX_MEGABYTES:g} MB"
        report.table(["command", "CPU, s", "memory, MB", bounds], table)
    return report.finish(options.output)


if __name__ == "__main__":
    sys.exit(main())
