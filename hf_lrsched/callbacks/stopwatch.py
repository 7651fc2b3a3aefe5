"""Stopwatch: the seconds of a run, the same on every process at every update."""

import math
import time
from collections.abc import Callable

from ..integrations.distributed import on_main_process

# The processes compare their clocks about this often: at each update that would cost more than it brings.
_SECONDS_BETWEEN = 0.5
_MAX_UPDATES_BETWEEN = 100


class Stopwatch:
    """Seconds of training, evaluations and checkpoints included. The main process's clock holds for all.

    Args:
        before (`float`): Seconds of training before this start: those of the run that is resumed.
        now (`Callable[[], float]`, *optional*): The clock on the wall.
    """

    def __init__(self, before: float = 0.0, now: Callable[[], float] = time.monotonic):
        self.seconds = self._before = before
        self._now = now
        self._start = now()
        self._updates = 0
        self._compare_at = 1
        self._compared = (0, before)

    @property
    def pace(self) -> float:
        """Seconds for each update since this start, evaluations and checkpoints included; 0 before the first."""
        updates, seconds = self._compared
        return (seconds - self._before) / updates if updates else 0.0

    def after_update(self) -> float:
        """To be called on every process after each update. Returns the seconds of the run."""
        self._updates += 1
        if self._updates < self._compare_at:
            updates, seconds = self._compared
            self.seconds = seconds + (self._updates - updates) * self.pace
            return self.seconds
        return self.compare()

    def compare(self) -> float:
        """Looks at the main process's clock now; to be called on every process, after what takes long."""
        elapsed = on_main_process(lambda: self._now() - self._start)
        self.seconds = max(self.seconds, self._before + elapsed)
        self._compared = (self._updates, self.seconds)
        between = math.floor(_SECONDS_BETWEEN / self.pace) if self.pace else _MAX_UPDATES_BETWEEN
        self._compare_at = self._updates + min(max(between, 1), _MAX_UPDATES_BETWEEN)
        return self.seconds
