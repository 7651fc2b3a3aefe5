"""What the tables of the report contain. Plain texts: the template escapes them."""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from ..plots.lr_search import draw_lr_search
from ..plots.style import to_bytes
from ..runs.columns import QUANTILES, UPDATE_RATIO
from ..runs.metrics import get_display_name, is_loss
from ..runs.record import FOLDER
from ..runs.run import Run
from ..runs.timeline import RunEvent, RunView
from ..schedules.numbers import is_finite_number
from .chart import MAX_BANDS, MAX_EVENTS, find_measured_groups

#: Rows of a table, at most; of the evaluations those of all runs together.
_MAX_ROWS = 500
_NONE = "–"


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title (`str`): Its heading.
        header (`Sequence[str]`): The names of the columns.
        rows (`Sequence[Sequence[str]]`): The cells.
        note (`str`): A line below it.
        best (`int`, *optional*): The row to mark.
        numbers (`frozenset[int]`): The columns that are numbers, which are aligned at the right.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    best: int | None = None
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """What the report contains of one run; `search_plot` is an image as a data URI, or empty."""

    name: str
    schedule: str
    warnings: Sequence[str]
    tables: Sequence[Table]
    search_plot: str = ""


@dataclass(frozen=True)
class Lead:
    """What a report begins with: a table, and a plot as a data URI."""

    table: Table
    plot: str
    plot_text: str


def make_section(view: RunView, name: str, metric: str | None, num_runs: int = 1) -> Section:
    """Make the tables of one of several runs, judged by a metric."""
    findings = [event for event in view.events if event.is_finding]
    changes = [event for event in view.events if not event.is_finding]
    note = "" if len(changes) <= MAX_EVENTS else f"The chart shows the first {MAX_EVENTS}."
    tables = (
        _phases(view),
        _groups(view.run),
        _lr_search(view.run.lr_search),
        _steps(view.run),
        _events("Events", ["what", "after update", "cause", "change"], changes, note),
        _events("Findings of the loss monitor", ["finding", "after update", "evidence", "details"], findings),
        _evaluations(view, metric, num_runs),
        _configuration(view),
    )
    shown = [_limit(table) for table in tables if table.rows]
    search = view.run.lr_search
    plot = "" if search is None else draw_as_uri(lambda: to_bytes(draw_lr_search(search)))
    return Section(name, view.run.schedule or "", list_warnings(view), shown, plot)


def _lr_search(search: Mapping[str, Any] | None) -> Table:
    """Return the probes of the search for the peak LR."""
    probes = [] if search is None else sorted(search["probes"], key=lambda probe: (probe["updates"], probe["lr"]))
    metric = search and search["metric"]
    header = ["updates", "peak LR", "held-out loss", *([metric] if metric else [])]
    keys = ["updates", "lr", "loss", *(["metric"] if metric else [])]
    rows = [[format_cell(probe[key]) for key in keys] for probe in probes]
    note = ""
    if search is not None:
        cost = sum(probe["updates"] for probe in probes) / search["total"]
        where = f"plausible from {search['low']:.3g} to {search['high']:.3g}; the probes cost {cost:.2g} of the run"
        note = " ".join(
            [f"Found for {search['total']:,} updates: {search['suggestion']:.3g}, {where}.", *search["notes"]]
        )
    return Table("Search for the peak LR", header, rows, note, numbers=frozenset(range(len(header))))


def draw_as_uri(draw: Callable[[], bytes]) -> str:
    """Return a plot, drawn as a PNG file, as a data URI, or an empty text where matplotlib is not installed."""
    try:
        return f"data:image/png;base64,{base64.b64encode(draw()).decode()}"
    except ImportError:
        return ""


def compare_runs(views: Sequence[RunView], names: Sequence[str], metric: str | None) -> Table:
    """Put the runs beside each other, judged by a metric."""
    rows = []
    for view, name in zip(views, names, strict=True):
        run, best = view.run, view.best(metric) if metric else None
        values = run.points(metric)[1].tolist() if metric else []
        peaks = run.starts[-1].get("peaks") if run.starts else None
        peaks = [each for each in peaks if is_finite_number(each)] if isinstance(peaks, list) else []
        rows.append(
            [
                name,
                *((_NONE, _NONE) if best is None else (format_cell(best.value), format_cell(best.step))),
                format_cell(values[-1] if values else None),
                format_cell(view.done) if view.done >= view.end else f"{view.done:,} of {view.end:,}",
                format_cell(max(peaks or run.recorded_lrs()[1], default=None)),
                run.schedule or _NONE,
            ]
        )
    name = get_display_name(metric) if metric else "metric"
    header = ["run", f"best {name}", "at update", f"last {name}", "updates", "peak LR", "schedule"]
    note = _describe_differences([view.run for view in views], names)
    return Table("Comparison", header, rows, note, numbers=frozenset(range(1, 6)))


