"""Outline: a schedule divided into its phases, and the facts by which two schedules of one run are compared."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from ..schedules import Curve, Horizon, Phase, Product, Schedule, ScheduleError, Sequence, parse
from ..schedules.shapes import Array

#: Below the first share of its peak an LR is spent, from the second one on it is at its peak, but for rounding to updates.
SPENT, HIGH = 0.03, 0.95

# A curve is evaluated at so many points, at most.
_MAX_POINTS = 1000


@dataclass(frozen=True)
class Outline:
    """The phases of a schedule in a run.

    Args:
        parts (`tuple[Schedule, ...]`): The phases, one after another.
        factors (`tuple[Schedule, ...]`): What multiplies them all: `plateau()`.
        horizon ([`Horizon`]): The run.
        peak (`float`, *optional*): The peak LR.

    Raises:
        ScheduleError: The phases do not fit into the run, or cannot be written as text.
    """

    parts: tuple[Schedule, ...]
    factors: tuple[Schedule, ...]
    horizon: Horizon
    peak: float | None = None

    def __post_init__(self) -> None:
        _ = self.curve

    @classmethod
    def parse(cls, text: str, horizon: Horizon, peak: float | None = None) -> "Outline":
        """Read a schedule's text.

        Raises:
            ScheduleError: It is invalid here, does not fit into the run, or is a product of several curves.
        """
        schedule = parse(text)
        first, *factors = schedule.parts if isinstance(schedule, Product) else (schedule,)
        if not all(factor.only_scales for factor in factors):
            raise ScheduleError(f"{text} is a product of several curves, so its phases are ambiguous.")
        return cls(first.parts if isinstance(first, Sequence) else (first,), tuple(factors), horizon, peak)

    def with_parts(self, parts: list[Schedule]) -> "Outline":
        """Return the same run with other phases."""
        return replace(self, parts=tuple(parts))

    @property
    def schedule(self) -> Schedule:
        """The schedule with these phases."""
        main = Sequence(self.parts) if len(self.parts) > 1 else self.parts[0]
        return Product((main, *self.factors)) if self.factors else main

    @cached_property
    def curve(self) -> Curve:
        """The schedule's curve, by way of its text: a text that cannot be parsed cannot be pasted either."""
        return parse(str(self.schedule)).resolve(self.horizon, peak=self.peak)

    @cached_property
    def _levels(self) -> Array:
        return self.curve(np.unique(np.linspace(0, self.horizon.num_updates, _MAX_POINTS + 1).round()))

    @cached_property
    def highest(self) -> float:
        """The highest factor. A short warmup can end between two of the points, so the bounds of the phases count, too."""
        bounds = [float(bound) for part in self.curve.parts for bound in (part.start, part.end)]
        return float(max(self._levels.max(), self.curve(np.array(bounds)).max()))

    @property
    def last(self) -> float:
        """The factor at the end."""
        return float(self._levels[-1])

    @property
    def climb(self) -> float:
        """The share of the run until the peak is reached."""
        return float(np.argmax(self._levels >= HIGH * self.highest)) / len(self._levels)

    @property
    def spent(self) -> float:
        """The share of the run, at its end, with a spent LR."""
        return self._share_below(SPENT)

    @property
    def idle(self) -> float:
        """The share of the run, at its end, with an LR of 0."""
        return self._share_below(1e-12)

    def _share_below(self, level: float) -> float:
        is_high = self._levels > level * self.highest
        return float(np.argmax(is_high[::-1]) if is_high.any() else len(is_high)) / len(is_high)

    @property
    def num_frozen(self) -> int:
        """How many phases at the start are frozen."""
        return next((i for i, part in enumerate(self.parts) if not is_frozen(part)), len(self.parts))

    @property
    def warmup(self) -> Phase | None:
        """The warmup at the start, after the frozen phases."""
        first = self.parts[self.num_frozen] if self.num_frozen < len(self.parts) else None
        return first if isinstance(first, Phase) and is_warmup(first) else None

    @property
    def warmup_end(self) -> int:
        """The update after that warmup or, without one, after the frozen phases."""
        parts = self.parts[: self.num_frozen + (self.warmup is not None)]
        lengths = [part.length(self.horizon) for part in parts]
        return self.horizon.num_updates if None in lengths else math.ceil(sum(filter(None, lengths), Fraction(0)))

    @property
    def peaks_after_warmup(self) -> bool:
        """Whether the peak is reached there: no climb of another kind and no second warmup follows."""
        return self.curve(self.warmup_end) >= HIGH * self.highest


def is_frozen(part: Schedule) -> bool:
    """Return whether a phase keeps the LR at 0: `freeze(1ep)`, `hold(1ep, to=0)`."""
    if not isinstance(part, Phase):
        return False
    return part.name == "freeze" or (part.name == "hold" and dict(part.arguments).get("to") == 0)


def is_warmup(part: Schedule) -> bool:
    """Return whether a phase is a `warmup(...)`."""
    return isinstance(part, Phase) and part.name == "warmup"
