"""A probe: a quiet copy of a Trainer that runs the whole schedule of the run in fewer updates."""

import copy
import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer, TrainerControl, TrainerState
from transformers.trainer_callback import CallbackHandler, DefaultFlowCallback
from transformers.trainer_utils import IntervalStrategy, has_length

from ..groups.main_group import find_main_group
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import Horizon, ScheduleError
from ..trajectory.clocks import Time, Tokens
from .snapshot import copy_plain

#: A probe evaluates, saves, logs and reports nothing.
_QUIET = {
    **dict.fromkeys(("eval_strategy", "save_strategy", "logging_strategy"), "no"),
    **dict.fromkeys(("eval_on_start", "load_best_model_at_end", "push_to_hub", "logging_first_step"), False),
    **dict.fromkeys(("fp16_full_eval", "bf16_full_eval"), False),  # they would halve the weights that train
    "report_to": [],
    "disable_tqdm": True,
}


@dataclass(frozen=True)
class Run:
    """The run that a search is for.

    Args:
        total (`int`): Its updates.
        reference (`float`): The LR that it was to have.
        peaks (`tuple[float, ...]`): The peak LR of each parameter group at that LR.
    """

    total: int
    reference: float
    peaks: tuple[float, ...]


def copy_trainer(trainer: Any) -> Any:
    """Copy a Trainer for a run of its own. Model, accelerator and a given optimizer are shared: see [`undisturbed`]."""
    copied = copy.copy(trainer)
    vars(copied).update({name: copy_plain(value) for name, value in vars(trainer).items()})
    for name, value in vars(trainer).items():
        # Such as a compute_metrics of the Trainer's own.
        if isinstance(value, MethodType) and value.__self__ is trainer:
            setattr(copied, name, MethodType(value.__func__, copied))
    copied.args = copy.copy(trainer.args)
    copied.state, copied.control = TrainerState(), TrainerControl()
    for name in ("is_local_process_zero", "is_world_process_zero"):
        setattr(copied.state, name, getattr(trainer, name)())
    return copied


def refuse_single_run(trainer: Any, caller: str) -> None:
    """Refuse a Trainer that can make one run only, where `caller` needs several.

    Raises:
        ScheduleError: It runs under FSDP or DeepSpeed, or its optimizer hooks into the model.
    """
    for name, is_there in (("DeepSpeed", trainer.is_deepspeed_enabled), ("FSDP", trainer.is_fsdp_enabled)):
        if is_there:
            raise ScheduleError(
                f"{caller} cannot restore the weights after a run under {name}, where each process has a part of them. Search on one "
                "process or with DDP, with the same total batch size, and use the result here."
            )
    if "layerwise" in str(trainer.args.optim) or "lomo" in str(trainer.args.optim):
        raise ScheduleError(
            f"{caller} cannot make a new optimizer for each run with optim={str(trainer.args.optim)!r}, which hooks into the model. "
            "Search with another optim."
        )


def make_trial(trainer: Any) -> Any:
    """Copy a Trainer so that the copy trains and evaluates quietly. [`undisturbed`] cares for what the two share."""
    trial = copy_trainer(trainer)
    for name, value in _QUIET.items():
        if hasattr(trial.args, name):
            setattr(trial.args, name, IntervalStrategy.NO if value == "no" else value)
    handler: Any = CallbackHandler
    trial.callback_handler = handler([DefaultFlowCallback()], trainer.model, trainer.processing_class, None, None)
    trial.is_probe = True
    trial.log = lambda *args, **kwargs: None
    return trial


def make_probe(trainer: Any, run: Run, lr: float, updates: int, train_dataset: Any = None) -> Any:
    """Copy a Trainer for a probe.

    Args:
        trainer (`transformers.Trainer`): The Trainer.
        run ([`Run`]): The run.
        lr (`float`): The peak LR of the probe. The peaks of all groups are scaled with it.
        updates (`int`): The length of the probe.
        train_dataset (`Dataset`, *optional*): What to train on instead of the Trainer's own.
    """
    trial, cls = make_trial(trainer), type(trainer)
    if train_dataset is not None:
        trial.train_dataset = train_dataset
    trial.args.max_steps, trial.args.learning_rate = updates, lr

    def create_optimizer(*args: Any, **kwargs: Any) -> Any:
        optimizer = cls.create_optimizer(trial, *args, **kwargs) or trial.optimizer
        scale_fixed_peaks(optimizer.param_groups, run.peaks, lr / run.reference)
        return optimizer

    def create_scheduler(num_training_steps: int, optimizer: Any = None) -> Any:
        scheduler = cls.create_scheduler(trial, run.total, optimizer)
        shorten(scheduler, run.total / updates)
        return scheduler

    trial.create_optimizer, trial.create_scheduler = create_optimizer, create_scheduler
    return trial


