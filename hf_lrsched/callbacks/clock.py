"""ClockCallback: moves a schedule that does not count updates, and ends the run when its clock is at the end."""

import logging
import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError
from ..trajectory.clocks import Clock, Epochs, Time, Tokens
from .stop import end_run
from .stopwatch import Stopwatch

logger = logging.getLogger(__name__)


class ClockCallback(TrainerCallback):
    """For a [`ScheduleLR`] with a clock: `tokens(...)`, `time(...)` or `epochs`.

    Tokens are those that Trainer counts, over all processes. Time is the main process's, and every process has the same.

    [`ScheduledTrainer`] has one. For a stock Trainer:

    ```python
    scheduler = ScheduleLR(optimizer, "warmup(10%) >> linear()", num_training_steps, clock="time(30min)")
    trainer = Trainer(..., optimizers=(optimizer, scheduler), callbacks=[LRCheck(), ClockCallback()])
    ```
    """

    def __init__(self) -> None:
        self._scheduler: ScheduleLR | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        scheduler = kwargs.get("lr_scheduler")
        self._scheduler = None
        if not isinstance(scheduler, ScheduleLR) or type(scheduler.clock) is Clock:
            return
        self._scheduler = scheduler
        scheduler.attended.add("clock")
        self._stopwatch = Stopwatch(scheduler.seconds)
        if isinstance(scheduler.clock, Tokens) and args.include_num_input_tokens_seen in (False, "no"):
            raise ScheduleError(
                f"clock={scheduler.clock}: the Trainer does not count tokens. Set include_num_input_tokens_seen='non_padding', "
                "or 'all' to count padding too (on a command line: true, which is 'all')."
            )
        if isinstance(scheduler.clock, Tokens):  # a checkpoint of the model alone has them, too
            scheduler.move_to(min(state.num_input_tokens_seen, scheduler.end))
        if scheduler.position >= scheduler.end:
            raise ScheduleError(
                f"clock={scheduler.clock} is at its end: the run that is resumed got to {scheduler.position:.6g} of "
                f"{scheduler.end:g} {scheduler.horizon.unit}. Give it more, and say by on_resume= how to go on."
            )
        left, needed = state.max_steps - state.global_step, scheduler.end - scheduler.position
        if isinstance(scheduler.clock, Epochs) and left < needed:
            raise ScheduleError(
                f"the data that is left takes {math.ceil(needed)} updates, and Trainer, which counts updates, would end the run "
                f"after {max(left, 0)}: {state.global_step} of its {state.max_steps} are behind it, of a smaller batch. Resume "
                "with the checkpoint's batch size or a smaller one; or with clock='updates' and on_resume=."
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        scheduler = self._scheduler
        if scheduler is None:
            return
        if isinstance(scheduler.clock, Time):
            self._move_to_time(scheduler, self._stopwatch.after_update())
        elif isinstance(scheduler.clock, Tokens):
            scheduler.move_to(min(state.num_input_tokens_seen, scheduler.end))
        if self._is_spent(scheduler):
            end_run(args, control)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # The next update's LR is that of the time after the evaluation.
        scheduler = self._scheduler
        if scheduler is not None and isinstance(scheduler.clock, Time):
            self._move_to_time(scheduler, self._stopwatch.compare())
            if self._is_spent(scheduler):
                control.should_training_stop = control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        scheduler = self._scheduler
        if scheduler is not None and isinstance(scheduler.clock, Time):
            self._move_to_time(scheduler, self._stopwatch.compare())

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        scheduler = self._scheduler
        if scheduler is not None and scheduler.position < 0.99 * scheduler.end and state.global_step >= state.max_steps:
            logger.warning(
                f"the run ended at {scheduler.position:.6g} of {scheduler.end:g} {scheduler.horizon.unit}, in the middle of "
                f"its schedule: clock={scheduler.clock}, and the Trainer's own end came first, after {state.max_steps} updates. "
                "Raise num_train_epochs or max_steps."
            )
        self._scheduler = None

    def _move_to_time(self, scheduler: ScheduleLR, seconds: float) -> None:
        scheduler.seconds = seconds
        scheduler.move_to(min(seconds, scheduler.end))

    def _is_spent(self, scheduler: ScheduleLR) -> bool:
        # An update that would end after the time is not begun.
        ahead = self._stopwatch.pace if isinstance(scheduler.clock, Time) else 0.0
        return scheduler.position + ahead >= scheduler.end
