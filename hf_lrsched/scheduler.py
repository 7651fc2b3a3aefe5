"""ScheduleLR: the one torch LRScheduler of this package, and the factory for a stock Trainer."""

from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .schedules import Curve, Horizon, Schedule, ScheduleError, from_transformers, parse
from .schedules.transformers_names import ENDLESS, WITHOUT_END

STATE_VERSION = 1

# Factors are computed for this many updates at a time: a curve is fastest on arrays.
_BLOCK = 1024


class ScheduleLR(LRScheduler):
    """Sets the LR of every parameter group to `peak * curve(t)`, t = updates done so far.

    The LR is computed from t alone, never from the LR before it. A group's peak is its `initial_lr` where another
    scheduler left one (torch's convention), else its `lr`. LRs that are tensors are written in place.

    Args:
        optimizer (`torch.optim.Optimizer`): The optimizer that steps.
        schedule ([`Schedule`] or `str`): What to follow.
        num_training_steps (`int` or [`Horizon`]): All updates of the run.
        updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.

    Raises:
        ScheduleError: The schedule can't be meant in this run.

    Example:
    ```python
    >>> import torch
    >>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    >>> scheduler = ScheduleLR(optimizer, "warmup(2) >> linear()", num_training_steps=4)
    >>> used = []
    >>> for _ in range(4):
    ...     used.append(optimizer.param_groups[0]["lr"])
    ...     optimizer.step()
    ...     scheduler.step()
    >>> used
    [0.0, 5e-05, 0.0001, 5e-05]

    ```
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | str,
        num_training_steps: int | Horizon,
        updates_per_epoch: int | None = None,
    ):
        self.schedule = as_schedule(schedule)
        self.peaks = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
        resolved = {
            peak: self.schedule.resolve(num_training_steps, updates_per_epoch, peak=peak) for peak in set(self.peaks)
        }
        #: The curve of each parameter group.
        self.curves: list[Curve] = [resolved[peak] for peak in self.peaks]
        self.horizon = self.curves[0].horizon
        self._block_start = -1
        self._blocks: list[list[float]] = []
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """The LR of each group for the next update."""
        start = self.last_epoch - self.last_epoch % _BLOCK
        if start != self._block_start:
            updates = np.arange(start, start + _BLOCK)
            blocks = {id(curve): curve(updates).tolist() for curve in self.curves}
            self._blocks = [blocks[id(curve)] for curve in self.curves]
            self._block_start = start
        offset = self.last_epoch - start
        return [peak * block[offset] for peak, block in zip(self.peaks, self._blocks, strict=True)]

    def step(self, epoch: int | None = None) -> None:
        """To be called once after every `optimizer.step()` that was not skipped."""
        if self._step_count < 2 or epoch is not None:
            super().step(epoch)  # torch's own checks of the order of calls are in its first steps
            self._last_lr = [*map(float, self._last_lr)]
            return
        self._step_count += 1
        self.last_epoch += 1
        self._write(self.get_lr())

    def _write(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
        self._last_lr = [*lrs]

    def state_dict(self) -> dict[str, Any]:
        """Plain data, which `torch.load(weights_only=True)` reads."""
        return {
            "version": STATE_VERSION,
            "schedule": str(self.schedule),
            "num_updates": self.horizon.num_updates,
            "updates_per_epoch": self.horizon.updates_per_epoch,
            "t": self.last_epoch,
            "peaks": list(self.peaks),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where a checkpoint stopped.

        Raises:
            ScheduleError: The checkpoint was made by another schedule, over another run, with other peak LRs, or by
                another scheduler. Nothing is changed then.
        """
        if state_dict.get("version") != STATE_VERSION:
            raise ScheduleError(
                f"this scheduler's state has version {state_dict.get('version')!r}, expected {STATE_VERSION}; was the "
                "checkpoint made by another scheduler, or by a newer version of hf-lrsched?"
            )
        mine = self.state_dict()
        names = {"schedule": "the schedule", "num_updates": "the number of updates", "peaks": "the peak LRs"}
        names["updates_per_epoch"] = "the number of updates per epoch"
        differing = [
            f"{name} was {state_dict.get(key)!r} and is {mine[key]!r}"
            for key, name in names.items()
            if state_dict.get(key) != mine[key]
        ]
        if differing:
            raise ScheduleError(
                f"can't resume at update {state_dict.get('t')} of the checkpoint, the LR would jump: "
                f"{'; '.join(differing)}. Resume with the checkpoint's settings, or start a new run from its weights."
            )
        self.last_epoch = int(state_dict["t"])
        self._step_count = self.last_epoch + 1
        self._write(self.get_lr())


def as_schedule(schedule: Schedule | str) -> Schedule:
    """A schedule, read from its text where it is one."""
    if isinstance(schedule, str):
        return parse(schedule)
    if not isinstance(schedule, Schedule):
        raise ScheduleError(
            f"a schedule is a text such as 'warmup(10%) >> linear()' or an object such as warmup('10%') >> linear(), got "
            f"{type(schedule).__name__}."
        )
    return schedule


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
    if isinstance(name, str) and name.strip().isidentifier():
        total = num_training_steps.num_updates if isinstance(num_training_steps, Horizon) else num_training_steps
        kwargs = {**(scheduler_specific_kwargs or {}), **transformers_kwargs}
        sentence = from_transformers(name.strip(), num_warmup_steps, total, **kwargs)
        if num_training_steps is None and (name in WITHOUT_END or kwargs.get("num_stable_steps") is not None):
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
    return ScheduleLR(optimizer, sentence, num_training_steps, updates_per_epoch)
