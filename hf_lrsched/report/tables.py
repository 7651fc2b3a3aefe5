"""What the tables of the report say. Plain texts: the page escapes them."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from ..runs.columns import QUANTILES, UPDATE_RATIO
from ..runs.metrics import is_loss
from ..runs.record import FILES, FOLDER, Row, read_rows
from ..runs.run import Run
from ..runs.timeline import best_of, end_of, phases, row_events, updates_used
from ..schedules.numbers import is_number
from .chart import MOST_BANDS, MOST_EVENTS, metric_name, step_groups

#: Rows of a table, at most; of the evaluations those of all runs together.
_MOST_ROWS = 500
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
        numbers (`frozenset[int]`): The columns that are numbers, which stand to the right.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    best: int | None = None
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """What is said of a run."""

    name: str
    schedule: str
    warnings: Sequence[str]
    tables: Sequence[Table]


def section(run: Run, name: str, metric: str | None, share: int = 1) -> Section:
    """The tables of one of `share` runs."""
    made = (
        _phases(run),
        _groups(run),
        _steps(run),
        _events(run),
        _evaluations(run, metric, share),
        _configuration(run),
    )
    tables = [table for table in made if table.rows]
    return Section(name, run.schedule or "", warnings(run), tables)


def comparison(runs: Sequence[Run], names: Sequence[str], metric: str | None) -> Table:
    """The runs beside each other."""
    rows = []
    for run, name in zip(runs, names, strict=True):
        best = best_of(run, metric) if metric else None
        steps, values = run.series(metric) if metric else ([], [])
        peaks = run.starts[-1].get("peaks") if run.starts else None
        peak = max((each for each in peaks if is_number(each)), default=None) if isinstance(peaks, list) else None
        done, planned = updates_used(run), _planned(run)
        rows.append(
            [
                name,
                _NONE if best is None else shown(best.value),
                _NONE if best is None else shown(best.step),
                shown(values[-1]) if steps else _NONE,
                shown(done) if done >= planned else f"{shown(done)} of {shown(planned)}",
                shown(max(run.recorded_lrs()[1], default=None) if peak is None else peak),
                run.schedule or _NONE,
            ]
        )
    what = metric_name(metric) if metric else "metric"
    header = ["run", f"best {what}", "at update", f"last {what}", "updates", "peak LR", "schedule"]
    return Table("Comparison", header, rows, _differences(runs, names), numbers=frozenset(range(1, 6)))


def _differences(runs: Sequence[Run], names: Sequence[str]) -> str:
    """What makes the runs hard to compare."""
    found = []
    epochs = {name: run.updates_per_epoch for run, name in zip(runs, names, strict=True) if run.updates_per_epoch}
    if len(set(epochs.values())) > 1:
        told = ", ".join(f"{name} {shown(each)}" for name, each in epochs.items())
        found.append(f"An update is not the same share of an epoch; updates per epoch: {told}.")
    for key in dict.fromkeys(key for run in runs for key in run.metrics):
        lacking = [name for run, name in zip(runs, names, strict=True) if key not in run.metrics]
        if lacking:
            found.append(f"Without {metric_name(key)}: {', '.join(lacking)}.")
    return " ".join(found)


def warnings(run: Run) -> list[str]:
    """What is doubtful about a run, or can't be known."""
    found: list[str] = []
    if run.segments:
        notes = [note for curve in run.segments[-1].trajectory.curves() for note in curve.notes]
        found += dict.fromkeys(notes)
    found += _not_finite(run)
    if lost := _lost_rows(run):
        found.append(
            f"{lost} {'line' if lost == 1 else 'lines'} of the record can't be read: a crash tears the last one."
        )
    if updates_used(run) < _planned(run):
        dotted = " The planned LR is dotted." if run.segments else ""
        found.append(
            f"the run is at update {updates_used(run):,} of {_planned(run):,}: it goes on, was stopped, or was killed.{dotted}"
        )
    if run.segments and run.segments[0].start:
        found.append(f"the LR before update {run.segments[0].start + 1:,} is not known: the record begins there.")
    if not run.segments and run.recorded_lrs()[0]:
        unit = _clock(run)
        why = f"its schedule counts {unit}" if unit else "it has no record of hf-lrsched"
        found.append(f"the LR is known at the run's records alone, and joined between them: {why}.")
    elif not run.segments:
        found.append("no LR is drawn: the run's history holds none.")
    return found


def _planned(run: Run) -> int:
    return end_of(run) if run.segments else max(run.num_updates, run.updates_done)


def _clock(run: Run) -> str | None:
    trajectory: Row = next(
        (row["trajectory"] for row in run.starts[::-1] if isinstance(row.get("trajectory"), dict)), {}
    )
    unit = trajectory.get("unit", "updates")
    return None if unit == "updates" else str(unit)


def _not_finite(run: Run) -> list[str]:
    rows = [(row, strange) for row in (*run.train, *run.evaluations) if (strange := _strange(row))]
    if not rows:
        return []
    first, values = rows[0]
    many = f"{len(rows):,} records hold" if len(rows) > 1 else "1 record holds"
    return [f"{many} what is no finite number, the first at update {shown(first.get('step'))}: {values}."]


def _strange(row: Row) -> str:
    if row.get("not_finite"):
        return str(row["not_finite"])
    return ", ".join(
        f"{key}={value}" for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)
    )


def _lost_rows(run: Run) -> int:
    """Lines of the record's files that are no rows."""
    lost = 0
    for name in FILES:
        file = run.path / name
        if run.starts and file.is_file():
            with file.open("rb") as lines:
                lost += sum(1 for line in lines if line.strip()) - len(read_rows(file))
    return lost