def _describe_differences(runs: Sequence[Run], names: Sequence[str]) -> str:
    """What makes the runs hard to compare."""
    found = []
    epochs = {name: run.updates_per_epoch for run, name in zip(runs, names, strict=True) if run.updates_per_epoch}
    if len(set(epochs.values())) > 1:
        listed = ", ".join(f"{name} {format_cell(each)}" for name, each in epochs.items())
        found.append(f"The runs have different numbers of updates per epoch; updates per epoch: {listed}.")
    for key in dict.fromkeys(key for run in runs for key in run.metrics):
        lacking = [name for run, name in zip(runs, names, strict=True) if key not in run.metrics]
        if lacking:
            found.append(f"Without {get_display_name(key)}: {', '.join(lacking)}.")
    return " ".join(found)


def list_warnings(view: RunView) -> list[str]:
    """List what is doubtful about a run, or cannot be known."""
    run, found = view.run, list[str]()
    if run.segments:
        notes = (note for curve in view.curves[run.segments[-1].trajectory] for note in curve.notes)
        found += dict.fromkeys(notes)
    found += _count_not_finite(run)
    if lost := run.num_lost:
        lines = "1 line" if lost == 1 else f"{lost} lines"
        found.append(f"{lines} of the record cannot be read: a crash cuts off the last one.")
    if view.done < view.end:
        dotted = " The planned LR is dotted." if run.segments else ""
        found.append(
            f"the run is at update {view.done:,} of {view.end:,}: it is still running, was stopped, or was killed.{dotted}"
        )
    if run.segments and run.segments[0].start:
        found.append(f"the LR before update {run.segments[0].start + 1:,} is not known: the record begins there.")
    if not run.segments and run.recorded_lrs()[0]:
        unit = _clock(run)
        why = f"its schedule counts {unit}" if unit else "it has no record of hf-lrsched"
        found.append(f"the LR is known only where the run logged it, and the points are joined: {why}.")
    elif not run.segments:
        found.append("no LR is drawn: the run's history holds none.")
    return found


def _clock(run: Run) -> str | None:
    rows = (row["trajectory"] for row in run.starts[::-1] if isinstance(row.get("trajectory"), dict))
    unit = next((row.get("unit", "updates") for row in rows), "updates")
    return None if unit == "updates" else str(unit)


def _count_not_finite(run: Run) -> list[str]:
    found: dict[tuple[float, str, int], list[str]] = {}
    for name, rows in (("train", run.train), ("evaluations", run.evaluations)):
        for key, others in rows.others.items():
            for index, value in others.items():
                text = str(value) if key == "not_finite" else f"{key}={value}"
                if value and (key == "not_finite" or isinstance(value, float)):  # NaN and infinity are the floats there
                    found.setdefault((rows.column("step")[index], name, index), []).append(text)
    if not found:
        return []
    count = "1 record holds" if len(found) == 1 else f"{len(found):,} records hold"
    first = min(found)
    return [f"{count} a value that is not finite, the first at update {first[0]:,.0f}: {', '.join(found[first])}."]


def _phases(view: RunView) -> Table:
    rows = []
    for phase in view.phases:
        updates = f"{math.floor(phase.start) + 1:,}–{math.ceil(phase.end):,}"
        rows.append([phase.text, updates, "; ".join(phase.arithmetic) or _NONE])
    note = "" if len(rows) <= MAX_BANDS else f"{len(rows):,} phases: too many to draw."
    return Table("Phases", ["phase", "updates", "lengths"], rows, note)


def _groups(run: Run) -> Table:
    start = run.starts[-1] if run.starts else {}
    own: Sequence[Any] = run.segments[-1].trajectory.settings.own_schedules if run.segments else ()
    columns = [start.get(key) for key in ("num_parameters", "peaks", "weight_decays")]
    lists: list[list[Any]] = [column if isinstance(column, list) else [] for column in columns]
    rows = [
        [str(name), *map(format_cell, numbers), str(schedule) if schedule else "the run's"]
        for name, *numbers, schedule in zip_longest(run.groups, *lists, own)
    ]
    header = ["group", "parameters", "peak LR", "weight decay", "schedule"]
    return Table("Parameter groups", header, rows, numbers=frozenset({1, 2, 3}))


