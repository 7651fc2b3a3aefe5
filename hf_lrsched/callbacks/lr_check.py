"""LRCheck: the scheduler's LR is the one that trains, at every update."""

import logging
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..optim.wrappers import unwrap_optimizer
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError

logger = logging.getLogger(__name__)


class LRCheck(TrainerCallback):
    """Finds at once what makes a log show a learning rate that no parameter had.

    - A scheduler that is tied to another optimizer than the one that trains: an error before the first update.
    - An LR that something else wrote into the optimizer: a warning at that update, once for each group.
    - A scheduler that an earlier `train()` has spent: a warning.
    - A schedule that lags behind because steps were skipped (fp16 overflow): a [`ScheduleLR`] is taken to the right
      position, so that its end stays where it was drawn; for another scheduler, a warning.

    [`ScheduledTrainer`] has one. For a stock Trainer:

    ```python
    trainer = Trainer(..., optimizers=(optimizer, scheduler), callbacks=[LRCheck()])
    ```
    """

    def __init__(self) -> None:
        self._told: set[Any] = set()
        self._lag = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._told = set()
        position = _position(kwargs.get("lr_scheduler"), state.global_step)
        self._lag = state.global_step - position
        if self._lag < 0:
            logger.warning(
                f"the scheduler is at update {position} and training starts at {state.global_step}: it was used by an earlier "
                "train(). A scheduler that was passed in optimizers= is never made anew; ScheduledTrainer makes its own."
            )
        trains, driven = (
            unwrap_optimizer(kwargs.get("optimizer")),
            unwrap_optimizer(getattr(kwargs.get("lr_scheduler"), "optimizer", None)),
        )
        if trains is not None and driven is not None and trains is not driven:
            raise ScheduleError(
                f"the scheduler ({type(kwargs['lr_scheduler']).__name__}) is tied to another optimizer than the one that "
                "trains: the log would show its LRs while the real ones stay constant. Pass the optimizer that it was made "
                "with, too: optimizers=(optimizer, scheduler)."
            )

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        scheduler = kwargs.get("lr_scheduler")
        if not isinstance(scheduler, ScheduleLR):
            return  # others, such as a plateau's, need not know the LR of every update
        for index, (group, lr) in enumerate(
            zip(kwargs["optimizer"].param_groups, scheduler.get_last_lr(), strict=True)
        ):
            # A tensor on a device is not read: that would make every update wait for it.
            used = group["lr"]
            if isinstance(used, torch.Tensor) or used == lr or index in self._told:
                continue
            self._told.add(index)
            logger.warning(
                f"update {state.global_step + 1}: group {index} is trained with LR {used:.4g}, but the schedule says "
                f"{lr:.4g}. Something else writes LRs into the optimizer; it will be overwritten at the next update."
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        scheduler = kwargs.get("lr_scheduler")
        behind = state.global_step - self._lag - _position(scheduler, state.global_step - self._lag)
        if behind <= 0:
            return
        if isinstance(scheduler, ScheduleLR):
            scheduler.advance_to(state.global_step - self._lag)
        elif "lag" not in self._told:
            self._told.add("lag")
            logger.warning(
                f"update {state.global_step}: the scheduler is {behind} behind, since skipped optimizer steps do not count "
                "for it. The run will end before the schedule does."
            )


def _position(scheduler: Any, unknown: int) -> int:
    """The updates that a scheduler has counted; those that follow a metric count evaluations."""
    follows_a_metric = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau) or hasattr(
        scheduler, "patience"
    )
    return unknown if follows_a_metric else int(getattr(scheduler, "last_epoch", unknown))
