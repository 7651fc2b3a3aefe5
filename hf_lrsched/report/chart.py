"""What the chart draws: the lines of each run as data, and what is best among them."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..runs.columns import UPDATE_RATIO, is_step_size
from ..runs.downsample import select_points
from ..runs.metrics import find_main_metric, get_display_name, is_loss
from ..runs.run import Run
from ..runs.timeline import RunView

#: Values of all lines together: ten bytes each.
_MAX_VALUES = 60_000
#: Points of a line, at least and at most.
_MIN_POINTS, _MAX_POINTS = 24, 2000
#: Phases and events of a run that are drawn; the tables say how many there are.
MAX_BANDS, MAX_EVENTS = 400, 200


def make_chart_data(views: Sequence[RunView], names: Sequence[str]) -> dict[str, Any]:
    """Return all that the chart draws, as plain data; arrays as base64 of doubles, which loses no digit.

    Args:
        views (`Sequence[RunView]`): The runs.
        names (`Sequence[str]`): Their names.
    """
    runs = [view.run for view in views]
    lines = sum(2 * (2 + len(run.metrics)) + 1 + len(run.groups) + len(find_measured_groups(run)) for run in runs)
    max_points = int(np.clip(_MAX_VALUES // max(lines, 1), _MIN_POINTS, _MAX_POINTS))
    metrics = list(dict.fromkeys(key for run in runs for key in run.metrics if not is_loss(key)))
    main = find_main_metric(runs)
    return {
        "runs": [_run(view, name, max_points) for view, name in zip(views, names, strict=True)],
        "metrics": [{"key": key, "name": get_display_name(key)} for key in metrics],
        "metric": main if main in metrics else next(iter(metrics), None),
    }


def _run(view: RunView, name: str, max_points: int) -> dict[str, Any]:
    run = view.run
    metrics = {key: _series(run, key, max_points) for key in run.metrics}
    for key, line in metrics.items():
        best = view.best(key)
        if best is not None:
            last = [float(each[-1]) for each in run.points(key)]
            line |= {"best": [best.step, best.value], "isKept": best.is_kept, "last": last}
    stops = run.evaluations.column("step")
    bands = view.phases if len(view.phases) <= MAX_BANDS else []
    changes = [event for event in view.events if not event.is_finding]
    return {
        "name": name,
        "done": view.done,
        "perEpoch": run.updates_per_epoch,
        "metrics": {key: line for key, line in metrics.items() if not is_loss(key)},
        "losses": {get_display_name(key): line for key, line in metrics.items() if is_loss(key)},
        "training": _series(run, "loss", max_points),
        "lr": _lr_lines(view, max_points),
        "steps": _step_lines(run, max_points),
        "stops": encode(stops[select_points([stops], _MAX_POINTS)]),
        "bands": [[band.text, band.start, band.end] for band in bands],
        "events": [[event.update, event.text] for event in changes[:MAX_EVENTS]],
    }


def _series(run: Run, key: str, max_points: int) -> dict[str, Any]:
    return _line(*run.points(key), max_points)


def _line(xs: Any, ys: Any, max_points: int) -> dict[str, Any]:
    x, y = (np.asarray(each, dtype=np.float64) for each in (xs, ys))
    kept = select_points([y], max_points)
    return {"x": encode(x[kept]), "y": encode(y[kept])}


def _lr_lines(view: RunView, max_points: int) -> dict[str, Any] | None:
    """Return the LRs: exactly, where the run has a record; else those of its training records and evaluations, joined."""
    lrs = view.lrs(max_points)
    if not lrs.lines:
        return None
    if not lrs.is_exact:
        lines = [{"groups": line.groups, **_line(line.updates, line.lrs, max_points)} for line in lrs.lines]
        return {"exact": False, "every": True, "lines": lines}
    return {
        "exact": True,
        "every": lrs.is_complete,
        "x": encode(lrs.lines[0].updates + 1.0),  # of all lines; update u = t + 1 uses the LR of t
        "lines": [{"groups": line.groups, "y": encode(line.lrs)} for line in lrs.lines],
    }


def find_measured_groups(run: Run) -> list[str]:
    """List the parameter groups whose steps were measured."""
    keys = run.step_sizes.names
    names = dict.fromkeys(key.partition("/")[2] for key in keys if is_step_size(key))
    return sorted(names, key=lambda name: run.groups.index(name) if name in run.groups else len(run.groups))


def _step_lines(run: Run, max_points: int) -> list[dict[str, Any]]:
    """Return the ratio of update to weights of each group."""
    lines, rows = [], run.step_sizes
    for name in find_measured_groups(run):
        ratios = rows.column(f"{UPDATE_RATIO}/{name}")
        known = ratios > 0  # a logarithmic axis has no place for others
        if known.any():
            lines.append({"groups": [name], **_line(rows.column("step")[known], ratios[known], max_points)})
    return lines


def encode(values: Any) -> str:
    """Encode doubles, little-endian, as base64."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()
