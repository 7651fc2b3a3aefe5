"""A run that is looked at afterwards: from its record, or from any trainer_state.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..schedules import ScheduleError
from ..schedules.shapes import Array
from .record import FOLDER, RUN, Record, Row, Segment, lrs

STATE = "trainer_state.json"

#: Entries of an evaluation that are no metrics.
_SPEEDS = ("runtime", "samples_per_second", "steps_per_second", "model_preparation_time", "jit_compilation_time")
_KEYS = ("step", "epoch", "start", "learning_rate", "not_finite", "num_input_tokens_seen")


@dataclass(frozen=True)
class Run:
    """What is known of a run.

    Args:
        name (`str`): What to call it: its folder's name.
        path (`Path`): Where it was read from.
        train (`list[dict]`): Training records: `step`, `epoch`, `loss`, `learning_rate`, `grad_norm`, …, in order.
        evaluations (`list[dict]`): One for each update that was evaluated, all evaluation sets together: `step`, `epoch`,
            the metrics by their names, `learning_rate` and `lr/<group>` where they are known.
        events (`list[dict]`): What changed the LR: `kind`, `t` (updates done), `cause`, …
        step_sizes (`list[dict]`): What [`StepSizes`] measured: `step`, `update_ratio/<group>`, `effective_lr_p50/<group>`, …
        segments (`list[Segment]`): What every update's LRs follow from; empty where it is not known.
        starts (`list[dict]`): The starts of a run with a record: the first, and each resume.
        num_updates (`int`): Updates done so far, or planned where more are.
        updates_per_epoch (`float`, *optional*): Updates in an epoch.
        best_step (`int`, *optional*): The update of the best model, where the Trainer kept one.
        best_metric (`str`, *optional*): The metric that says what is best.
        greater_is_better (`bool`, *optional*): Of that metric.
    """

    name: str
    path: Path
    train: list[Row]
    evaluations: list[Row]
    events: list[Row] = field(default_factory=list)
    step_sizes: list[Row] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    starts: list[Row] = field(default_factory=list)
    num_updates: int = 0
    updates_per_epoch: float | None = None
    best_step: int | None = None
    best_metric: str | None = None
    greater_is_better: bool | None = None

    @property
    def updates_done(self) -> int:
        """The last update of which anything is known."""
        return max((int(row["step"]) for row in (*self.train, *self.evaluations)), default=0)

    @property
    def schedule(self) -> str | None:
        """The schedule's text, where the run has a record."""
        return self.segments[-1].trajectory.settings.schedule if self.segments else None

    @property
    def groups(self) -> list[str]:
        """The names of the parameter groups, where they are known."""
        if self.starts and self.starts[-1].get("groups"):
            return [str(name) for name in self.starts[-1]["groups"]]
        return list(
            dict.fromkeys(key.removeprefix("lr/") for row in self.evaluations for key in row if key.startswith("lr/"))
        )

    @property
    def metrics(self) -> list[str]:
        """The metrics of the evaluations, in their order: `eval_loss`, …"""
        keys = dict.fromkeys(
            key for row in self.evaluations for key, value in row.items() if isinstance(value, int | float)
        )
        return [
            key
            for key in keys
            if key not in _KEYS
            and not key.startswith("lr/")
            and not key.endswith(_SPEEDS)
            and not key.startswith("train_")
        ]

    def series(self, key: str) -> tuple[list[int], list[float]]:
        """The updates and values of a training record's key, or of a metric; what is no finite number is left out."""
        rows = (
            self.evaluations
            if any(key in row for row in self.evaluations) and key not in ("loss", "grad_norm")
            else self.train
        )
        points = [(int(row["step"]), float(row[key])) for row in rows if isinstance(row.get(key), int | float)]
        points = [point for point in points if np.isfinite(point[1])]
        return [step for step, _ in points], [value for _, value in points]

    def lrs(self, updates: Sequence[int] | Array) -> dict[str, Array] | None:
        """The LR that each update (counted from 0) used, by group, exactly; `None` where only the records are known.

        It is NaN for the updates before a record that begins with a resume from another folder.
        """
        if not self.segments:
            return None
        found = lrs(self.segments, np.asarray(updates, dtype=np.float64))
        names = self.groups
        return {names[index] if index < len(names) else f"group_{index}": lr for index, lr in enumerate(found)}

    def recorded_lrs(self) -> tuple[list[int], list[float]]:
        """The LRs of the first group that the records hold, each at the update (counted from 1) that used it."""
        rows = sorted(
            (row for row in (*self.train, *self.evaluations) if isinstance(row.get("learning_rate"), int | float)),
            key=lambda row: row["step"],
        )
        found = {int(row["step"]): float(row["learning_rate"]) for row in rows}
        return list(found), list(found.values())


