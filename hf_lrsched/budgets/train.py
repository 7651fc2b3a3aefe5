"""train_budgets: train one trunk, and a branch for each budget."""

import dataclasses
import math
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, set_seed

from ..callbacks import LossGuard
from ..callbacks.recorder import SETTINGS
from ..console import print_text
from ..files import replace_file
from ..integrations.distributed import on_main_process
from ..runs.budgets import BUDGETS
from ..runs.checkpoints import find_corruption, list_checkpoints
from ..runs.metrics import find_metric
from ..runs.record import FOLDER as RECORD
from ..runs.run import list_records
from ..schedules import Schedule, ScheduleError
from ..schedules.arguments import as_count
from ..schedules.errors import brief
from ..schedules.metric_names import Direction, get_metric_direction, is_metric, resolve_direction
from ..schedules.numbers import is_finite_number
from ..search.snapshot import undisturbed
from ..search.trial import make_optimizer, make_trial, read_horizon, refuse_single_run
from ..trainer import ScheduleMixin
from ..trainer.separate_run import find_peak, is_peak_searched, make_run, save_nothing, separate_wandb_run
from ..trajectory.clocks import Time, Tokens
from .branch_points import BranchPoints
from .plan import Budget, Plan, check_own_schedules, make_plan
from .result import Branch, Budgets

#: Of the recorded settings, those in which the runs of one search may differ.
_FREE = ("num_train_epochs", "max_steps", "run_name", "metric_for_best_model", "greater_is_better")


def train_budgets(
    trainer: Any,
    budgets: Iterable[Any] | str,
    *,
    cooldown: Any = "20%",
    shape: str = "one_minus_sqrt",
    peak: float | str | None = None,
    schedule: Schedule | str | None = None,
    metric: str | None = None,
    seeds: int = 1,
    on_branch: Callable[[Any, Branch], Any] | None = None,
) -> Budgets:
    """Find out how long to train: train several budgets for less than half of the cost of separate runs.

    One run, the trunk, holds its LR (`warmup >> hold`). For each budget a branch resumes from the trunk's checkpoint and cools
    down, so that its LRs and its data are those of a separate run of that budget with `warmup >> hold >> one_minus_sqrt`. Each
    branch is evaluated and kept as a complete model with its record:

        output_dir/trunk            its checkpoints, one for each budget
        output_dir/budget-2ep       an ordinary run: the model, the record, the checkpoints that `save_strategy` asks for
        output_dir/seed-1/…         the same for further seeds
        output_dir/budgets.json     the result; after each branch what is known by then

    Call it again after an interruption: it goes on where it was. A call with more budgets continues the trunk. All runs are
    copies of the Trainer: it is left as it was, with its weights before training. The runs push nothing to the Hub, and
    `load_best_model_at_end` is off: a budget is judged by its last update.

    Args:
        trainer ([`ScheduledTrainer`]): Any Trainer with a schedule. With `find_lr`, the LR is searched once, for the longest
            budget. `max_steps` and `num_train_epochs` are not used.
        budgets (`Iterable` or `str`): The lengths in rising order: `["1ep", "2ep", "4ep"]`, or updates.
        cooldown (length, defaults to `20%`): The cooldown of each budget. A share is a share of the budget.
        shape (`str`, defaults to `one_minus_sqrt`): The shape of the cooldown: `one_minus_sqrt`, `linear` or `cosine`.
        peak (factor, *optional*): The LR that the trunk holds, as a factor of `learning_rate`: `0.7` or `"70%"`. Defaults to 0.5:
            an LR that is held for long must be lower than the peak of a decay. With `find_lr`, which searches the LR to hold, and
            for a schedule that is at its peak for half of the run or more, it is 1. A warmup with `to_lr` climbs to that.
        schedule ([`Schedule`] or `str`, *optional*): The trunk's schedule, such as `warmup(100) >> hold()`; shares are shares of
            the smallest budget. Instead of `peak`. Defaults to the warmup of the Trainer's schedule, or `warmup(10%)` where
            it has none.
        metric (`str`, *optional*): The metric that budgets are judged by. Defaults to `metric_for_best_model`, else the first
            metric of the evaluation whose direction is known by its name, else the loss.
        seeds (`int`, defaults to 1): Train so many trunks, each with its branches. The cost grows by this factor. Seeds change the
            data order and the dropout; with `model_init` also the new head.
        on_branch (`Callable`, *optional*): Called on every process with the Trainer of a branch and its [`Branch`], before the
            branch counts as done.

    Returns:
        [`Budgets`]: The curve, its cost, and a recommendation.

    Raises:
        ScheduleError: Before the first update, for invalid budgets or settings, an unknown metric, or an output folder that holds a
            search with other settings. Later, if a run ends before its last update.

    Source: Hägele et al., 2024, https://arxiv.org/abs/2405.18392: the cooldown of 20 % with `1 - sqrt`, and half of the LR; our own
    runs are in benchmarks/results/budgets.md.

    Example:
    ```python
    budgets = train_budgets(trainer, ["1ep", "2ep", "4ep"])
    print(budgets)
    ```
    """
    _check_trainer(trainer)
    seeds = as_count(seeds, "seeds")
    horizon = read_horizon(trainer)
    if is_peak_searched(trainer):
        if peak is not None:
            raise ScheduleError(
                f"peak={brief(peak)} has no meaning with find_lr, which searches the LR to hold. Leave out one of them."
            )
        peak = 1.0 if schedule is None else None
    plan = make_plan(budgets, horizon, trainer.schedule, schedule, cooldown, shape, peak)
    with undisturbed(trainer) as restore:
        check_own_schedules(plan, horizon, make_optimizer(make_trial(trainer)).param_groups)
        search = _Search(trainer, plan, metric, _identify(trainer, plan, cooldown, shape), restore)
        return search.run(seeds, on_branch)


