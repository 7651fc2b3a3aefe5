"""Sentence: a schedule taken apart into its phases, in its run; what of it is compared with another one."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from ..schedules import Curve, Horizon, Phase, Product, Schedule, ScheduleError, Sequence, parse
from ..schedules.shapes import Array

#: An LR of at most this share of its peak is spent; from this one on it is at its peak, but for the rounding of updates.
SPENT, HIGH = 0.03, 0.95

# At so many points, at most, a curve is looked at.
_POINTS = 1000


@dataclass(frozen=True)
class Sentence:
    """Phases one after another, in a run.

    Args:
        parts (`tuple[Schedule, ...]`): The phases.
        factors (`tuple[Schedule, ...]`): What scales them all: `plateau()`.
        horizon ([`Horizon`]): The run.
        peak (`float`, *optional*): The peak LR.
    """

    parts: tuple[Schedule, ...]
    factors: tuple[Schedule, ...]
    horizon: Horizon
    peak: float | None = None

    @classmethod
    def read(cls, text: str, horizon: Horizon, peak: float | None = None) -> "Sentence":
        """From a text.

        Raises:
            ScheduleError: It can't be read here, does not fit into the run, or is a product of several curves.
        """
        schedule = parse(text)
        first, *factors = schedule.parts if isinstance(schedule, Product) else (schedule,)
        if not all(factor.neutral for factor in factors):
            raise ScheduleError(f"{text} is a product: which of its factors are the phases is not known.")
        return cls(first.parts if isinstance(first, Sequence) else (first,), tuple(factors), horizon, peak)._checked()

    def with_parts(self, parts: list[Schedule]) -> "Sentence":
        """The same run with other phases.

        Raises:
            ScheduleError: They don't fit into it.
        """
        return replace(self, parts=tuple(parts))._checked()

    def _checked(self) -> "Sentence":
        _ = self.curve
        return self

    @property
    def schedule(self) -> Schedule:
        main = Sequence(self.parts) if len(self.parts) > 1 else self.parts[0]
        return Product((main, *self.factors)) if self.factors else main

    @cached_property
    def curve(self) -> Curve:
        # What can't be read back could not be pasted.
        return parse(str(self.schedule)).resolve(self.horizon, peak=self.peak)

    @cached_property
    def _points(self) -> Array:
        return np.unique(np.linspace(0, self.horizon.num_updates, _POINTS + 1).round())

    @cached_property
    def _levels(self) -> Array:
        return self.curve(self._points)

    @property
    def highest(self) -> float:
        """The highest factor."""
        return float(self._levels.max())

    @property
    def last(self) -> float:
        """The factor at the end."""
        return float(self._levels[-1])

    @property
    def climbed(self) -> float:
        """The share of the run after which it is at its peak."""
        return float(np.argmax(self._levels >= HIGH * self.highest)) / len(self._levels)

    @property
    def spent(self) -> float:
        """The share of the run, at its end, in which the LR is spent."""
        return self._low(SPENT)

    @property
    def idle(self) -> float:
        """The share of the run, at its end, in which the LR is 0."""
        return self._low(1e-12)

    def _low(self, share: float) -> float:
        is_high = self._levels > share * self.highest
        return float(np.argmax(is_high[::-1]) if is_high.any() else len(is_high)) / len(is_high)

    @property
    def frozen(self) -> int:
        """How many phases at the start are frozen."""
        return next((i for i, part in enumerate(self.parts) if not is_frozen(part)), len(self.parts))

    @property
    def warmup(self) -> Phase | None:
        """The warmup that it begins with, after what is frozen."""
        first = self.parts[self.frozen] if self.frozen < len(self.parts) else None
        return first if isinstance(first, Phase) and is_warmup(first) else None

    @property
    def warmup_end(self) -> int:
        """The update after the last of that warmup or, where there is none, of what is frozen."""
        ends = self.parts[: self.frozen + (self.warmup is not None)]
        lengths = [part.length(self.horizon) for part in ends]
        return self.horizon.num_updates if None in lengths else math.ceil(sum(filter(None, lengths), Fraction(0)))

    @property
    def starts_high(self) -> bool:
        """Whether it is at its peak then: it has no climb of its own, and no other warmup to come."""
        return self.curve(self.warmup_end) >= HIGH * self.highest


def is_frozen(part: Schedule) -> bool:
    """Whether a phase keeps the LR at 0: `freeze(1ep)`, `hold(1ep, to=0)`."""
    if not isinstance(part, Phase):
        return False
    return part.name == "freeze" or (part.name == "hold" and dict(part.arguments).get("to") == 0)


def is_warmup(part: Schedule) -> bool:
    return isinstance(part, Phase) and part.name == "warmup"
