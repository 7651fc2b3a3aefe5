"""Clocks: what a schedule counts: updates, epochs, tokens or seconds."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ..schedules import Horizon, ScheduleError
from ..schedules.errors import brief, nearest
from ..schedules.units import Duration, as_duration


@dataclass(frozen=True)
class Clock:
    """What a schedule counts. The default counts updates.

    A run under another clock ends when the clock says so, if the Trainer's own end does not come before.
    """

    name: ClassVar[str] = "updates"

    def horizon(self, run: Horizon) -> Horizon:
        """Return the horizon that the schedule is resolved against, in the clock's own unit.

        Args:
            run ([`Horizon`]): The run in updates.
        """
        return run

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Epochs(Clock):
    """Counts passes over the data. A run that is resumed with another batch size continues at the same place in the data.

    Lengths in updates mean updates of the batch size that the run has now.
    """

    name: ClassVar[str] = "epochs"


@dataclass(frozen=True)
class Tokens(Clock):
    """Counts the tokens that the model has seen, over all processes, as Trainer does (`include_num_input_tokens_seen`).

    Args:
        total (`int` or `str`): The run's tokens; at this number the schedule is at its end. A text such as `2000000` is read.
    """

    total: int
    name: ClassVar[str] = "tokens"

    def __post_init__(self) -> None:
        text = str(self.total).removesuffix("tok")
        if isinstance(self.total, bool) or not re.fullmatch(r"\d+", text, re.ASCII) or int(text) < 1:
            raise ScheduleError(f"tokens() needs a whole number of tokens, at least 1, got {brief(self.total)}.")
        object.__setattr__(self, "total", int(text))

    def horizon(self, run: Horizon) -> Horizon:
        return Horizon(self.total, tokens_per_update=1, unit="tokens")

    def __str__(self) -> str:
        return f"tokens({self.total})"


@dataclass(frozen=True)
class Time(Clock):
    """Counts seconds, evaluations and checkpoints included. When the time is up, the LR is at its end and the run stops.

    Args:
        limit ([`Duration`] or `str`): The time of the run, its resumes included. A text such as `30min` is read.

    Example:
    ```python
    >>> from hf_lrsched import linear, warmup
    >>> print((warmup("2min") >> linear()).explain(Time("30min").horizon(None)))
    warmup(2min) >> linear() over 1,800 seconds
      warmup(2min)  seconds     1 to   120  factor 0 to 1  2min = 120 seconds
      linear()      seconds   121 to 1,800  factor 1 to 0  what is left: 1,680 seconds

    ```
    """

    limit: Duration
    name: ClassVar[str] = "time"

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", as_duration(self.limit, "time()"))
        if self.limit.seconds < 1:
            raise ScheduleError(f"time() must be at least 1s, got {self.limit}.")

    def horizon(self, run: Horizon) -> Horizon:
        return Horizon(math.ceil(self.limit.seconds), unit="seconds")

    def __str__(self) -> str:
        return f"time({self.limit})"


CLOCKS: dict[str, Callable[..., Clock]] = {kind.name: kind for kind in (Clock, Epochs, Tokens, Time)}


def as_clock(value: object) -> Clock:
    """Read a clock from its text: `updates`, `epochs`, `tokens(2000000)`, `time(30min)`.

    Raises:
        ScheduleError: Not a clock.

    Example:
    ```python
    >>> as_clock("time( 30min )") == Time("30min")
    True

    ```
    """
    if isinstance(value, Clock):
        return value
    match = re.fullmatch(r"\s*(\w+)\s*(?:\(\s*([\w.]*)\s*\))?\s*", value, re.ASCII) if isinstance(value, str) else None
    name = match[1] if match else ""
    argument = (match[2] or None) if match else None
    if name not in CLOCKS or (argument is None) != (name in ("updates", "epochs")):
        raise ScheduleError(
            f"a clock is one of updates, epochs, tokens(NUMBER) or time(30min), got {brief(value)}."
            f"{nearest(name, CLOCKS) if name not in CLOCKS else ''}"
        )
    return CLOCKS[name](*filter(None, [argument]))


def convert_position(t: float, was: Horizon, now: Horizon) -> float:
    """Convert a position in the data to updates of another batch size.

    Example:
    ```python
    >>> convert_position(150, Horizon(300, updates_per_epoch=100), Horizon(150, updates_per_epoch=50))
    75.0

    ```
    """
    if not was.updates_per_epoch or not now.updates_per_epoch:
        return t
    return t * now.updates_per_epoch / was.updates_per_epoch
