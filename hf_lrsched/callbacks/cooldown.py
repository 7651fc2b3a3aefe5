"""CooldownDriver: begins the schedule's cooldown() when the run is about to be ended, and ends the run after it."""

import logging
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerState, TrainingArguments

from ..console import print_text
from ..integrations.distributed import is_true_anywhere, on_main_process
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError
from ..schedules.families.cooldown import Cooldown
from .stop import end_run, to_own_control
from .stopwatch import Stopwatch

logger = logging.getLogger(__name__)

#: The file in the output folder that requests the cooldown.
REQUEST = "start_cooldown"

# With several processes, each of them asks the others at every this many updates whether one of them got a signal.
_UPDATES_BETWEEN_CHECKS = 10


class CooldownDriver(TrainerCallback):
    """Lets a run with `cooldown()` end annealed instead of cut off. A part of [`ScheduleCallback`].

    The cooldown begins when another callback asks at an evaluation that training stops (early stopping), at SIGTERM, when
    the time limit is near, or when a file called `start_cooldown` appears in the output folder (it is then removed). After
    it, the run ends with an evaluation and a checkpoint. A second SIGTERM saves and ends the run at once.
    """

    def __init__(self) -> None:
        self._scheduler: ScheduleLR | None = None
        self._earlier_handler: Any = None
        self._handles_signals = False
        self._num_signals = 0

    def on_train_begin(self, args, state, control, lr_scheduler=None, **kwargs):
        self.release()
        self._scheduler = None
        planned = lr_scheduler.run_state.cooldown if isinstance(lr_scheduler, ScheduleLR) else None
        if planned is None:
            return None
        assert isinstance(planned.shape, Cooldown)
        self._scheduler, self._rule, self._size = lr_scheduler, planned.shape, planned.end - planned.start
        lr_scheduler.declare_driven("cooldown")
        self._num_signals = self._updates = 0
        self._stops_anyway = False
        self._start = lr_scheduler.position
        if lr_scheduler.run_state.trajectory.cooldown_at is not None and lr_scheduler.position >= lr_scheduler.end:
            raise ScheduleError(
                f"this run is over: its cooldown began at {lr_scheduler.run_state.trajectory.cooldown_at:g} and ended at "
                f"{lr_scheduler.end:g}. To continue, resume a checkpoint from before the cooldown, or choose on_resume='switch' with "
                "other settings."
            )
        self._stopwatch = None
        if self._rule.time_limit is not None:
            if lr_scheduler.run_state.seconds >= self._rule.time_limit.seconds:
                raise ScheduleError(
                    f"time_limit={self._rule.time_limit} of {planned.phase} is used up: the run has already taken "
                    f"{lr_scheduler.run_state.seconds:.0f} s, including the time before the resume. Increase time_limit=."
                )
            self._stopwatch = Stopwatch(lr_scheduler.run_state.seconds)
        if "sigterm" in self._rule.on:
            self._handle_signals()
        return to_own_control(control) if "early_stopping" in self._rule.on else None

    def on_step_begin(self, args, state, control, **kwargs):
        self._obey_stops(control)

    on_epoch_begin = on_epoch_end = on_step_begin

    def on_step_end(self, args, state, control, **kwargs):
        scheduler = self._scheduler
        if scheduler is None:
            return
        self._updates += 1
        cause = self._find_cause(scheduler, args, state)
        if cause is not None:
            self._begin(scheduler, cause, state)
        if self._num_signals > 1:
            logger.warning("a second SIGTERM: the run is saved and ended before its cooldown is over.")
            end_run(args, control)
        elif scheduler.run_state.trajectory.cooldown_at is not None and scheduler.position >= scheduler.end:
            end_run(args, control)
        self._stops_anyway = control.should_training_stop

    def on_prediction_step(self, args, state, control, **kwargs):
        # A stop that is asked for before the evaluation, by whichever callback, is not early stopping.
        self._stops_anyway = control.should_training_stop

    def on_evaluate(self, args, state, control, **kwargs):
        if self._scheduler is None:
            return
        if self._stopwatch is not None:
            self._scheduler.run_state.seconds = self._stopwatch.compare()
        if self._stops_anyway or "early_stopping" not in self._rule.on:
            return

        def start_cooldown_instead() -> bool:
            self._begin(scheduler, "early stopping", state)
            return True

        scheduler = self._scheduler
        if control.should_training_stop:  # by a callback before this one
            control.should_training_stop = False
            start_cooldown_instead()
        control.defer_stop = start_cooldown_instead  # by those after this one

    def on_save(self, args, state, control, **kwargs):
        self._obey_stops(control)
        if self._scheduler is not None and self._stopwatch is not None:
            self._scheduler.run_state.seconds = self._stopwatch.compare()

    def on_train_end(self, args, state, control, **kwargs):
        self._obey_stops(control)
        self.release()
        self._scheduler = None

    def _obey_stops(self, control: Any) -> None:
        if self._scheduler is not None:
            control.defer_stop = None

    def _begin(self, scheduler: ScheduleLR, cause: str, state: TrainerState) -> None:
        event = scheduler.start_cooldown(cause)
        if event is not None and state.is_world_process_zero:
            print_text(
                f"update {event['t']}: {cause}, so the cooldown begins now: from LR {event['lr_before']:.4g}, over "
                f"{self._size} {scheduler.run_state.horizon.unit}; then the run ends"
            )

    def _find_cause(self, scheduler: ScheduleLR, args: TrainingArguments, state: TrainerState) -> str | None:
        """Why the cooldown should begin after this update, the same on every process."""
        if self._stopwatch is not None and self._rule.time_limit is not None:
            scheduler.run_state.seconds = seconds = self._stopwatch.after_update()
            done = scheduler.position - self._start
            pace = self._stopwatch.pace * self._updates / done if done > 0 else 0.0
            # One update more, and a tenth to spare: the pace is an average.
            needed = (1 + 1.1 * self._size) * pace
            if seconds + needed >= self._rule.time_limit.seconds and not scheduler.run_state.is_cooling:
                return f"the time limit of {self._rule.time_limit} is near"
        if args.world_size > 1 and self._updates % _UPDATES_BETWEEN_CHECKS:
            return None
        request = Path(str(args.output_dir), REQUEST)
        if on_main_process(request.exists):
            if state.is_world_process_zero:
                request.unlink(missing_ok=True)
            return f"the file {REQUEST} was found"
        if args.world_size > 1:
            signals = int(is_true_anywhere(self._num_signals > 0)) + int(is_true_anywhere(self._num_signals > 1))
            self._num_signals = max(self._num_signals, signals)
        return "SIGTERM" if self._num_signals else None

    def _handle_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            logger.warning("training runs outside of the main thread, so SIGTERM cannot begin the cooldown.")
            return

        def count(number: int, frame: FrameType | None) -> None:
            self._num_signals += 1
            if self._num_signals > 1:  # a third one ends the process, as where an error has ended the training
                self.release()

        self._earlier_handler = signal.signal(signal.SIGTERM, count)
        self._handles_signals = True

    def release(self) -> None:
        """Give SIGTERM back its earlier handler."""
        if self._handles_signals:
            self._handles_signals = False
            signal.signal(signal.SIGTERM, self._earlier_handler or signal.SIG_DFL)
