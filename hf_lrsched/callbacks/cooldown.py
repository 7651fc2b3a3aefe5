"""CooldownCallback: begins the schedule's cooldown() when the run is about to be ended, and ends the run after it."""

import logging
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..integrations.distributed import anywhere, on_main_process
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError
from ..schedules.families.cooldown import Cooldown
from .stop import end_run
from .stopwatch import Stopwatch

logger = logging.getLogger(__name__)

#: The file in the output folder that asks for the cooldown.
REQUEST = "start_cooldown"

# Several processes ask each other so often whether one of them got a signal.
_UPDATES_BETWEEN = 10


class CooldownCallback(TrainerCallback):
    """Lets a run with `cooldown()` end annealed instead of cut off.

    The cooldown begins when another callback asks at an evaluation that training stops (early stopping), at SIGTERM, when
    the time limit nears, or when a file called `start_cooldown` appears in the output folder (it is then removed). When it
    is over, the run ends with an evaluation and a checkpoint. A second SIGTERM saves and ends the run at once.

    [`ScheduledTrainer`] has one. In a stock Trainer it stands last in `callbacks=`, after `EarlyStoppingCallback`.
    """

    def __init__(self) -> None:
        self._scheduler: ScheduleLR | None = None
        self._earlier_handler: Any = None
        self._handles_signals = False
        self._signals = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.release()
        scheduler = kwargs.get("lr_scheduler")
        planned = scheduler.cooldown if isinstance(scheduler, ScheduleLR) else None
        self._scheduler = None
        if planned is None:
            return
        assert isinstance(scheduler, ScheduleLR) and isinstance(planned.rule, Cooldown)
        self._scheduler, self._rule, self._size = scheduler, planned.rule, planned.end - planned.start
        scheduler.attended.add("cooldown")
        self._signals = self._updates = 0
        self._stops_anyway = False
        self._start = scheduler.position
        if scheduler.trajectory.cooldown_at is not None and scheduler.position >= scheduler.end:
            raise ScheduleError(
                f"this run is over: its cooldown began at {scheduler.trajectory.cooldown_at:g} and ended at {scheduler.end:g}. To "
                "train on, resume a checkpoint from before it, or choose on_resume='switch' with other settings."
            )
        self._stopwatch = None
        if self._rule.time_limit is not None:
            if scheduler.seconds >= self._rule.time_limit.seconds:
                raise ScheduleError(
                    f"time_limit={self._rule.time_limit} of {planned.phase} is in the past: the run that is resumed took "
                    f"{scheduler.seconds:.0f} s already, and its time is counted together. Give a longer one."
                )
            self._stopwatch = Stopwatch(scheduler.seconds)
        if "sigterm" in self._rule.on:
            self._take_signals()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._scheduler is None:
            return
        self._updates += 1
        cause = self._cause(self._scheduler, args, state)
        if cause is not None:
            self._begin(self._scheduler, cause, state)
        if self._signals > 1:
            logger.warning("a second SIGTERM: the run is saved and ended before its cooldown is over.")
            end_run(args, control)
        elif self._scheduler.trajectory.cooldown_at is not None and self._scheduler.position >= self._scheduler.end:
            end_run(args, control)
        self._stops_anyway = control.should_training_stop

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._scheduler is not None and self._stopwatch is not None:
            self._scheduler.seconds = self._stopwatch.compare()
        if self._scheduler is None or not control.should_training_stop or self._stops_anyway:
            return
        if "early_stopping" in self._rule.on:
            control.should_training_stop = False  # now and later: the run ends with its cooldown
            self._begin(self._scheduler, "early stopping", state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._scheduler is not None and self._stopwatch is not None:
            self._scheduler.seconds = self._stopwatch.compare()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.release()
        self._scheduler = None

    def _begin(self, scheduler: ScheduleLR, cause: str, state: TrainerState) -> None:
        event = scheduler.start_cooldown(cause)
        if event is not None and state.is_world_process_zero:
            print(
                f"update {event['t']}: {cause}, so the cooldown begins now: from LR {event['lr_before']:.4g}, over "
                f"{self._size} {scheduler.horizon.unit}; then the run ends",
                flush=True,
            )

    def _cause(self, scheduler: ScheduleLR, args: TrainingArguments, state: TrainerState) -> str | None:
        """Why the cooldown should begin after this update, the same on every process."""
        if self._stopwatch is not None and self._rule.time_limit is not None:
            scheduler.seconds = seconds = self._stopwatch.after_update()
            done = scheduler.position - self._start
            pace = self._stopwatch.pace * self._updates / done if done > 0 else 0.0
            # One update more, and a tenth to spare: the pace is an average.
            if seconds + (1 + 1.1 * self._size) * pace >= self._rule.time_limit.seconds and not scheduler.is_cooling:
                return f"the time limit of {self._rule.time_limit} nears"
        if args.world_size > 1 and self._updates % _UPDATES_BETWEEN:
            return None
        request = Path(str(args.output_dir), REQUEST)
        if on_main_process(request.exists):
            if state.is_world_process_zero:
                request.unlink(missing_ok=True)
            return f"the file {REQUEST} was found"
        if args.world_size > 1:
            self._signals = max(self._signals, int(anywhere(self._signals > 0)) + int(anywhere(self._signals > 1)))
        return "SIGTERM" if self._signals else None

    def _take_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            logger.warning("training runs outside of the main thread: SIGTERM can't begin the cooldown.")
            return

        def count(number: int, frame: FrameType | None) -> None:
            self._signals += 1
            if self._signals > 2:  # nobody is there to answer, as where an error ended the training
                self.release()
                os.kill(os.getpid(), number)

        self._earlier_handler = signal.signal(signal.SIGTERM, count)
        self._handles_signals = True

    def release(self) -> None:
        """SIGTERM does again what it did before the training."""
        if self._handles_signals:
            self._handles_signals = False
            signal.signal(signal.SIGTERM, self._earlier_handler or signal.SIG_DFL)
