"""A run that is read back: from its record, or from any trainer_state.json."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from ..schedules import ScheduleError
from ..schedules.metric_names import is_metric
from ..schedules.numbers import is_finite_number
from ..schedules.shapes import Array
from .checkpoints import TRAINER_STATE, list_checkpoints, read_trainer_state
from .record import FOLDER, RUN, SETFIT_LOSS, Record, Segment, lrs
from .rows import Row, Rows

logger = logging.getLogger(__name__)

#: A larger trainer_state.json is not read beside a record, which holds the same records in less memory.
_MAX_STATE_BYTES = 20_000_000

#: What plots and reports read of a search for the peak LR.
_SEARCH_KEYS = {"suggestion", "low", "high", "total", "probes", "valleys", "metric", "notes"}


@dataclass(frozen=True)
class Run:
    """What is known of a run.

    Args:
        name (`str`): Its folder's name.
        path (`Path`): Where it was read from.
        train (`Rows`): Training records, to be read like a list of dicts: `step`, `epoch`, `loss`, `learning_rate`, `grad_norm`,
            …, in order.
        evaluations (`Rows`): One for each update that was evaluated, all evaluation sets together: `step`, `epoch`, the
            metrics by their names, `learning_rate` and `lr/<group>` where they are known.
        events (`list[dict]`, defaults to `[]`): What changed the LR: `kind`, `t` (updates done), `cause`, …
        step_sizes (`Rows`, defaults to `Rows()`): What [`StepSizes`] measured: `step`, `update_ratio/<group>`,
            `effective_lr_p50/<group>`, …
        segments (`list[Segment]`, defaults to `[]`): What every update's LRs follow from; empty where that is not known.
        starts (`list[dict]`, defaults to `[]`): The starts of a run with a record: the first, and each resume.
        num_updates (`int`, defaults to 0): Updates done so far, or planned where more are.
        updates_per_epoch (`float`, *optional*): Updates in an epoch.
        best_step (`int`, *optional*): The update of the best model, where the Trainer kept one.
        best_metric (`str`, *optional*): The metric by which a model is the best one.
        greater_is_better (`bool`, *optional*): Of that metric.
        num_lost (`int`, defaults to 0): Lines of the record that cannot be read.
    """

    name: str
    path: Path
    train: Rows
    evaluations: Rows
    events: list[Row] = field(default_factory=list)
    step_sizes: Rows = field(default_factory=Rows)
    segments: list[Segment] = field(default_factory=list)
    starts: list[Row] = field(default_factory=list)
    num_updates: int = 0
    updates_per_epoch: float | None = None
    best_step: int | None = None
    best_metric: str | None = None
    greater_is_better: bool | None = None
    num_lost: int = 0

    @cached_property
    def recorded_updates(self) -> Array:
        """The updates of which anything is known, in order."""
        steps = np.concatenate([rows.column("step") for rows in (self.train, self.evaluations)])
        return np.sort(steps[np.isfinite(steps)])

    @property
    def updates_done(self) -> int:
        """The last update of which anything is known."""
        return int(self.recorded_updates[-1]) if len(self.recorded_updates) else 0

    @property
    def schedule(self) -> str | None:
        """The schedule's text, where the run has a record."""
        return self.segments[-1].trajectory.settings.schedule if self.segments else None

    @property
    def lr_search(self) -> Row | None:
        """The search that found the peak LR, as [`LRSearch.to_data`] has it, where the run began with one."""
        found: Row = next((start["lr_search"] for start in self.starts if isinstance(start.get("lr_search"), dict)), {})
        return found if found.keys() >= _SEARCH_KEYS else None

    @cached_property
    def groups(self) -> list[str]:
        """The names of the parameter groups, where they are known."""
        names = [str(name) for name in (self.starts[-1].get("groups") or [])] if self.starts else []
        if not names:
            keys = self.evaluations.names
            names = [key.removeprefix("lr/") for key in keys if key.startswith("lr/")]
        count = len(self.segments[-1].scales) if self.segments else 0
        return [*names, *(f"group_{index}" for index in range(len(names), count))]

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that were evaluated, in their order: `eval_loss`, …; those that have a finite value."""
        others = ("start", "not_finite")
        keys = [key for key in self.evaluations.names if is_metric(key) and key not in others]
        return [key for key in keys if not key.startswith(("lr/", "train_")) and len(self.points(key)[0])]

    def points(self, key: str) -> tuple[Array, Array]:
        """Return the updates and values of a training record's key, or of a metric; values that are not finite are left out."""
        if key not in self._points:
            rows = self.evaluations
            if key in ("loss", "grad_norm") or key not in rows.names:
                rows = self.train
            steps, values = rows.column("step"), rows.column(key)
            known = np.isfinite(values) & np.isfinite(steps)
            self._points[key] = steps[known], values[known]
        return self._points[key]

    @cached_property
    def _points(self) -> dict[str, tuple[Array, Array]]:
        return {}

    def series(self, key: str) -> tuple[list[int], list[float]]:
        """Return the same as [`Run.points`], as lists."""
        steps, values = self.points(key)
        return steps.astype(np.int64).tolist(), values.tolist()

    def lrs(self, updates: Sequence[int] | Array) -> dict[str, Array] | None:
        """Return the LR that each update (counted from 0) used, by group, exactly; `None` where only the records are known.

        It is NaN for the updates before a record that begins with a resume from another folder.
        """
        if not self.segments:
            return None
        return dict(zip(self.groups, lrs(self.segments, np.asarray(updates, dtype=np.float64)), strict=False))

    def recorded_lrs(self) -> tuple[list[int], list[float]]:
        """Return the LRs of the first group that the records hold, each at the update (counted from 1) that used it."""
        rows = (self.train, self.evaluations)
        steps, lrs = (np.concatenate([each.column(key) for each in rows]) for key in ("step", "learning_rate"))
        known = np.isfinite(lrs) & np.isfinite(steps)
        pairs = zip(steps[known].astype(int).tolist(), lrs[known].tolist(), strict=True)
        found = dict(sorted(pairs, key=itemgetter(0)))
        return list(found), list(found.values())


