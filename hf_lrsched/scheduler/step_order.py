"""StepOrder: checks how a training loop calls the optimizer, the scheduler and what drives the reactive parts."""

import logging
from typing import Any

from ..schedules import ScheduleError
from ..trajectory.state import RunState

logger = logging.getLogger(__name__)

_MAX_DOUBLED = 3


class StepOrder:
    """Counts the scheduler's steps for each step of the optimizer, and knows which reactive parts something drives."""

    def __init__(self) -> None:
        #: Reactive parts (`plateau`, `cooldown`, `clock`) that a callback or the training loop drives.
        self.driven: set[str] = set()
        #: Whether the latest update had one step of each: then a marked optimizer needs no [`check`].
        self.is_regular = False
        self._steps = self._doubled = 0

    def check(self, optimizer: Any) -> None:
        """Refuse a loop that steps the scheduler several times for each step of the optimizer.

        Torch marks the optimizer at each of its steps. One more step of the scheduler may be intended, at an update whose
        optimizer step was skipped; at three updates in a row it is a mistake.

        Raises:
            ScheduleError: It is the third such update in a row.
        """
        if not getattr(optimizer, "_opt_called", False):
            self._steps += 1
            self.is_regular = False
            return
        optimizer._opt_called = False
        if self._steps > 1:
            self._doubled += 1
            if self._doubled == _MAX_DOUBLED:
                raise ScheduleError(
                    f"the scheduler is stepped {self._steps} times for each optimizer.step(), so the schedule would end too "
                    "early. accelerator.prepare(scheduler) steps it once for every process: use prepare_schedule() instead, and "
                    "step it once after each update."
                )
        else:
            self._doubled = 0
        self._steps = 1
        self.is_regular = not self._doubled

    def warn_of_undriven(self, state: RunState) -> None:
        """Warn of each reactive part of the schedule that nothing drives."""
        clock = state.settings.clock
        parts = {
            "plateau": (
                bool(state.plateaus),
                "plateau() needs evaluation metrics, but nothing reports them",
                "observe(metrics)",
            ),
            "cooldown": (state.cooldown is not None, "nothing can begin cooldown() early", "start_cooldown()"),
            "clock": (not state.counts_updates, f"clock={clock} is advanced by nothing", "move_to(position)"),
        }
        for part, (is_there, why, method) in parts.items():
            if is_there and part not in self.driven:
                logger.warning(
                    f"{why}. Add ScheduleCallback() to Trainer's callbacks; or call scheduler.{method} in your training loop, "
                    f"and scheduler.declare_driven({part!r}) before it."
                )