class _Search:
    """A search over budgets in an output folder."""

    def __init__(
        self, trainer: Any, plan: Plan, metric: str | None, settings: dict[str, Any], restore: Callable[[], None]
    ):
        self.plan, self._restore = plan, restore
        self.folder = Path(str(trainer.args.output_dir))
        self._is_main = trainer.is_world_process_zero()
        known = on_main_process(lambda: read_budgets(self.folder, settings))
        start = _get_metrics(make_trial(trainer).evaluate()) if known is None else known.start
        restore()
        judged = _choose_metric(trainer.args, metric, start)
        if known is None:
            self.result = Budgets(*judged, (), plan.trunk, trainer.args.learning_rate, start=start, settings=settings)
        else:
            self.result = dataclasses.replace(known, metric=judged[0], direction=judged[1])
        longest = plan.budgets[-1]
        self._template = self._make_run(trainer, longest.schedule, longest.updates, self.folder, 0)

    def run(self, seeds: int, on_branch: Callable[[Any, Branch], Any] | None) -> Budgets:
        done = {(branch.seed, branch.updates) for branch in self.result.branches}
        todo = [[budget for budget in self.plan.budgets if (seed, budget.updates) not in done] for seed in range(seeds)]
        if not any(todo):
            self._update()  # the metric may be another one
            return self.result
        if self._is_main:
            print_text(str(self.plan))
        self._find_peak()
        self._update()
        for seed, budgets in enumerate(todo):
            if budgets:
                with separate_wandb_run():
                    self._train_trunk(seed, budgets)
            for budget in budgets:
                with separate_wandb_run():
                    self._train_branch(seed, budget, on_branch)
        return self.result

    def _find_peak(self) -> None:
        # Each checkpoint has the LR that was found: a branch's is used where the trunk was deleted.
        folders = [self._trunk_folder(0), *(Path(branch.folder) for branch in self.result.branches)]
        checkpoints = (path for folder in folders for path in self._list_checkpoints(folder).values())
        find_peak(self._template, next(checkpoints, None))
        search = self._template.lr_search
        self.result = dataclasses.replace(
            self.result,
            learning_rate=float(self._template.args.learning_rate),
            search_updates=self.result.search_updates if search is None else search.updates,
        )

    def _train_trunk(self, seed: int, budgets: list[Budget]) -> None:
        """Train the trunk on from its newest checkpoint, as far as its branches need it."""
        folder = self._trunk_folder(seed)
        complete = self._list_checkpoints(folder)
        begin = max(complete, default=0)
        needed = {each.branch_at for each in budgets if self._find_own_checkpoint(seed, each) is None}
        missing = {update for update in needed if update > begin}
        if not missing:
            return
        if not complete:
            on_main_process(lambda: _remove_records(folder))
        run = self._make_run(self._template, self.plan.trunk, self.plan.budgets[-1].updates, folder, seed)
        save_nothing(run)
        self._train(run, BranchPoints(missing), complete.get(begin), max(missing))

    def _train_branch(self, seed: int, budget: Budget, on_branch: Callable[[Any, Branch], Any] | None) -> None:
        folder = self._branch_folder(seed, budget)
        run = self._make_run(self._template, budget.schedule, budget.updates, folder, seed)
        trunk = self._trunk_folder(seed)
        checkpoint = self._find_own_checkpoint(seed, budget)
        if checkpoint is None:
            # A budget that is added between others holds the LR itself, from the trunk's checkpoint before its cooldown.
            before = [path for at, path in self._list_checkpoints(trunk).items() if at <= budget.branch_at]
            checkpoint = before[-1] if before else None
            on_main_process(lambda: _copy_record(trunk if before else None, folder))
        timer = BranchPoints()
        self._train(run, timer, checkpoint, budget.updates)
        metrics = _evaluate(run, self.result.metric)
        run.save_model()
        run.save_state()
        if self._is_main:
            _write_card(run)
        branch = on_main_process(
            lambda: Branch(
                budget.name, budget.updates, budget.cooldown, metrics, timer.seconds, str(folder.resolve()), seed
            )
        )
        if on_branch is not None:
            on_branch(run, branch)
        run.accelerator.wait_for_everyone()
        self.result = dataclasses.replace(self.result, branches=(*self.result.branches, branch))
        self._update()

    def _make_run(self, source: Any, schedule: str, updates: int, folder: Path, seed: int) -> Any:
        return make_run(source, schedule, updates, folder, seed, self.result.settings["updates_per_epoch"])

    def _train(self, run: Any, points: BranchPoints, checkpoint: Path | None, wanted: int) -> None:
        run.add_callback(points)
        self._restore()
        set_seed(run.args.seed)  # as a Trainer that is made for this run does
        try:
            run.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        except ValueError as error:
            if isinstance(error, ScheduleError) or self.result.settings["updates_per_epoch"] is not None:
                raise
            raise ScheduleError(
                f"the run in {run.args.output_dir} ended after {run.state.global_step:,} of {wanted:,} updates: {error} train_dataset has "
                "no length, so its data may have ended. Leave out the budgets that are longer; what is done is kept."
            ) from error
        if (done := run.state.global_step) != wanted:
            raise ScheduleError(
                f"the run in {run.args.output_dir} ended after {done:,} of {wanted:,} updates: its data ended, or a callback stopped "
                "it. Leave out the budgets that are longer, or that callback; what is done is kept."
            )

    def _update(self) -> None:
        """Write what is known by now, completely or not at all."""

        def write() -> None:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self.folder / BUDGETS, self.result.to_json().encode())

        on_main_process(write)

    def _trunk_folder(self, seed: int) -> Path:
        return self._seed_folder(seed) / "trunk"

    def _branch_folder(self, seed: int, budget: Budget) -> Path:
        return self._seed_folder(seed) / f"budget-{budget.name}"

    def _seed_folder(self, seed: int) -> Path:
        return self.folder / f"seed-{seed}" if seed else self.folder

    def _list_checkpoints(self, folder: Path) -> dict[int, Path]:
        """The complete checkpoints of a folder, the earliest first."""

        def look() -> dict[int, Path]:
            return {at: path for at, path in list_checkpoints(folder).items() if find_corruption(path) is None}

        return on_main_process(look)

    def _find_own_checkpoint(self, seed: int, budget: Budget) -> Path | None:
        """The newest checkpoint of a branch that was interrupted. One at its end leaves nothing to train."""
        own = self._list_checkpoints(self._branch_folder(seed, budget))
        return own[max(before)] if (before := [at for at in own if at < budget.updates]) else None