def read_run(path: str | Path) -> Run:
    """Read a run's folder, one of its checkpoints, its record's folder, or a trainer_state.json.

    The newest record is read where there is one, else the Trainer's own `trainer_state.json`: that of the latest checkpoint
    where the folder itself has none.

    Args:
        path (`str` or `Path`): The folder or the file; `~` is the home folder.

    Returns:
        [`Run`]

    Raises:
        ScheduleError: There is no run at the path, or its file is corrupted.

    Example:
    ```python
    run = read_run("runs/first")
    updates, losses = run.points("loss")
    ```
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise ScheduleError(f"no such file or folder: {path}.")
    if not path.is_dir():
        return _from_state(path, path.resolve().parent.name or path.stem)
    if (path / RUN).is_file():
        return _from_record(path, path.parent)
    if records := list_records(path):
        return _from_record(records[-1], path)
    for state in list_states(path):
        return _from_state(state, path.resolve().name)
    raise ScheduleError(
        f"{path} is not a run's folder: it has no {FOLDER}/{RUN}, no {TRAINER_STATE} and no checkpoint-*/{TRAINER_STATE}."
        f"{name_runs(sorted(each for each in path.iterdir() if list_records(each) or list_states(each)))}"
    )


def name_runs(folders: Sequence[Path]) -> str:
    """Return the end of a message: which runs are in a folder that is none, such as that of a search over budgets."""
    more = ", …" if len(folders) > 3 else ""
    return f" Runs are in {', '.join(map(str, folders[:3]))}{more}." if folders else ""


def list_records(folder: Path) -> list[Path]:
    """List the folders of a run's records, the oldest first."""
    found = [each for each in folder.glob(f"{FOLDER}*") if (each / RUN).is_file()]
    numbers = {each: each.name.rpartition("-")[2] for each in found}
    return sorted(found, key=lambda each: int(numbers[each]) if numbers[each].isdigit() else 1)


def list_states(run: Path) -> list[Path]:
    """List the Trainer's own states in a run's folder: that of the run itself first, then its checkpoints', the latest first."""
    folders = [run, *reversed(list_checkpoints(run).values())]
    return [folder / TRAINER_STATE for folder in folders if (folder / TRAINER_STATE).is_file()]


def _from_record(folder: Path, run: Path) -> Run:
    record = Record.read(folder)
    if not record.starts:
        raise ScheduleError(f"{folder / RUN} has no row that can be read: the run ended before its first update.")
    try:
        segments = record.segments() or []
    except (KeyError, TypeError, ValueError) as error:
        raise ScheduleError(f"{folder} is corrupted: {error!r}.") from error
    last = record.starts[-1]
    settings = last.get("settings") or {}
    state = _find_state(run, record)
    return Run(
        name=run.resolve().name,
        path=folder,
        train=_sort_rows(record.train),
        # What was evaluated after the end of the training is in the Trainer's state alone.
        evaluations=_merge_rows(_find_evaluations(state.get("log_history", Rows())), record.evaluations),
        events=record.events,
        step_sizes=_sort_rows(record.step_sizes),
        num_lost=record.num_lost,
        segments=segments,
        starts=record.starts,
        num_updates=read_count(last.get("num_updates")),
        updates_per_epoch=last.get("updates_per_epoch"),
        best_step=state.get("best_global_step"),
        best_metric=settings.get("metric_for_best_model"),
        greater_is_better=settings.get("greater_is_better"),
    )


