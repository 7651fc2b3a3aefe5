"""How long `hf-lrsched plot` takes, from the shell to the picture.

    python benchmarks/plot.py
    python benchmarks/plot.py --smoke

Whole processes are timed, with the start of Python and all imports: that is what somebody waits who tries it on yesterday's
run. The runs are written by this script: a `trainer_state.json` of 100,000 records, as a stock Trainer with `logging_steps=1`
leaves one, to a `.png` and to an `.svg`; the same run with a record of this pack, whose schedule gives the LR of every one of
1,000,000 updates; four of the first on one picture. The peer is a process that only imports matplotlib and saves a picture
with nothing in it: no picture can be drawn in less. Each is run once to warm the disk's cache, then `--times` times; the bound
is on the slowest.
"""

import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from report import Report, parser

from hf_lrsched import Horizon
from hf_lrsched.runs.record import Segment
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Trajectory

SECONDS_BOUND = 5.0
SCHEDULE = "warmup(5%) >> cosine()"
EMPTY = "import sys; from matplotlib.figure import Figure; f = Figure(dpi=150); f.subplots(); f.savefig(sys.argv[1])"


def rows(count: int, updates: int) -> list[dict[str, float]]:
    """A history of so many records: a training record every few updates, every hundredth an evaluation."""
    source = random.Random(0)
    every = updates / (count - count // 100)
    made: list[dict[str, float]] = []
    for index in range(1, count - count // 100 + 1):
        step = round(index * every)
        p = step / updates
        loss = 2 * math.exp(-3 * p) + 0.3 * source.random()
        common = {"epoch": 3 * p, "step": step}
        made.append({**common, "loss": loss, "grad_norm": source.random(), "learning_rate": 2e-5 * (1 - p)})
        if index % 99 == 0:
            scores = {"eval_loss": 1.5 * math.exp(-3 * p), "eval_accuracy": 1 - math.exp(-3 * p) / 2}
            made.append({**common, **scores, "eval_runtime": 1.0})
    return made


def write_state(folder: Path, records: int) -> Path:
    """The folder of a stock Trainer."""
    folder.mkdir()
    state = {"log_history": rows(records, records), "max_steps": records, "global_step": records}
    (folder / "trainer_state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    return folder


def write_record(folder: Path, records: int, updates: int) -> Path:
    """The folder of a ScheduledTrainer."""
    (folder / "record").mkdir(parents=True)
    trajectory = Trajectory(RunSettings(SCHEDULE, Horizon(updates, updates // 3), (2e-5,)))
    start = {"start": 0, "step": 0, "num_updates": updates, "updates_per_epoch": updates // 3, "groups": ["weights"]}
    start |= {"schedule": SCHEDULE, **Segment(0, trajectory, 0.0, (1.0,)).to_row()}
    history = [{"start": 0, **row} for row in rows(records, updates)]
    files = {
        "run.jsonl": [start],
        "train.jsonl": [row for row in history if "loss" in row],
        "evaluations.jsonl": [row for row in history if "loss" not in row],
    }
    for name, content in files.items():
        (folder / "record" / name).write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return folder


def seconds(command: Sequence[str], times: int, not_counted: int = 1) -> list[float]:
    """What whole processes take, after one that is not counted."""
    taken = []
    for _ in range(not_counted + times):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return taken[not_counted:]


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--times", type=int, default=5, help="how often each is run (default: 5)")
    arguments.add_argument("--smoke", action="store_true", help="small runs, once each: shows that the script works")
    options = arguments.parse_args()
    records, updates = (1_000, 10_000) if options.smoke else (100_000, 1_000_000)
    times = 1 if options.smoke else options.times

    report = Report("From a run to its picture", "plot.py")
    report.text(f"`hf-lrsched plot` on runs of {records:,} records, whole processes, {times} of each.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state, record = write_state(folder / "state", records), write_record(folder / "record", records, updates)
        copies = [write_state(folder / f"run_{index}", records) for index in range(4)]
        plot = [sys.executable, "-m", "hf_lrsched", "plot", "--force", "--output"]
        cases = {
            "an empty picture, by matplotlib alone": [sys.executable, "-c", EMPTY, str(folder / "empty.png")],
            "a trainer_state.json, .png": [*plot, str(folder / "a.png"), str(state)],
            "a trainer_state.json, .svg": [*plot, str(folder / "a.svg"), str(state)],
            f"a record of {updates:,} updates, .png": [*plot, str(folder / "b.png"), str(record)],
            "its heat map, .png": [*plot, str(folder / "c.png"), str(record), "--heat-map"],
            "four runs, .png": [*plot, str(folder / "d.png"), *map(str, copies)],
        }
        table = []
        for case, command in cases.items():
            taken = seconds(command, times, not_counted=0 if options.smoke else 1)
            is_one = "four" not in case and "matplotlib alone" not in case
            holds = report.bound(f"{case}: below {SECONDS_BOUND:g} s", max(taken) < SECONDS_BOUND) if is_one else ""
            table.append([case, f"{statistics.median(taken):.2f}", f"{max(taken):.2f}", holds])
        report.table(["what", "median, s", "slowest, s", f"below {SECONDS_BOUND:g} s"], table)
        sizes = ", ".join(
            f"{path.name} {path.stat().st_size / 1024:.0f} KiB" for path in sorted(folder.glob("[abcd].*"))
        )
        report.text(f"The pictures: {sizes}; the trainer_state.json: {_size(state):.1f} MiB.")
    return report.finish(options.output)


def _size(folder: Path) -> float:
    return (folder / "trainer_state.json").stat().st_size / 2**20


if __name__ == "__main__":
    sys.exit(main())
