"""One of the processes that run a comparison: it takes cells from the study until none is left."""

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import read_json
from ..runs.metrics import find_metric, require_metric
from ..runs.run import Run, read_run
from ..schedules import ScheduleError
from ..schedules.metric_names import is_metric
from ..schedules.numbers import format_count
from .cells import AUTO, Cell, Grid
from .recipe_process import run_recipe
from .storage import MISSED_HEARTBEATS

if TYPE_CHECKING:
    import optuna

    Trials = dict[Cell, optuna.trial.FrozenTrial]

#: So many processes may die of a cell before it counts as failed.
MAX_LOSSES = 3
#: The seed of searches. No run has it, also not one of a command that is started again with more seeds.
SEARCH_SEED = 1_000_000
#: The study's attribute with the numbers of failed trials that are to be repeated.
_REPEATED = "repeated"


class CellError(Exception):
    """Raised when a run of the comparison failed; the others go on."""


@dataclass(frozen=True)
class Outcome:
    """What is known of a cell.

    Args:
        cell ([`Cell`]): The cell.
        state (`str`): `waiting`, `running`, `complete`, `pruned` or `failed`.
        lr (`float`, *optional*): The peak LR that was used, or found.
        metrics (`dict[str, float]`): The metrics of the run's model.
        seconds (`float`, *optional*): What the run took.
        error (`str`): Why it failed.
    """

    cell: Cell
    state: str = "waiting"
    lr: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    error: str = ""