def _find_state(run: Path, record: Record) -> Row:
    """Return the Trainer's own state, where the run has come to write one; never that of an earlier run in the folder."""
    steps, losses = record.train.column("step"), record.train.column("loss")
    for path in list_states(run)[:2]:
        if (size := path.stat().st_size) > _MAX_STATE_BYTES:
            logger.warning(
                f"{path} has {size / 1e6:,.0f} MB and is not read: evaluations after the end of the training, and which "
                "checkpoint was kept as the best one, are not shown. The rest comes from the record."
            )
            return {}
        try:
            state = read_trainer_state(path)
        except ScheduleError:
            continue
        history: Rows = state["log_history"]
        last = next(iter(history.select(history.has("loss"))[-1:]), Row())
        if ((steps == last.get("step")) & (losses == last.get("loss"))).any():
            return state
    return {}


def run_from_history(log_history: Sequence[Mapping[str, Any]], name: str = "", path: str | Path = "") -> Run:
    """Make a run of a Trainer's own history: `trainer.state.log_history`, or that of a trainer_state.json.

    Args:
        log_history (`Sequence[Mapping]`): Its records; what has no `step` is left out.
        name (`str`, *optional*): What to call the run.
        path (`str` or `Path`, *optional*): Where it was read from.

    Example:
    ```python
    >>> run = run_from_history([{"step": 5, "loss": 0.7, "learning_rate": 2e-5}, {"step": 5, "eval_accuracy": 0.8}])
    >>> run.metrics, run.series("loss"), run.recorded_lrs()
    (['eval_accuracy'], ([5], [0.7]), ([5], [2e-05]))

    ```
    """
    rows = Rows.of(log_history)
    rows.rename(SETFIT_LOSS, "loss")
    steps, epochs = rows.column("step"), rows.column("epoch")
    is_known = steps % 1 == 0
    is_dated = is_known & (epochs > 0)
    paces = steps[is_dated] / epochs[is_dated]
    return Run(
        name=name,
        path=Path(path),
        train=_sort_rows(rows.select(is_known & rows.has("loss"))),
        evaluations=_merge_rows(_find_evaluations(rows, is_known)),
        updates_per_epoch=float(paces[-1]) if len(paces) else None,
    )


def _from_state(path: Path, name: str) -> Run:
    state = read_trainer_state(path)
    run = run_from_history(state["log_history"], name, path)
    # The state has the value of the best metric, not its name: look for the metric that had this value at that update.
    best_step, best = state.get("best_global_step"), state.get("best_metric")
    at_best = next((row for row in run.evaluations if row["step"] == best_step), {})
    return replace(
        run,
        num_updates=read_count(state.get("max_steps")),
        best_step=best_step,
        best_metric=next((key for key in run.metrics if best is not None and at_best.get(key) == best), None),
    )


def read_count(value: Any) -> int:
    """Return the updates that a file says, or 0 where that is no number."""
    return int(value) if is_finite_number(value) else 0


def _find_evaluations(history: Rows, is_known: Any = True) -> list[Row]:
    """Return the records of evaluations, without the evaluation set's name before the LR."""
    names = [name for name in history.names if name.endswith("_runtime") or name.startswith("eval_")]
    is_evaluation = np.any([np.zeros(len(history), bool), *map(history.has, names)], axis=0)
    found = history.select(is_known & is_evaluation & ~history.has("loss") & ~history.has("train_runtime"))
    return [{_without_prefix(key): value for key, value in row.items()} for row in found]


def _without_prefix(key: str) -> str:
    for name in ("learning_rate", "lr/"):
        prefix, found, rest = key.partition(f"_{name}")
        if found and prefix.startswith("eval"):
            return name + rest
    return key


def _sort_rows(rows: Rows) -> Rows:
    """By update; of two for one update the later one."""
    steps = rows.column("step")
    order = np.argsort(steps, kind="stable")
    is_last = np.diff(steps[order], append=np.nan) != 0
    if is_last.all() and np.isfinite(steps).all() and (np.diff(order) == 1).all():
        return rows
    return rows.select(order[is_last & np.isfinite(steps[order])])


def _merge_rows(from_state: list[Row], recorded: Rows | None = None) -> Rows:
    """Return the evaluations of several evaluation sets at one update as one, by update."""
    recorded = Rows() if recorded is None else recorded
    steps = recorded.column("step")
    if not from_state and (np.diff(np.sort(steps)) > 0).all():
        return _sort_rows(recorded)
    found: dict[int, Row] = {}
    for row in (*from_state, *recorded):
        if is_finite_number(step := row.get("step")):  # one damaged step makes a float of each step of its column
            found.setdefault(int(step), {}).update(row | {"step": int(step)})
    return Rows(found[step] for step in sorted(found))