def read_budgets(folder: Path, settings: dict[str, Any]) -> Budgets | None:
    """Read the result of an earlier search in an output folder; `None` where there is none.

    Raises:
        ScheduleError: The search had other settings, or its file is corrupted.
    """
    path = folder / BUDGETS
    if not path.is_file():
        return None
    known = Budgets.from_json(path.read_text(encoding="utf-8"))
    for name in settings:
        if known.settings.get(name) != settings[name]:
            hint = (
                " It follows from peak= and from the warmup, whose % are of the smallest budget: write it in updates."
                if name == "schedule"
                else ""
            )
            raise ScheduleError(
                f"{folder} holds a search with {name}={known.settings.get(name)!r}, and this one has {settings[name]!r}. Choose another "
                f"output_dir, or continue that search with its settings.{hint}"
            )
    return known


def _identify(trainer: Any, plan: Plan, cooldown: Any, shape: str) -> dict[str, Any]:
    """The settings that all runs of a search have in common, as JSON has them."""
    found = {name: getattr(trainer.args, name, None) for name in SETTINGS if name not in _FREE}
    if is_peak_searched(trainer):
        found["learning_rate"] = "find_lr"
    found |= {"schedule": plan.trunk, "cooldown": str(cooldown), "shape": shape}
    found["updates_per_epoch"] = read_horizon(trainer).updates_per_epoch
    return {name: each if isinstance(each, bool | int | float | None) else str(each) for name, each in found.items()}


