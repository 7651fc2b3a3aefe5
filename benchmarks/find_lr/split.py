"""The settings of the grid in two halves: the method is made on one, and measured once on the other.

The rule was fixed before the method was made: the settings with full runs for at least seven LRs, sorted by name; the
first, third, … are for making the method, the second, fourth, … for measuring it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

ROWS = Path(__file__).with_name("grid.jsonl")
MIN_FULL_RUNS = 7


@dataclass(frozen=True)
class Run:
    """One run of the grid."""

    lr: float
    share: float
    updates: int
    loss: float
    accuracy: float


def read_grid(path: Path = ROWS) -> dict[str, list[Run]]:
    """Read the runs of each setting, sorted by name."""
    runs: dict[str, list[Run]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        run = Run(row["lr"], row["share"], row["updates"], row["loss"], row["accuracy"])
        runs.setdefault(row["setting"], []).append(run)
    return {name: sorted(runs[name], key=lambda run: (run.share, run.lr)) for name in sorted(runs)}


def split_settings(runs: dict[str, list[Run]]) -> tuple[list[str], list[str]]:
    """Return the names of the settings for making the method, and of those for measuring it."""
    known = [name for name in sorted(runs) if sum(run.share == 1.0 for run in runs[name]) >= MIN_FULL_RUNS]
    return known[0::2], known[1::2]
