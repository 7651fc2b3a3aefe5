"""LRCheck: the scheduler's LR is the one that trains, at every update."""

import logging
import math
from typing import Any

import torch
from transformers import TrainerCallback

from ..optim.wrappers import find_module, unwrap_optimizer
from ..scheduler.schedule_lr import ScheduleLR
from ..scheduler.supported_optimizers import explain_left_out, find_hidden_groups
from ..schedules import ScheduleError
from ..trajectory.settings import format_lrs
from .skipped_updates import count_updates

logger = logging.getLogger(__name__)


class LRCheck(TrainerCallback):
    """Finds what makes a log show a learning rate that no parameter had. A part of [`ScheduleCallback`].

    - A scheduler of another optimizer than the one that trains: an error before the first update.
    - A schedule in the training arguments that the Trainer does not use: an error before the first update.
    - An optimizer within the one that trains whose LRs do not follow: an error at the first update that shows it.
    - Trained parameters that are in no group of the optimizer: a warning.
    - An LR that something else wrote into the optimizer: a warning at that update, once for each group.
    - A scheduler that an earlier `train()` has used up: a warning.
    """

    def __init__(self) -> None:
        self._reported: set[Any] = set()
        self._hidden: list[dict[str, Any]] = []
        self._lrs_before: list[float] = []

    def on_train_begin(self, args, state, control, model=None, optimizer=None, lr_scheduler=None, **kwargs):
        self._reported = set()
        position = count_updates(lr_scheduler, state.global_step)
        if position > state.global_step:
            logger.warning(
                f"the scheduler is at update {position}, but training starts at {state.global_step}: an earlier train() used "
                "it. Make a new scheduler for each train(), or use ScheduledTrainer, which does."
            )
        schedule = getattr(args, "schedule", None)
        if isinstance(schedule, str) and not isinstance(lr_scheduler, ScheduleLR):
            raise ScheduleError(
                f"args.schedule={schedule!r} is not used: this Trainer made a {type(lr_scheduler).__name__}. Use ScheduledTrainer, "
                "or pass optimizers=(optimizer, get_scheduler(args.schedule, optimizer, ...))."
            )
        trained, scheduled = unwrap_optimizer(optimizer), unwrap_optimizer(getattr(lr_scheduler, "optimizer", None))
        if trained is not None and scheduled is not None and trained is not scheduled:
            raise ScheduleError(
                f"the {type(lr_scheduler).__name__} belongs to another optimizer than the one that trains: the log would show "
                "its LRs while the real ones stay constant. Pass its optimizer too: optimizers=(optimizer, scheduler)."
            )
        self._hidden, self._lrs_before = [], []
        if isinstance(lr_scheduler, ScheduleLR) and (module := find_module(model)) is not None:
            lr_scheduler.saved_optimizer.name_parameters(module, optimizer)
            self._hidden = find_hidden_groups(optimizer)
            if (left_out := explain_left_out(module, optimizer)) is not None:
                logger.warning(left_out)

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, lr_scheduler=None, **kwargs):
        if not isinstance(lr_scheduler, ScheduleLR):
            return  # others, such as ReduceLROnPlateau, need not know the LR of every update
        if self._hidden:
            self._check_hidden_groups(state.global_step + 1, lr_scheduler.get_last_lr())
        # A group that was added in mid-run is an error of the scheduler's next step.
        for index, (group, lr) in enumerate(zip(optimizer.param_groups, lr_scheduler.get_last_lr(), strict=False)):
            used = group["lr"]
            # A tensor on a device is not read: every update would wait for it.
            if isinstance(used, torch.Tensor) or used == lr or index in self._reported:
                continue
            self._reported.add(index)
            logger.warning(
                f"update {state.global_step + 1}: group {index} is trained with LR {used:.4g}, but the schedule says "
                f"{lr:.4g}. Something else writes LRs into the optimizer; the next update overwrites it."
            )

    def _check_hidden_groups(self, update, lrs):
        # An optimizer may pass the LRs on when it steps: until then the optimizer within has those of the update before.
        used = [float(group["lr"]) for group in self._hidden]
        strange = [lr for lr in used if not any(math.isclose(lr, known) for known in (*lrs, *self._lrs_before))]
        if self._lrs_before and strange:
            raise ScheduleError(
                f"update {update}: an optimizer within the one that trains has LR {strange[0]:.4g}, but the schedule says "
                f"{format_lrs(lrs)}. It has parameter groups of its own, which the schedule does not reach. Make param_groups of "
                "the outer optimizer a property that returns the inner one's, or schedule the inner one."
            )
        self._lrs_before = lrs