def _check_trainer(trainer: Any) -> None:
    if not isinstance(trainer, ScheduleMixin) or trainer.schedule is None:
        raise ScheduleError(
            f"train_budgets() changes the schedule of its runs, and a {type(trainer).__name__} has none to change. Use "
            f"ScheduledTrainer(...), or scheduled({type(trainer).__name__})(...), with schedule='warmup(10%) >> linear()'."
        )
    refuse_single_run(trainer, "train_budgets()")
    if isinstance(trainer.clock, Tokens | Time):
        raise ScheduleError(
            f"clock={str(trainer.clock)!r} is not possible in a budget search: each budget branches off at an update that must be known "
            "before. Use clock='updates'."
        )
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, EarlyStoppingCallback | LossGuard):
            raise ScheduleError(
                f"{type(callback).__name__} may end or change a run, but a budget search needs each run as planned. Leave it out."
            )
    if trainer.args.auto_find_batch_size:
        raise ScheduleError(
            "auto_find_batch_size may change the number of updates in an epoch. Give per_device_train_batch_size."
        )
    if trainer.eval_dataset is None:
        raise ScheduleError("budgets are judged by an evaluation, but there is no eval_dataset. Give one.")


def _choose_metric(args: Any, metric: str | None, start: dict[str, float]) -> tuple[str, Direction]:
    """The metric among those of an evaluation, and its direction."""
    if not isinstance(metric, str | None):
        raise ScheduleError(f"metric must be the name of a metric, such as 'accuracy', got {brief(metric)}.")
    wanted = metric or args.metric_for_best_model
    if wanted is None:
        directed = [name for name in start if get_metric_direction(name) and not name.endswith("loss")]
        wanted = next(iter([*directed, *(name for name in start if name.endswith("loss"))]), "loss")
    name = find_metric(wanted, start, "in an evaluation")
    given = args.greater_is_better if args.metric_for_best_model in (wanted, name.removeprefix("eval_")) else None
    direction = resolve_direction(name, given)
    if direction is None:
        raise ScheduleError(
            f"the name {wanted} does not say whether more or less is better. Set metric_for_best_model={wanted!r} and greater_is_better."
        )
    return name, direction


def _evaluate(run: Any, metric: str) -> dict[str, float]:
    """The metrics after the last update, which the run may have evaluated itself."""
    last: dict[str, Any] = next((row for row in reversed(run.state.log_history) if metric in row), {})
    return _get_metrics(last if last.get("step") == run.state.global_step else run.evaluate())


def _write_card(run: Any) -> None:
    try:
        run.create_model_card()
    except Exception as error:  # such as that of a model without a config, for which Trainer writes none
        print_text(f"no model card in {run.args.output_dir}: {type(error).__name__}: {error}")


def _get_metrics(record: dict[str, Any]) -> dict[str, float]:
    found = {name: value for name, value in record.items() if name.startswith("eval_") and is_metric(name)}
    return {name: float(value) if is_finite_number(value) else math.nan for name, value in found.items()}


def _remove_records(folder: Path) -> None:
    """Remove the records of a start that died before its first checkpoint."""
    for record in folder.glob(f"{RECORD}*"):
        shutil.rmtree(record)


def _copy_record(trunk: Path | None, folder: Path) -> None:
    """Let the record of a branch begin with that of the trunk: a resume goes on with it, and leaves out what came later."""
    _remove_records(folder)
    if trunk is not None:
        shutil.copytree(list_records(trunk)[-1], folder / RECORD)