@dataclass
class Worker:
    """Takes cells of a grid from a study, and runs each in a folder of its own.

    A cell may have several trials: two processes may enqueue it at the same time, and a process that dies leaves a failed
    trial behind. The first that is neither is the cell's trial, for all processes; another one is dropped when it is taken.
    So nothing has to be enqueued exactly once, and what was lost can be enqueued again by any process.

    Args:
        study (`optuna.Study`): See [`open_study`].
        grid ([`Grid`]): The cells.
        command (`Sequence[str]`): The recipe's command line; the cell's settings are appended.
        folder (`Path`): Where the folders of the cells are.
        metric (`str`): The metric that is compared.
        heartbeat (`int`): As of the study.
        report (`Callable`): Takes a line for the user.
    """

    study: "optuna.Study"
    grid: Grid
    command: Sequence[str]
    folder: Path
    metric: str
    heartbeat: int
    report: Callable[[str], None] = print
    _first_seen: dict[int, float] = field(default_factory=dict, init=False)
    _evaluated: set[tuple[int, int]] = field(default_factory=set, init=False)

    def work(self, time_limit: float = math.inf) -> None:
        """Run cells until none is left, also none of a process that may still die.

        Args:
            time_limit (`float`, *optional*): No cell is begun after so many seconds.
        """
        import optuna
        from optuna.trial import TrialState

        begin, is_waiting = time.monotonic(), False
        while time.monotonic() - begin < time_limit:
            optuna.storages.fail_stale_trials(self.study)
            self._fail_trials_without_start()
            self._enqueue()
            states = [trial.state for trial in self._read_trials()[0].values()]
            if TrialState.WAITING in states:
                self._run_one()
            elif TrialState.RUNNING in states:
                if not is_waiting:
                    self.report(
                        f"waiting for {format_count(states.count(TrialState.RUNNING), 'run')} of other processes"
                    )
                is_waiting = True
                time.sleep(min(self.heartbeat, 5))
            else:
                break

    def repeat_failed(self) -> None:
        """Let the cells that failed be run again."""
        failed = [trial.number for trial in self.study.get_trials(deepcopy=False) if trial.state.name == "FAIL"]
        self.study.set_user_attr(_REPEATED, failed)

    def list_outcomes(self) -> list[Outcome]:
        """List the searches and runs of the grid, with what is known of them."""
        trials, losses = self._read_trials()
        return [self._get_outcome(cell, trials, losses) for cell in self.grid.cells]

    def _get_outcome(self, cell: Cell, trials: "Trials", losses: Counter[Cell]) -> Outcome:
        trial = trials.get(cell)
        if trial is None:
            search = trials.get(cell.search) if cell.is_run and cell.arm.lr == AUTO else None
            if search is not None and "error" in search.user_attrs:
                return Outcome(cell, "failed", error="its peak LR was not found")
            if losses[cell] >= MAX_LOSSES:
                return Outcome(cell, "failed", error=f"{losses[cell]} processes died while they ran it")
            return Outcome(cell)
        attrs = trial.user_attrs
        state = "failed" if "error" in attrs else trial.state.name.lower()
        if not cell.is_run and "lr" in attrs:
            state = "complete"
        seconds = trial.duration.total_seconds() if trial.duration is not None else None
        return Outcome(cell, state, attrs.get("lr"), attrs.get("metrics", {}), seconds, attrs.get("error", ""))

    def _read_trials(self) -> "tuple[Trials, Counter[Cell]]":
        """Read the trial of each cell that has one, and how many processes died of each cell."""
        repeated = self.study.user_attrs.get(_REPEATED, [])
        trials: Trials = {}
        losses = Counter[Cell]()
        for trial in self.study.get_trials(deepcopy=False):
            attrs = trial.user_attrs
            if "cell" not in attrs or "duplicate" in attrs or trial.number in repeated:
                continue
            cell = Cell.from_data(attrs["cell"])
            if trial.state.name == "FAIL" and "error" not in attrs:
                losses[cell] += "interrupted" not in attrs
            else:
                trials.setdefault(cell, trial)
        return trials, losses

    def _enqueue(self) -> None:
        """Enqueue each cell that has no trial; those with `auto` once their search has ended."""
        trials, losses = self._read_trials()
        for cell in self.grid.cells:
            search = trials.get(cell.search) if cell.is_run and cell.arm.lr == AUTO else None
            is_ready = not cell.is_run or cell.arm.lr != AUTO or (search is not None and "lr" in search.user_attrs)
            if is_ready and cell not in trials and losses[cell] < MAX_LOSSES:
                self.study.enqueue_trial({}, user_attrs={"cell": cell.to_data()})

    def _fail_trials_without_start(self) -> None:
        """Give back the trials of processes that died before their first heartbeat, which Optuna never takes for dead."""
        from optuna.trial import TrialState

        now = time.monotonic()
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            since = self._first_seen.setdefault(trial.number, now)
            if "started" not in trial.user_attrs and now - since > MISSED_HEARTBEATS * self.heartbeat:
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _run_one(self) -> None:
        try:
            self.study.optimize(self._run_trial, n_trials=1, catch=(CellError,))
        except ScheduleError:
            raise
        except ValueError as error:  # "Cannot tell a FAIL trial."
            self.report(f"another process took this one for dead and took over its run: {error}")

    def _run_trial(self, trial: "optuna.Trial") -> float:
        import optuna

        if "cell" not in trial.user_attrs:  # another process took the last one
            raise optuna.TrialPruned
        cell = Cell.from_data(trial.user_attrs["cell"])
        own = self._read_trials()[0].get(cell)
        if own is None or own.number != trial.number:
            trial.set_user_attr("duplicate", True)
            raise optuna.TrialPruned
        try:
            if cell.is_run:
                return self._run_cell(cell, trial)
            self._search(cell, trial)
        except CellError as error:
            trial.set_user_attr("error", str(error))
            self._report(cell, f"failed: {error}")
            raise
        except (KeyboardInterrupt, ScheduleError):
            trial.set_user_attr("interrupted", True)
            raise
        raise optuna.TrialPruned  # a search has no metric

    def _search(self, cell: Cell, trial: "optuna.Trial") -> None:
        # What an interrupted search left is of no use.
        shutil.rmtree(self.folder / cell.folder, ignore_errors=True)
        flags = {"learning_rate": AUTO, "find_lr_only": "true", "seed": SEARCH_SEED}
        folder = self._run(cell, trial, flags)
        try:
            data = read_json(folder / "lr_search.json")
        except ScheduleError as error:
            raise CellError(
                f"the search left no lr_search.json: {error} The recipe must read --find_lr_only."
            ) from error
        if data["suggestion"] is None:
            raise CellError("the search found no LR")
        trial.set_user_attr("lr", data["suggestion"])
        self._report(cell, f"{data['suggestion']:.3g}")

    def _run_cell(self, cell: Cell, trial: "optuna.Trial") -> float:
        lr = cell.arm.lr
        if lr == AUTO:
            lr = self._read_trials()[0][cell.search].user_attrs["lr"]
        trial.set_user_attr("lr", lr)
        flags = {"learning_rate": lr, "seed": cell.seed, "resume_from_checkpoint": "auto"}
        metrics = read_metrics(self._run(cell, trial, flags))
        # An error for all cells: neither will the other runs have it.
        known = [name for name in metrics if not name.startswith("baseline_")]
        value = metrics[find_metric(self.metric, known, "in the runs (--metric)")]
        trial.set_user_attr("metrics", {name: each for name, each in metrics.items() if math.isfinite(each)})
        if not math.isfinite(value):
            raise CellError(f"its {self.metric} is {value}: the training diverged")
        self._report(cell, f"{self.metric} {value:.4g} (LR {lr:.3g})")
        return value

    def _run(self, cell: Cell, trial: "optuna.Trial", flags: dict[str, Any]) -> Path:
        """Run the recipe, and return its folder."""
        folder, log = self.folder / cell.folder, self.folder / "logs" / f"{cell.folder}.log"
        log.parent.mkdir(exist_ok=True)
        flags = {"schedule": cell.arm.schedule, **flags, "output_dir": folder}
        command = [*self.command, *(f"--{name}={value}" for name, value in flags.items())]
        status = run_recipe(command, log, lambda: self._look(cell, trial, folder))
        if status:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise CellError(f"{lines[-1] if lines else f'exit status {status}'} (see {log})")
        return folder

    def _look(self, cell: Cell, trial: "optuna.Trial", folder: Path) -> None:
        """Note that the run has started, and end it where it is worse than the median."""
        import optuna

        if "started" not in trial.user_attrs:
            trial.set_user_attr("started", time.time())
        if isinstance(self.study.pruner, optuna.pruners.NopPruner) or not cell.is_run:
            return
        for step, value in read_evaluations(folder, self.metric):
            if (trial.number, step) in self._evaluated:
                continue
            self._evaluated.add((trial.number, step))
            trial.report(value, step)
            if trial.should_prune():
                self._report(cell, f"pruned at update {step} with {self.metric} {value:.4g}")
                raise optuna.TrialPruned

    def _report(self, cell: Cell, text: str) -> None:
        trials, _ = self._read_trials()
        ended = sum(trial.state.is_finished() for each, trial in trials.items() if each.is_run) + cell.is_run
        self.report(f"[{ended} of {len(self.grid.runs)}] {cell}: {text}")


def read_metrics(folder: Path) -> dict[str, float]:
    """Read the metrics of a run's model: what the recipe saved, else those of the last evaluation."""
    try:
        found = read_json(folder / "all_results.json")
    except ScheduleError:
        try:
            run = read_run(folder)
        except ScheduleError as error:
            raise CellError(f"the run left no metrics: {error}") from error
        found = {name: float(run.points(name)[1][-1]) for name in run.metrics}
    prefixes = ("eval_", "test_", "baseline_")
    return {
        name: value
        for name, value in found.items()
        if name.startswith(prefixes) and is_metric(name) and isinstance(value, int | float)
    }


def read_evaluations(folder: Path, metric: str) -> list[tuple[int, float]]:
    """Read the evaluations of a run that goes on: update and metric."""
    try:
        run: Run = read_run(folder)
        steps, values = run.series(require_metric([run], metric))
    except ScheduleError:
        return []  # none yet
    return list(zip(steps, values, strict=True))
