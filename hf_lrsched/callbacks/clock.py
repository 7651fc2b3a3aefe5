"""ClockDriver: moves a schedule that does not count updates, and ends the run when its clock is at the end."""

import logging
import math

from transformers import TrainerCallback

from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError
from ..trajectory.clocks import Clock, Epochs, Time, Tokens
from .stop import end_run
from .stopwatch import Stopwatch

logger = logging.getLogger(__name__)


class ClockDriver(TrainerCallback):
    """Moves a [`ScheduleLR`] with a clock: `tokens(...)`, `time(...)` or `epochs`. A part of [`ScheduleCallback`].

    Tokens are those that Trainer counts, over all processes. Time is the main process's, and every process has the same.
    """

    def __init__(self) -> None:
        self._scheduler: ScheduleLR | None = None
        #: Whether an evaluation has used up the time.
        self.is_over = False

    def on_train_begin(self, args, state, control, lr_scheduler=None, **kwargs):
        self._scheduler, self.is_over = None, False
        if not isinstance(lr_scheduler, ScheduleLR) or type(lr_scheduler.clock) is Clock:
            return
        self._scheduler, clock = lr_scheduler, lr_scheduler.clock
        lr_scheduler.declare_driven("clock")
        self._stopwatch = Stopwatch(lr_scheduler.run_state.seconds)
        if isinstance(clock, Tokens):
            if args.include_num_input_tokens_seen in (False, "no"):
                raise ScheduleError(
                    f"clock={clock}: the Trainer does not count tokens. Set include_num_input_tokens_seen='non_padding', or "
                    "'all' to count padding too (on a command line: true, which means 'all')."
                )
            # A checkpoint of the model alone has the number of tokens, too.
            lr_scheduler.move_to(min(state.num_input_tokens_seen, lr_scheduler.end))
        if lr_scheduler.position >= lr_scheduler.end:
            raise ScheduleError(
                f"clock={clock} is used up: the resumed run has reached {lr_scheduler.position:.6g} of {lr_scheduler.end:g} "
                f"{lr_scheduler.run_state.horizon.unit}. Increase clock=, and choose with on_resume= how to continue."
            )
        left, needed = state.max_steps - state.global_step, lr_scheduler.end - lr_scheduler.position
        if isinstance(clock, Epochs) and left < needed:
            raise ScheduleError(
                f"the rest of the data takes {math.ceil(needed)} updates, but Trainer ends the run after {max(left, 0)}: it counts "
                f"{state.global_step} of {state.max_steps} as done, and their batches were smaller. Resume with the checkpoint's batch size "
                "or a smaller one, or choose clock='updates' and an on_resume=."
            )

    def on_step_end(self, args, state, control, **kwargs):
        scheduler = self._scheduler
        if scheduler is None:
            return
        if isinstance(scheduler.clock, Time):
            self._move_to_time(scheduler, self._stopwatch.after_update())
        elif isinstance(scheduler.clock, Tokens):
            scheduler.move_to(min(state.num_input_tokens_seen, scheduler.end))
        if self._is_spent(scheduler):
            end_run(args, control)

    def on_evaluate(self, args, state, control, **kwargs):
        # The next update's LR is that of the time after the evaluation.
        scheduler = self._scheduler
        if scheduler is not None and isinstance(scheduler.clock, Time):
            self._move_to_time(scheduler, self._stopwatch.compare())
            if self._is_spent(scheduler):
                self.is_over = control.should_training_stop = control.should_save = True

    def on_save(self, args, state, control, **kwargs):
        scheduler = self._scheduler
        if scheduler is not None and isinstance(scheduler.clock, Time):
            self._move_to_time(scheduler, self._stopwatch.compare())

    def on_train_end(self, args, state, control, **kwargs):
        scheduler = self._scheduler
        if scheduler is not None and scheduler.position < 0.99 * scheduler.end and state.global_step >= state.max_steps:
            logger.warning(
                f"the run ended at {scheduler.position:.6g} of {scheduler.end:g} {scheduler.run_state.horizon.unit}, in the middle of "
                f"its schedule: Trainer ends it after {state.max_steps} updates, and clock={scheduler.clock} takes longer. "
                "Raise num_train_epochs or max_steps."
            )
        self._scheduler = None

    def _move_to_time(self, scheduler: ScheduleLR, seconds: float) -> None:
        scheduler.run_state.seconds = seconds
        scheduler.move_to(min(seconds, scheduler.end))

    def _is_spent(self, scheduler: ScheduleLR) -> bool:
        # An update that would end after the time is not begun.
        ahead = self._stopwatch.pace if isinstance(scheduler.clock, Time) else 0.0
        return scheduler.position + ahead >= scheduler.end