def _phases(run: Run) -> Table:
    found = phases(run)
    curves = [segment.trajectory.curves()[0] for segment in run.segments[:: max(len(run.segments) - 1, 1)]]
    lengths = {part.text: "; ".join(part.arithmetic) for curve in curves for part in curve.parts}
    rows = [
        [
            phase.text,
            f"{shown(math.floor(phase.start) + 1)}–{shown(math.ceil(phase.end))}",
            lengths.get(phase.text, _NONE),
        ]
        for phase in found
    ]
    note = "" if len(found) <= MOST_BANDS else f"{len(found):,} phases: too many to draw."
    return _cut(Table("Phases", ["phase", "updates", "lengths"], rows, note))


def _groups(run: Run) -> Table:
    start = run.starts[-1] if run.starts else {}
    own: Sequence[Any] = run.segments[-1].trajectory.settings.own if run.segments else ()
    given = [start.get(key) for key in ("num_parameters", "peaks", "weight_decays")]
    columns: list[list[Any]] = [column if isinstance(column, list) else [] for column in given]
    rows = [
        [str(name), shown(parameters), shown(peak), shown(decay), str(schedule) if schedule else "the run's"]
        for name, parameters, peak, decay, schedule in zip_longest(run.groups, *columns, own)
    ]
    header = ["group", "parameters", "peak LR", "weight decay", "schedule"]
    return _cut(Table("Parameter groups", header, rows, numbers=frozenset({1, 2, 3})))


def _steps(run: Run) -> Table:
    """Of each group what was measured last."""
    rows = []
    for name in step_groups(run):
        keys = [f"{key}/{name}" for key in (UPDATE_RATIO, *QUANTILES)]
        latest = next(row for row in reversed(run.step_sizes) if any(key in row for key in keys))
        lrs = run.lrs([latest["step"] - 1]) or {}
        lr = float(lrs[name][0]) if name in lrs else None
        rows.append(
            [name, *(shown(value) for value in (latest["step"], latest.get(keys[0]), lr, *map(latest.get, keys[1:])))]
        )
    header = ["group", "update", "update / weights", "LR", "effective LR, 5 %", "50 %", "95 %"]
    note = (
        "Update / weights: ‖w_after − w_before‖ / ‖w_before‖ of the group, as the optimizer did it. Effective LR: what "
        "multiplies the gradients, over the group's elements."
    )
    return _cut(Table("Steps of the latest measured update", header, rows, note, numbers=frozenset(range(1, 7))))


def _events(run: Run) -> Table:
    found = row_events(run)
    rows = [[event.kind, shown(event.step), event.cause or _NONE, event.details or _NONE] for event in found]
    note = "" if len(found) <= MOST_EVENTS else f"The chart shows the first {MOST_EVENTS}."
    return _cut(Table("Events", ["what", "after update", "cause", "change"], rows, note, numbers=frozenset({1})))


def _evaluations(run: Run, metric: str | None, share: int) -> Table:
    keys = sorted(run.metrics, key=is_loss)
    metric = metric if metric in run.metrics else next(iter(keys), None)
    best = best_of(run, metric) if metric else None
    rows, marked = run.evaluations, None
    most = max(_MOST_ROWS // share, 20)
    if len(rows) > most:
        every = -(-len(rows) // (most - 2))
        kept = {*range(0, len(rows), every), len(rows) - 1}
        rows = [row for index, row in enumerate(rows) if index in kept or (best and row["step"] == best.step)]
    cells: list[list[str]] = []
    for row in rows:
        if best and row["step"] == best.step:
            marked = len(cells)
        cells.append([shown(row.get(key)) for key in ("step", "epoch", "learning_rate", *keys)])
    note = "" if len(rows) == len(run.evaluations) else f"{len(rows):,} of {len(run.evaluations):,} evaluations."
    if marked is not None and metric is not None:
        note = f"★ best {metric_name(metric)}. {note}".strip()
    header = ["update", "epoch", "LR used", *map(metric_name, keys)]
    return Table("Evaluations", header, cells, note, marked, frozenset(range(len(header))))


def _configuration(run: Run) -> Table:
    start = run.starts[-1] if run.starts else {}
    settings = start.get("settings")
    rows: list[list[str]] = [
        ["schedule", run.schedule or shown(start.get("scheduler"))],
        ["clock", shown(start.get("clock"))],
        ["optimizer", shown(start.get("optimizer"))],
        ["model", shown(start.get("model"))],
        ["updates done", shown(updates_used(run))],
        ["updates planned", shown(_planned(run))],
        ["updates per epoch", shown(run.updates_per_epoch)],
        ["started", shown(run.starts[0].get("time")) if run.starts else _NONE],
        *([f"resumed at update {shown(row.get('step'))}", shown(row.get("time"))] for row in run.starts[1:]),
        *([str(key), shown(value)] for key, value in (settings if isinstance(settings, dict) else {}).items()),
    ]
    note = "" if run.starts else f"A trainer_state.json holds no settings; a {FOLDER} of hf-lrsched does."
    return _cut(Table("Configuration", ["setting", "value"], [row for row in rows if row[1] != _NONE], note))


def _cut(table: Table) -> Table:
    if len(table.rows) <= _MOST_ROWS:
        return table
    note = f"{table.note} The first {_MOST_ROWS} of {len(table.rows):,}.".strip()
    return Table(table.title, table.header, table.rows[:_MOST_ROWS], note, table.best, table.numbers)


def shown(value: object) -> str:
    """A value as a cell of a table shows it.

    Example:
    ```python
    >>> [shown(value) for value in (None, True, 12345, 2e-05, 0.123456789, "text", [1, 2])]
    ['–', 'yes', '12,345', '2e-05', '0.123457', 'text', '[1, 2]']

    ```
    """
    if value is None or value == "":
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)
