"""get_scheduler: a scheduler for the stock Trainer or for a training loop, with the arguments of transformers."""

import warnings
from typing import Any

from torch.optim import Optimizer

from ..schedules import Horizon, Schedule, ScheduleError, from_transformers
from ..schedules.from_transformers import ENDLESS, TRANSFORMERS_NAMES, WITHOUT_END
from ..schedules.parser import as_schedule
from ..schedules.registry import NAMES
from ..trajectory.clocks import Clock
from ..trajectory.settings import format_lrs
from .schedule_lr import ScheduleLR


def get_scheduler(
    name: Schedule | str,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | Horizon | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
    *,
    updates_per_epoch: int | None = None,
    on_resume: str = "strict",
    clock: Clock | str = "updates",
) -> ScheduleLR:
    """Get the scheduler for a schedule, or for a name of `transformers.get_scheduler` with the arguments that it has there.

    Give it to the stock Trainer as `optimizers=(optimizer, scheduler)`, or step it after each update of a training loop.

    Args:
        name ([`Schedule`] or `str`): A schedule, such as `"warmup(10%) >> linear()"`, or a name, such as `"cosine"`. The name
            `reduce_lr_on_plateau` gives `hold() * plateau(...)`; call [`ScheduleLR.observe`] after each evaluation, or add
            `ScheduleCallback()` to Trainer's callbacks.
        optimizer (`torch.optim.Optimizer`): The optimizer that trains.
        num_warmup_steps (`int`, *optional*): Updates of the warmup, for names only.
        num_training_steps (`int` or [`Horizon`], *optional*): All updates of the run: batches divided by gradient accumulation
            steps. The names `constant`, `constant_with_warmup`, `inverse_sqrt` and `reduce_lr_on_plateau` do not need it.
        scheduler_specific_kwargs (`dict`, *optional*): More arguments, for names only: `num_cycles`, `min_lr_rate`, `lr_end`, ….
        updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.
        on_resume (`str`, defaults to `strict`): See [`ScheduleLR`].
        clock ([`Clock`] or `str`, defaults to `updates`): See [`ScheduleLR`].

    Returns:
        [`ScheduleLR`]

    Raises:
        ScheduleError: The schedule is invalid in this run, or an argument is unknown. No argument is ignored.

    Example:
    ```python
    >>> import torch
    >>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
    >>> get_scheduler("cosine", optimizer, num_warmup_steps=0, num_training_steps=345).get_last_lr()
    [2e-05]
    >>> get_scheduler("warmup(10%) >> cosine()", optimizer, num_training_steps=345).get_last_lr()
    [0.0]

    ```
    """
    text = getattr(name, "value", name)  # transformers' SchedulerType is an enum
    text = text.strip() if isinstance(text, str) else ""
    is_foreign = text.isidentifier() and (text in TRANSFORMERS_NAMES or text not in NAMES)
    if is_foreign:
        kwargs = dict(scheduler_specific_kwargs or {})
        total = num_training_steps.num_updates if isinstance(num_training_steps, Horizon) else num_training_steps
        if text == "reduce_lr_on_plateau" and "min_lr" in kwargs:
            kwargs["to"] = _as_factor(kwargs.pop("min_lr"), optimizer)
        schedule = from_transformers(text, num_warmup_steps, total, **kwargs)
        if total is None and (text in WITHOUT_END or kwargs.get("num_stable_steps") is not None):
            num_training_steps = ENDLESS
    else:
        schedule = as_schedule(f"{text}()" if text in NAMES else name)
        surplus = ["num_warmup_steps"] * (num_warmup_steps is not None) + [*(scheduler_specific_kwargs or {})]
        if surplus:
            raise ScheduleError(
                f"{', '.join(surplus)} can only be given with a name of transformers, such as 'cosine'. Write it in the schedule "
                f"{str(schedule)!r} instead."
            )
    if num_training_steps is None:
        raise ScheduleError(f"{text or str(schedule)!r} needs num_training_steps.")
    scheduler = ScheduleLR(optimizer, schedule, num_training_steps, updates_per_epoch, on_resume, clock)
    if not is_foreign:  # a name's curve is as transformers has it, doubtful or not
        for note in scheduler.curves[0].notes:
            warnings.warn(note, stacklevel=2)
    return scheduler


def _as_factor(min_lr: float | list[float], optimizer: Optimizer) -> float:
    """Return the lowest LR of `ReduceLROnPlateau` as a factor of the groups' peak LRs."""
    peaks = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    floors = list(min_lr) if isinstance(min_lr, list | tuple) else [min_lr] * len(peaks)
    factors = {min(floor / peak, 1.0) if floor else 0.0 for floor, peak in zip(floors, peaks, strict=True)}
    if len(factors) > 1:
        raise ScheduleError(
            f"min_lr={min_lr!r} is a different share of each group's LR ({format_lrs(peaks)}). Give each group its own schedule instead: "
            f'{{"params": ..., "lr": {peaks[0]:g}, "schedule": "hold() * plateau(to={floors[0] / peaks[0]:.3g})"}}.'
        )
    return factors.pop()
