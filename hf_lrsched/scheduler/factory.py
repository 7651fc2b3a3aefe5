"""get_schedule: the factory for a stock Trainer, or for a loop of one's own."""

import warnings
from typing import Any

from torch.optim import Optimizer

from ..schedules import Horizon, Schedule, ScheduleError, from_transformers
from ..schedules.from_transformers import ENDLESS, TRANSFORMERS_NAMES, WITHOUT_END
from ..schedules.parser import as_schedule
from ..schedules.registry import NAMES
from .schedule_lr import ScheduleLR


def get_schedule(
    schedule: Schedule | str,
    optimizer: Optimizer,
    num_training_steps: int | Horizon | None = None,
    *,
    num_warmup_steps: int | None = None,
    updates_per_epoch: int | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
    **transformers_kwargs: Any,
) -> ScheduleLR:
    """A scheduler for `optimizers=(optimizer, scheduler)` of the stock Trainer, or for a loop of one's own.

    It also takes the names of `transformers.get_scheduler` with their arguments, so that code moves over by changing
    one import; the two names that follow a metric are the exception.

    Args:
        schedule ([`Schedule`] or `str`): E.g. `"warmup(10%) >> linear()"`; or a bare name of transformers, `"cosine"`.
        optimizer (`torch.optim.Optimizer`): The optimizer that steps.
        num_training_steps (`int`): All updates of the run: batches / gradient accumulation steps, never batches.
            transformers' `constant`, `constant_with_warmup` and `inverse_sqrt` do without.
        num_warmup_steps (`int`, *optional*): For transformers' names only.
        updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.
        scheduler_specific_kwargs (`dict`, *optional*): transformers' way to pass what `transformers_kwargs` takes.
        transformers_kwargs: For transformers' names only: `num_cycles`, `min_lr_rate`, `lr_end`, ….

    Returns:
        [`ScheduleLR`]

    Raises:
        ScheduleError: The schedule can't be meant in this run, or an argument is unknown: none is swallowed.

    Example:
    ```python
    >>> import torch
    >>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
    >>> get_schedule("warmup(10%) >> cosine()", optimizer, num_training_steps=345).get_last_lr()
    [0.0]
    >>> get_schedule("cosine", optimizer, num_warmup_steps=0, num_training_steps=345).get_last_lr()
    [2e-05]

    ```
    """
    name = getattr(schedule, "value", schedule)  # transformers' names are an enum, too
    if isinstance(name, str) and name.strip() in NAMES.keys() - set(TRANSFORMERS_NAMES):
        schedule = name = f"{name.strip()}()"  # a name of this language's own, such as bert
    transformers_name = name.strip() if isinstance(name, str) and name.strip().isidentifier() else None
    if transformers_name is not None:
        total = num_training_steps.num_updates if isinstance(num_training_steps, Horizon) else num_training_steps
        kwargs = {**(scheduler_specific_kwargs or {}), **transformers_kwargs}
        sentence = from_transformers(transformers_name, num_warmup_steps, total, **kwargs)
        if num_training_steps is None and (
            transformers_name in WITHOUT_END or kwargs.get("num_stable_steps") is not None
        ):
            num_training_steps = ENDLESS
    else:
        sentence = as_schedule(schedule)
        surplus = [*(scheduler_specific_kwargs or {}), *transformers_kwargs]
        if num_warmup_steps is not None:
            surplus.insert(0, "num_warmup_steps")
        if surplus:
            raise ScheduleError(
                f"{', '.join(surplus)}: for transformers' own names such as 'cosine' only; {str(sentence)!r} says all of "
                "that itself."
            )
    if num_training_steps is None:
        raise ScheduleError(f"{str(schedule)!r} needs num_training_steps.")
    scheduler = ScheduleLR(optimizer, sentence, num_training_steps, updates_per_epoch)
    if transformers_name is None:  # whose shapes are as transformers has them, doubtful or not
        for note in scheduler.curves[0].notes:
            warnings.warn(note, stacklevel=2)
    return scheduler