def _steps(run: Run) -> Table:
    """Of each group what was measured last."""
    rows = []
    for name in find_measured_groups(run):
        ratio, *quantiles = (f"{key}/{name}" for key in (UPDATE_RATIO, *QUANTILES))
        latest = next(row for row in reversed(run.step_sizes) if row.keys() & {ratio, *quantiles})
        lrs = run.lrs([latest["step"] - 1]) or {}
        lr = float(lrs[name][0]) if name in lrs else None
        rows.append([name, *map(format_cell, (latest["step"], latest.get(ratio), lr, *map(latest.get, quantiles)))])
    header = ["group", "update", "update / weights", "LR", "effective LR, 5 %", "50 %", "95 %"]
    note = (
        "Update / weights: ‖w_after − w_before‖ / ‖w_before‖ of the group, as the optimizer did it. Effective LR: the "
        "factor of the gradients, over the group's elements."
    )
    return Table("Steps of the latest measured update", header, rows, note, numbers=frozenset(range(1, 7)))


def _events(title: str, header: Sequence[str], events: Sequence[RunEvent], note: str = "") -> Table:
    rows = [[each.kind, f"{each.update:,}", each.cause or _NONE, each.details or _NONE] for each in events]
    return Table(title, header, rows, note, numbers=frozenset({1}))


def _evaluations(view: RunView, metric: str | None, num_runs: int) -> Table:
    run = view.run
    keys = sorted(run.metrics, key=is_loss)
    best = view.best(metric) if metric in keys else None
    rows, max_rows = run.evaluations, max(_MAX_ROWS // num_runs, 20)
    if len(rows) > max_rows:
        every = -(-len(rows) // (max_rows - 2))
        is_best: Any = np.nonzero(rows.column("step") == best.step)[0] if best else []
        rows = rows.select(sorted({*range(0, len(rows), every), len(rows) - 1, *is_best}))
    marked = next((index for index, row in enumerate(rows) if best and row["step"] == best.step), None)
    cells = [[format_cell(row.get(key)) for key in ("step", "epoch", "learning_rate", *keys)] for row in rows]
    notes = [] if marked is None or metric is None else [f"★ best {get_display_name(metric)}."]
    if len(rows) < len(run.evaluations):
        notes.append(f"{len(rows):,} of {len(run.evaluations):,} evaluations.")
    header = ["update", "epoch", "LR used", *map(get_display_name, keys)]
    return Table("Evaluations", header, cells, " ".join(notes), marked, frozenset(range(len(header))))


def _configuration(view: RunView) -> Table:
    run = view.run
    start, settings = (run.starts[-1], run.starts[-1].get("settings")) if run.starts else ({}, None)
    values = {
        "schedule": run.schedule or start.get("scheduler"),
        **{name: start.get(name) for name in ("clock", "optimizer", "model")},
        "updates done": view.done,
        "updates planned": view.end,
        "updates per epoch": run.updates_per_epoch,
        "started": run.starts[0].get("time") if run.starts else None,
    }
    resumes = [(f"resumed at update {format_cell(row.get('step'))}", row.get("time")) for row in run.starts[1:]]
    rows = [*values.items(), *resumes, *(settings.items() if isinstance(settings, dict) else ())]
    cells = [[str(name), format_cell(value)] for name, value in rows]
    note = "" if run.starts else f"A trainer_state.json holds no settings; a {FOLDER} of hf-lrsched does."
    return Table("Configuration", ["setting", "value"], [row for row in cells if row[1] != _NONE], note)


def _limit(table: Table) -> Table:
    if len(table.rows) <= _MAX_ROWS:
        return table
    note = f"{table.note} The first {_MAX_ROWS} of {len(table.rows):,}.".strip()
    return replace(table, rows=table.rows[:_MAX_ROWS], note=note)


def format_cell(value: object) -> str:
    """Write a value as a cell of a table.

    Example:
    ```python
    >>> [format_cell(value) for value in (None, True, 12345, 2e-05, 0.123456789, "text", [1, 2])]
    ['–', 'yes', '12,345', '2e-05', '0.123457', 'text', '[1, 2]']

    ```
    """
    if value is None or value == "":
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)
