"""What the chart draws: the lines of each run as data, and what is best among them."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..runs.columns import UPDATE_RATIO, is_step_size
from ..runs.downsample import Indices, thinned
from ..runs.metrics import is_loss, resolved
from ..runs.record import lrs
from ..runs.run import Run
from ..runs.timeline import best_of, end_of, lrs_of, phases, row_events, updates_used
from ..schedules.shapes import Array

#: Values of all lines together: ten bytes each.
_VALUES = 60_000
#: Points of a line, at most and at least.
_MOST, _LEAST = 2000, 24
#: Longer runs are looked at in so many of their updates.
_LOOKED_AT = 4_000_000
_AT_ONCE = 1 << 17
#: Phases and events of a run that are drawn; tables tell how many there are.
MOST_BANDS, MOST_EVENTS = 400, 200


def chart_data(runs: Sequence[Run], names: Sequence[str]) -> dict[str, Any]:
    """All that the chart draws, as plain data; arrays as base64 of doubles, which loses no digit.

    Args:
        runs (`Sequence[Run]`): The runs.
        names (`Sequence[str]`): What to call them.
    """
    lines = sum(2 * (2 + len(run.metrics)) + 1 + len(_different_groups(run)) + len(step_groups(run)) for run in runs)
    most = int(np.clip(_VALUES // max(lines, 1), _LEAST, _MOST))
    metrics = list(dict.fromkeys(key for run in runs for key in run.metrics))
    return {
        "runs": [_run(run, name, most) for run, name in zip(runs, names, strict=True)],
        "metrics": [{"key": key, "name": metric_name(key)} for key in metrics if not is_loss(key)],
        "metric": main_metric(runs),
    }


def main_metric(runs: Sequence[Run]) -> str | None:
    """The metric to show first: what the first run that says so takes for its best model, else the first that is no loss."""
    keys = dict.fromkeys(key for run in runs for key in run.metrics)
    plain = [key for key in keys if not is_loss(key)]
    for run in runs:
        wanted = resolved(run, run.best_metric) if run.best_metric else None
        if wanted in plain:
            return wanted
    # The one that most runs have.
    return max(plain, key=lambda key: sum(key in run.metrics for run in runs), default=None)


def metric_name(key: str) -> str:
    """`accuracy` for `eval_accuracy`; `validation loss` for `eval_loss`.

    Example:
    ```python
    >>> [metric_name(key) for key in ("eval_f1", "eval_loss", "eval_mnli_loss")]
    ['f1', 'validation loss', 'validation loss, mnli']

    ```
    """
    name = key.removeprefix("eval_")
    if not is_loss(key) or name == key:
        return name
    which = name.removesuffix("loss").rstrip("_")
    return f"validation loss, {which}" if which else "validation loss"


def _run(run: Run, name: str, most: int) -> dict[str, Any]:
    metrics = {key: _series(run, key, most) for key in run.metrics}
    for key, line in metrics.items():
        best = best_of(run, key)
        if best is not None:
            last = [each[-1] for each in run.series(key)]
            line |= {"best": [best.step, best.value], "isKept": best.is_kept, "last": last}
    stops = np.array([row["step"] for row in run.evaluations], dtype=np.float64)
    bands, happened = phases(run), row_events(run)
    return {
        "name": name,
        "done": updates_used(run),
        "perEpoch": run.updates_per_epoch,
        "metrics": {key: line for key, line in metrics.items() if not is_loss(key)},
        "losses": {metric_name(key): line for key, line in metrics.items() if is_loss(key)},
        "training": _series(run, "loss", most),
        "lr": _lr_lines(run, most),
        "steps": _step_lines(run, most),
        "stops": encoded(stops[thinned([stops], _MOST)]),
        "bands": [[band.text, band.start, band.end] for band in bands] if len(bands) <= MOST_BANDS else [],
        "events": [[event.step, event.text] for event in happened[:MOST_EVENTS]],
    }


def _series(run: Run, key: str, most: int) -> dict[str, Any]:
    steps, values = (np.array(each, dtype=np.float64) for each in run.series(key))
    kept = thinned([values], most)
    return {"x": encoded(steps[kept]), "y": encoded(values[kept])}


def _lr_lines(run: Run, most: int) -> dict[str, Any] | None:
    """The LRs: exactly, where the run has a record; else those of its training records and evaluations, joined."""
    if not run.segments:
        lines = []
        for name, (steps, values) in lrs_of(run).used.items():
            kept = thinned([values], most)
            lines.append({"groups": [name], "x": encoded(steps[kept]), "y": encoded(values[kept])})
        return {"exact": False, "every": True, "lines": lines} if lines else None
    groups = _different_groups(run)
    updates, total = _updates_to_draw(run, [same[0] for same in groups], most)
    found = lrs(run.segments, updates.astype(np.float64))
    names = [*run.groups, *(f"group_{index}" for index in range(len(run.groups), len(found)))]
    return {
        "exact": True,
        "every": len(updates) == total,
        "x": encoded(updates + 1.0),  # of all lines; update u = t + 1 uses the LR of t
        "lines": [{"groups": [names[index] for index in same], "y": encoded(found[same[0]])} for same in groups],
    }


def step_groups(run: Run) -> list[str]:
    """The parameter groups whose steps were measured."""
    keys = dict.fromkeys(key for row in run.step_sizes for key in row)
    names = dict.fromkeys(key.partition("/")[2] for key in keys if is_step_size(key))
    return sorted(names, key=lambda name: run.groups.index(name) if name in run.groups else len(run.groups))


def _step_lines(run: Run, most: int) -> list[dict[str, Any]]:
    """The ratio of update to weights of each group."""
    lines = []
    for name in step_groups(run):
        points = [(row["step"], row.get(f"{UPDATE_RATIO}/{name}")) for row in run.step_sizes]
        known = [(step, value) for step, value in points if isinstance(value, int | float) and value > 0]
        if known:
            steps, values = np.array(known, dtype=np.float64).T
            kept = thinned([values], most)
            lines.append({"groups": [name], "x": encoded(steps[kept]), "y": encoded(values[kept])})
    return lines


def _different_groups(run: Run) -> list[list[int]]:
    """The parameter groups, those together that have the same LR at every update."""
    found: dict[Any, list[int]] = {}
    for index in range(len(run.segments[-1].scales) if run.segments else 0):
        key = tuple(
            (
                segment.trajectory.settings.schedules[index],
                segment.trajectory.settings.peaks[index],
                segment.scales[index],
                segment.trajectory.rewarm and segment.trajectory.rewarm.lrs[index],
            )
            for segment in run.segments
        )
        found.setdefault(key, []).append(index)
    return list(found.values())


def _updates_to_draw(run: Run, groups: Sequence[int], most: int) -> tuple[Indices, int]:
    """Updates, counted from 0: every one of a short run; of a longer one so many, with its extremes and jumps."""
    first, total = run.segments[0].start, max(end_of(run), 1)  # what was before the record begins is not known
    if total - first <= most:
        return np.arange(first, total), total - first
    every = max((total - first) / _LOOKED_AT, 1)
    updates = np.unique((first + np.arange(0, total - first, every)).astype(np.int64))
    kept_updates: list[Indices] = []
    kept_lines: list[list[Array]] = []
    for begin in range(0, len(updates), _AT_ONCE):  # 28 groups of a long run would not fit into memory at once
        here = updates[begin : begin + _AT_ONCE]
        found = lrs(run.segments, here.astype(np.float64))
        lines = [found[group] for group in groups]
        kept = thinned(lines, most)
        kept_updates.append(here[kept])
        kept_lines.append([line[kept] for line in lines])
    looked_at = np.concatenate(kept_updates)
    kept = thinned([np.concatenate(parts) for parts in zip(*kept_lines, strict=True)], most)
    # The LR beside each evaluation, and where the line turns from what was used to what is planned.
    steps = np.array([row["step"] for row in run.evaluations], dtype=np.float64)
    beside = steps[thinned([steps], most)].astype(np.int64)
    wanted = np.append(beside, [updates_used(run), total]) - 1
    return np.union1d(looked_at[kept], wanted.clip(first, total - 1)), total - first


def encoded(values: Any) -> str:
    """Doubles, little-endian, as base64."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()