def read_horizon(trainer: Any) -> Horizon:
    """Return the length of the run that a Trainer is about to begin; without updates per epoch where its data has no length."""
    trial = make_trial(trainer)
    dataloader = trial.get_train_dataloader()
    if not has_length(dataloader) and trial.args.max_steps <= 0:
        raise ScheduleError("the length of the run is not known: train_dataset has no length. Give max_steps.")
    samples = trial.get_total_train_batch_size(trial.args)
    wanted = inspect.signature(Trainer.set_initial_training_values).parameters
    more = [samples] if "total_train_batch_size" in wanted else []  # transformers 4 asks for one argument more
    values = trial.set_initial_training_values(trial.args, dataloader, *more)
    return Horizon(int(values[-1]), int(values[1]) if has_length(dataloader) else None, int(samples))


def count_updates(trainer: Any) -> int:
    """Return the updates of the whole run.

    Raises:
        ScheduleError: They are not known: the schedule counts tokens or time, or neither the data nor `max_steps` says.
    """
    clock = getattr(trainer, "clock", None)
    if isinstance(clock, Tokens | Time):
        raise ScheduleError(
            f"the LR cannot be found with clock={str(clock)!r}: the number of updates is not known before the run. Search with "
            "clock='updates' and the max_steps that you expect, then train with the LR found."
        )
    return read_horizon(trainer).num_updates


def describe_run(trainer: Any) -> tuple[Run, Any]:
    """Return the run that a Trainer is about to begin, and an optimizer like the one that it will use."""
    total, trial = count_updates(trainer), make_trial(trainer)
    optimizer = make_optimizer(trial)
    peaks = tuple(map(_peak, optimizer.param_groups))
    reference = float(trainer.args.learning_rate) if trainer.optimizer is None else peaks[find_main_group(optimizer)]
    return Run(total, reference, peaks), optimizer


def make_optimizer(trial: Any) -> Any:
    """Let a copy of a Trainer make its optimizer. Trainer itself ignores what `create_optimizer` returns, so an own one may return nothing."""
    return trial.create_optimizer() or trial.optimizer


def get_peaks(trainer: Any, lr: float) -> list[float]:
    """Return the peak LR of each group of the optimizer that a Trainer would make with a learning rate."""
    trial = make_trial(trainer)
    trial.args.learning_rate = lr
    return [*map(_peak, make_optimizer(trial).param_groups)]


def scale_fixed_peaks(groups: Sequence[dict[str, Any]], before: Sequence[float], factor: float) -> None:
    """Scale the groups whose LR does not follow `learning_rate`, so that all peaks keep their ratios.

    Args:
        groups (`Sequence[dict]`): The groups of an optimizer that was made with `learning_rate * factor`.
        before (`Sequence[float]`): The LRs of the groups of one that was made with `learning_rate`.
        factor (`float`): The factor.

    Example:
    ```python
    >>> groups = [{"lr": 0.02}, {"lr": 0.5}]
    >>> scale_fixed_peaks(groups, [0.01, 0.5], 2.0)
    >>> groups
    [{'lr': 0.02}, {'lr': 1.0}]

    ```
    """
    for group, lr in zip(groups, before, strict=True):
        if _peak(group) == lr and factor != 1:
            group["lr"] = lr * factor
            group.pop("initial_lr", None)


def _peak(group: dict[str, Any]) -> float:
    return float(group.get("initial_lr", group["lr"]))


def shorten(scheduler: Any, stride: float) -> None:
    """Let a new scheduler run through its whole curve in fewer updates.

    Args:
        scheduler: A [`ScheduleLR`], or one of `transformers.get_scheduler`.
        stride (`float`): The updates of the whole run for each update.

    Raises:
        ScheduleError: The scheduler cannot be shortened.
    """
    if isinstance(scheduler, ScheduleLR):
        # Nothing drives them: the planned curve is what a probe runs.
        scheduler.declare_driven("plateau", "cooldown", "clock")
        scheduler.run_state.stride = stride
        scheduler.run_state.position = 0.0
    elif isinstance(scheduler, LambdaLR):
        scheduler.lr_lambdas = [_stretch(curve, stride) for curve in scheduler.lr_lambdas]
    else:
        raise ScheduleError(
            f"the LR cannot be found: a {type(scheduler).__name__} cannot be shortened for probes. Use ScheduledTrainer with a "
            "schedule, or an lr_scheduler_type with a planned curve, such as 'linear'."
        )


def _stretch(curve: Any, stride: float) -> Any:
    return lambda update: curve(math.floor(update * stride + 0.5))