def read_run(path: str | Path) -> Run:
    """Reads a run's folder, one of its checkpoints, its record's folder, or a trainer_state.json.

    A record says most and is preferred; of several, the newest. Else the Trainer's own `trainer_state.json` is read, that of
    the newest checkpoint where the folder itself has none.

    Raises:
        ScheduleError: There is no run at the path, or its file is damaged.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise ScheduleError(f"no such file or folder: {path}.")
    if path.is_file():
        return _from_state(path, path.resolve().parent.name or path.stem)
    if (path / RUN).exists():
        return _from_record(path, path.parent)
    records = sorted((each for each in path.glob(f"{FOLDER}*") if (each / RUN).exists()), key=_number)
    if records:
        return _from_record(records[-1], path)
    for state in _states(path):
        return _from_state(state, path.resolve().name)
    raise ScheduleError(
        f"{path} is not a run's folder: it has no {FOLDER}/{RUN}, no {STATE} and no checkpoint-*/{STATE}."
    )


def _states(run: Path) -> list[Path]:
    """The Trainer's own states in a run's folder: that of the run itself first, then those of its checkpoints, newest first."""
    checkpoints = sorted(run.glob(f"checkpoint-*/{STATE}"), key=lambda each: -_number(each.parent))
    return [state for state in (run / STATE, *checkpoints) if state.exists()]


def _number(path: Path) -> int:
    digits = path.name.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 1


def _from_record(folder: Path, run: Path) -> Run:
    record = Record.read(folder)
    if not record.starts:
        raise ScheduleError(f"{folder / RUN} has no row that can be read: the run ended before its first update.")
    try:
        segments = record.segments() or []
    except (KeyError, TypeError, ValueError) as error:
        raise ScheduleError(f"{folder} is damaged: {error!r}.") from error
    last = record.starts[-1]
    settings = last.get("settings") or {}
    state = _state_of(run, record)
    return Run(
        name=run.resolve().name,
        path=folder,
        train=_in_order(record.train),
        # What was evaluated after the end of the training is in the Trainer's state alone.
        evaluations=_together([*_evaluations(state.get("log_history", [])), *record.evaluations]),
        events=record.events,
        step_sizes=_in_order(record.step_sizes),
        segments=segments,
        starts=record.starts,
        num_updates=int(last.get("num_updates") or 0),
        updates_per_epoch=last.get("updates_per_epoch"),
        best_step=state.get("best_global_step"),
        best_metric=settings.get("metric_for_best_model"),
        greater_is_better=settings.get("greater_is_better"),
    )


def _state_of(run: Path, record: Record) -> Row:
    """The Trainer's own state, where the run has come to write one: that of an earlier run in the folder is none."""
    known = {(row.get("step"), row.get("loss")) for row in record.train}
    for path in _states(run)[:2]:
        try:
            state = _read_state(path)
        except ScheduleError:
            continue
        state["log_history"] = [row for row in state["log_history"] if isinstance(row, dict)]
        train = [row for row in state["log_history"] if "loss" in row]
        if train and (train[-1].get("step"), train[-1]["loss"]) in known:
            return state
    return {}


def run_of_history(log_history: Sequence[Mapping[str, Any]], name: str = "", path: str | Path = "") -> Run:
    """A run as the Trainer's own history tells it: `trainer.state.log_history`, or that of a trainer_state.json.

    Args:
        log_history (`Sequence[Mapping]`): Its records; what has no `step` is left out.
        name (`str`, *optional*): What to call the run.
        path (`str` or `Path`, *optional*): Where it was read from.

    Example:
    ```python
    >>> run = run_of_history([{"step": 5, "loss": 0.7, "learning_rate": 2e-5}, {"step": 5, "eval_accuracy": 0.8}])
    >>> run.metrics, run.series("loss"), run.recorded_lrs()
    (['eval_accuracy'], ([5], [0.7]), ([5], [2e-05]))

    ```
    """
    history = [dict(row) for row in log_history if isinstance(row, Mapping) and isinstance(row.get("step"), int)]
    train = [row for row in history if "loss" in row]
    steps, epochs = [], []
    for row in history:
        if isinstance(row.get("epoch"), int | float) and row["epoch"] > 0:
            steps.append(row["step"])
            epochs.append(row["epoch"])
    return Run(
        name=name,
        path=Path(path),
        train=_in_order(train),
        evaluations=_together(_evaluations(history)),
        updates_per_epoch=steps[-1] / epochs[-1] if steps else None,
    )


def _from_state(path: Path, name: str) -> Run:
    state = _read_state(path)
    run = run_of_history(state["log_history"], name, path)
    # The state has the value of the best metric and not its name: it is the one that had this value at that update.
    best_step, best = state.get("best_global_step"), state.get("best_metric")
    at_best = next((row for row in run.evaluations if row["step"] == best_step), {})
    return replace(
        run,
        num_updates=int(state.get("max_steps") or 0),
        best_step=best_step,
        best_metric=next((key for key in run.metrics if best is not None and at_best.get(key) == best), None),
    )


def _evaluations(history: list[Row]) -> list[Row]:
    """The records of evaluations, without the evaluation set's name before the LR."""
    return [
        {_without_prefix(key): value for key, value in row.items()}
        for row in history
        if "loss" not in row
        and "train_runtime" not in row
        and any(key.endswith("_runtime") or key.startswith("eval_") for key in row)
    ]


def _without_prefix(key: str) -> str:
    for name in ("learning_rate", "lr/"):
        prefix, found, rest = key.partition(f"_{name}")
        if found and prefix.startswith("eval"):
            return name + rest
    return key


def _read_state(path: Path) -> Row:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ScheduleError(f"{path} is not a text file: {error.reason} at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise ScheduleError(
            f"{path} is no whole JSON: {error.msg} at line {error.lineno}, character {error.colno}."
        ) from error
    except OSError as error:
        raise ScheduleError(f"{path} can't be read: {error.strerror}.") from error
    if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
        raise ScheduleError(f"{path} is no trainer_state.json: it has no log_history.")
    return state


def _in_order(rows: list[Row]) -> list[Row]:
    """By update; of two for one update the later one."""
    found = {int(row["step"]): row for row in rows if isinstance(row.get("step"), int)}
    return [found[step] for step in sorted(found)]


def _together(rows: list[Row]) -> list[Row]:
    """The rows of several evaluation sets at one update as one."""
    found: dict[int, Row] = {}
    for row in rows:
        if isinstance(row.get("step"), int):
            found.setdefault(row["step"], {}).update(row)
    return [found[step] for step in sorted(found)]
