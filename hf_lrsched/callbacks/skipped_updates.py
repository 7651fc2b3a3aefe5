"""SkippedUpdates: a schedule ends where it was drawn, also where fp16 skips optimizer steps."""

import logging
from typing import Any

from transformers import TrainerCallback

from ..scheduler.schedule_lr import ScheduleLR

logger = logging.getLogger(__name__)


class SkippedUpdates(TrainerCallback):
    """Corrects a scheduler that is behind, since Trainer does not step it at an update that an fp16 overflow skipped.

    A [`ScheduleLR`] is moved to the right position, so that its end stays where it was drawn. For another scheduler there is
    a warning, once. A part of [`ScheduleCallback`].
    """

    def on_train_begin(self, args, state, control, lr_scheduler=None, **kwargs):
        self._has_warned = False
        self._lag = state.global_step - count_updates(lr_scheduler, state.global_step)

    def on_step_end(self, args, state, control, lr_scheduler=None, **kwargs):
        expected = state.global_step - self._lag
        behind = expected - count_updates(lr_scheduler, expected)
        if behind <= 0:
            return
        if isinstance(lr_scheduler, ScheduleLR):
            lr_scheduler.advance_to(expected)
        elif not self._has_warned:
            self._has_warned = True
            logger.warning(
                f"update {state.global_step}: the scheduler is {behind} behind, since it does not count skipped optimizer "
                "steps. The run will end before the schedule does."
            )


def count_updates(scheduler: Any, unknown: int) -> int:
    """Return the updates that a scheduler has counted; `unknown` for those driven by a metric, which count evaluations."""
    return unknown if hasattr(scheduler, "patience") else int(getattr(scheduler, "last_epoch", unknown))
