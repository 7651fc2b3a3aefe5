"""Reads what `traced_recipe.py` wrote."""

import json
from pathlib import Path

TRACED = Path(__file__).with_name("traced_recipe.py")


def read_trace(trace: Path, rank: int = 0) -> list[dict]:
    path = Path(f"{trace}{rank}")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def traced_lrs(trace: Path, rank: int = 0) -> list[float]:
    """The first group's LR of every update of a process."""
    return [line["lrs"][0] for line in read_trace(trace, rank) if "update" in line]
