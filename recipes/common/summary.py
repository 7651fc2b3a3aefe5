"""The table of a run: the learning rate that was used next to the metrics of each evaluation."""

import csv
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hf_lrsched.console import print_text

#: Entries of an evaluation that are no metrics: how long it took.
_TIMES = ("runtime", "samples_per_second", "steps_per_second", "model_preparation_time", "jit_compilation_time")
_TITLES = {"learning_rate": "LR used", "matthews_correlation": "Matthews"}

#: The columns that every table begins with.
_FIRST = ("epoch", "update", "learning_rate", "training_loss", "validation_loss")

Row = dict[str, float | int | None]


def make_rows(log_history: Sequence[dict[str, Any]]) -> list[Row]:
    """Make one row per evaluation: epoch, update, LR used, training loss, validation loss, metrics.

    The training loss is the mean over the updates since the previous evaluation. Without any evaluation there is one row
    per training record. A run that ends early within an epoch may be evaluated twice at its end, which is one row.
    """
    evaluations = list({record["step"]: record for record in log_history if "eval_loss" in record}.values())
    if not evaluations:
        return [_row(record, record["loss"]) for record in log_history if "loss" in record]
    starts = [0, *(record["step"] for record in evaluations)]
    return [
        _row(record, mean_loss(log_history, start, record["step"]))
        for start, record in zip(starts, evaluations, strict=False)
    ]


def mean_loss(log_history: Sequence[dict[str, Any]], start: int, end: int) -> float | None:
    """Return the mean training loss of updates start+1 … end. Each record holds the mean since the previous record."""
    records = [record for record in log_history if "loss" in record]
    starts = [0, *(record["step"] for record in records)]
    within = [
        (record["loss"], record["step"] - first)
        for first, record in zip(starts, records, strict=False)
        if start < record["step"] <= end
    ]
    updates = sum(count for _, count in within)
    return sum(loss * count for loss, count in within) / updates if updates else None


def _row(record: dict[str, Any], training_loss: float | None) -> Row:
    metrics = {
        name: value
        for key, value in record.items()
        if key.startswith("eval_") and (name := key.removeprefix("eval_")) not in ("loss", "learning_rate", *_TIMES)
    }
    row = {
        "epoch": record.get("epoch"),
        "update": record["step"],
        "learning_rate": record.get("eval_learning_rate", record.get("learning_rate")),
        "training_loss": training_loss,
        "validation_loss": record.get("eval_loss"),
        **metrics,
    }
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def write_table(table: Sequence[Row], folder: Path) -> None:
    """Write the rows to `metrics.csv` and `metrics.json`, in full precision."""
    with (folder / "metrics.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _names(table))
        writer.writeheader()
        writer.writerows(table)
    ordered = [{name: row[name] for name in _names(table) if name in row} for row in table]
    (folder / "metrics.json").write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")


def show_table(table: Sequence[Row], title: str, caption: str) -> None:
    """Print the rows as a table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # a file has no width, and no cell may be cut there
    shown = Table(title=title, caption=caption)
    # Columns for each group's LR and for the metrics of each type leave no room for the others; metrics.csv has them.
    names = [name for name in _names(table) if "/" not in name]
    for name in names:
        title = _TITLES.get(name) or " ".join("F1" if word == "f1" else word for word in name.split("_"))
        # A narrow terminal cuts cells at their right; an LR without its exponent would be wrong.
        shown.add_column(title, justify="right", no_wrap=name == "learning_rate")
    for row in table:
        shown.add_row(*(_text(name, row.get(name)) for name in names))
    with console.capture() as capture:
        console.print(shown)
    print_text(capture.get())


def _names(table: Sequence[Row]) -> list[str]:
    """Return the columns in one order, whatever the order of the entries: a resumed run reads them sorted."""
    names = dict.fromkeys(name for row in table for name in row)
    fixed = [name for name in names if name in _FIRST]
    rest = [name for name in names if name not in _FIRST]
    return [*fixed, *sorted(rest, key=lambda name: (name.startswith("lr/"), _natural(name)))]


def _natural(name: str) -> list[Any]:
    """Return a key that sorts layer_2 before layer_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _text(name: str, value: float | int | None) -> str:
    if value is None:
        return "–"
    if name == "learning_rate":
        return f"{value:.3e}"
    if name == "epoch":
        return f"{value:.2f}"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
