"""The settings of the grid in two halves: the method is made on one, and measured once on the other.

The rule was fixed before the method was made: the settings with full runs for at least seven LRs, sorted by name; the
first, third, … are for making the method, the second, fourth, … for measuring it. All of these have AdamW. The settings
with other optimizers, whose full runs came later, are for measuring.
"""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROWS = Path(__file__).with_name("grid.jsonl")
MIN_FULL_RUNS = 7


@dataclass(frozen=True)
class Run:
    """A run of the grid.

    Args:
        lr (`float`): Its peak LR.
        share (`float`): Its length, as a share of a full run.
        updates (`int`): Its length.
        loss (`float`): Of seed 0: what a probe reads.
        accuracy (`float`): The mean of the seeds: what a run in full reaches.
        seeds (`int`): How many there are.
    """

    lr: float
    share: float
    updates: int
    loss: float
    accuracy: float
    seeds: int


def read_grid(path: Path = ROWS) -> dict[str, list[Run]]:
    """Read the runs of each setting, sorted by name."""
    rows: dict[str, dict[tuple[float, float], list[dict[str, Any]]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows.setdefault(row["setting"], {}).setdefault((row["share"], row["lr"]), []).append(row)
    return {name: [_join_seeds(seeds) for _, seeds in sorted(rows[name].items())] for name in sorted(rows)}


def _join_seeds(rows: list[dict[str, Any]]) -> Run:
    first = min(rows, key=lambda row: row["seed"])
    accuracy = statistics.mean(row["accuracy"] for row in rows)
    return Run(first["lr"], first["share"], first["updates"], first["loss"], accuracy, len(rows))


def split_settings(runs: dict[str, list[Run]]) -> tuple[list[str], list[str]]:
    """Return the names of the settings for making the method, and of those for measuring it."""
    known = [name for name in sorted(runs) if sum(run.share == 1.0 for run in runs[name]) >= MIN_FULL_RUNS]
    first = [name for name in known if "/adamw/" in name]
    return first[0::2], first[1::2] + [name for name in known if name not in first]
