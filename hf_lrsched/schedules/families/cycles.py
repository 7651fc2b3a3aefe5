"""Schedules that rise again: repeat() for warm restarts of any shape, triangular() and one_cycle()."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated

import numpy as np

from ..arguments import (
    CountArgument,
    DecayFactorArgument,
    FactorArgument,
    LengthArgument,
    OptionalLength,
    OptionalLR,
    PositiveArgument,
    ScheduleArgument,
    one_of,
)
from ..curve import Piece, Span, join
from ..errors import ScheduleError
from ..registry import phase
from ..schedule import Schedule, Shape
from ..shapes import Array, Function
from ..units import Horizon, Length
from .ends import get_lowest_level

_MAX_CYCLES = 10_000


@phase
def repeat(
    schedule: ScheduleArgument,
    *,
    cycles: CountArgument | None = None,
    first: OptionalLength = None,
    growth: PositiveArgument = 1.0,
    decay: DecayFactorArgument = 1.0,
    peak_decay: DecayFactorArgument = 1.0,
    floor: FactorArgument = 0.0,
    floor_lr: OptionalLR = None,
    over: OptionalLength = None,
) -> Shape:
    """Repeat a schedule: warm restarts of any shape.

    Cycle i = 0, 1, … lasts `first * growth ** i` and is `floor + (schedule - floor) * decay ** i`. A decay starts each cycle at the
    peak, a warmup where the cycle before it ended. A cycle may end between two updates. Shares within the schedule
    (`warmup(10%)`) are shares of the run, as everywhere.

    Args:
        schedule ([`Schedule`]): The schedule to repeat.
        cycles (`int`, *optional*): Their number. Defaults to as many as fit, the last one cut off.
        first (length, *optional*): The first cycle's length. Defaults to the schedule's own length; if that is what
            is left, the cycles fill the
            available time.
        growth (`float`, defaults to 1): What each cycle's length is multiplied by for the next one; above 0.
        decay (factor, defaults to 1): What each cycle's factors, above the floor, are multiplied by for the next one.
        peak_decay (factor, defaults to 1): What the level at which each cycle starts is multiplied by for the next one; the end
            of the cycle stays. A cycle that begins with a warmup climbs to that warmup's own `to`.
        floor (factor, defaults to 0): The level towards which the cycles decay: `repeat(cosine(to=10%), cycles=3,
            decay=0.5, floor=10%)` ends each cycle at 10%.
        floor_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long in all. Defaults to the sum of the cycles if it is known, else to what is
            left.

    Raises:
        ScheduleError: The length of a cycle is not known, or given twice.

    When: snapshots at every low point, or a search for flatter minima. When not: plain fine-tuning; the model is at its
    best only at the end of a cycle.

    Source: Loshchilov & Hutter 2016, SGDR, https://arxiv.org/abs/1608.03983 (`growth` is its T_mult);
    `decay` and `floor` are `m_mul` and `alpha` of Keras' `CosineDecayRestarts`; `growth` and `peak_decay` are `cycle_mul` and
    `cycle_decay` of timm's schedulers.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear
    >>> repeat(linear(), cycles=2, decay=0.5).resolve(8)(range(8))
    array([1.   , 0.75 , 0.5  , 0.25 , 0.5  , 0.375, 0.25 , 0.125])

    ```
    """
    return _Repeat(schedule, cycles, first, growth, decay, peak_decay, floor, floor_lr)


@dataclass(frozen=True)
class _Repeat:
    """The shape of `repeat()`."""

    schedule: Schedule
    cycles: int | None
    first: Length | None
    growth: float
    decay: float
    peak_decay: float
    floor: float
    floor_lr: float | None

    def __post_init__(self) -> None:
        if self.cycles is not None and self.cycles > _MAX_CYCLES:
            raise ScheduleError(f"cycles of repeat() must be at most {_MAX_CYCLES:,}, got {self.cycles:,}.")

    def length(self, horizon: Horizon) -> Fraction | None:
        """Return the sum of the cycles, if their number and length are known."""
        first = self._first(horizon)
        return None if first is None or self.cycles is None else first * self._ends(self.cycles)[-1]

    def _first(self, horizon: Horizon) -> Fraction | None:
        own = self.schedule.length(horizon)
        if own is not None and (self.first is not None or self.growth != 1):
            raise ScheduleError(
                f"a cycle of repeat({self.schedule}) has a length of its own. Leave it out, or leave out first= and growth=."
            )
        return self.first.updates(horizon) if self.first else own

    def _ends(self, cycles: int, enough: Fraction | None = None) -> list[Fraction]:
        """Return the ends of the cycles, in units of the first one, up to the first that reaches `enough`."""
        growth = Fraction(repr(self.growth))
        ends: list[Fraction] = []
        end, size = Fraction(0), Fraction(1)
        while len(ends) < cycles and (enough is None or end < enough):
            if size > 10**30:
                raise ScheduleError(
                    f"the cycles of repeat() become too long or too short: growth={self.growth:g}, cycles={cycles}."
                )
            end += size
            # Exact while the numbers are small, else far finer than an update.
            size = (size * growth).limit_denominator(10**9)
            ends.append(end)
        return ends

    def __call__(self, span: Span) -> Function:
        total = Fraction(span.end - span.start)
        first = self._first(span.horizon)
        if first is None and self.cycles is None:
            raise ScheduleError(
                f"the length of a cycle of {span.text} is not known; give cycles=3, first=1ep, or the schedule a length."
            )
        ends = self._ends_within(first, total)
        floor = get_lowest_level(span, self.floor, self.floor_lr, "floor_lr")
        pieces: list[Piece] = []
        for index, (start, end) in enumerate(zip([Fraction(0), *ends], ends, strict=False)):
            if end - start < 1:
                raise ScheduleError(
                    f"cycle {index + 1} of {span.text} is shorter than an update. Give fewer cycles, or longer ones."
                )
            span.budget[0] -= 1
            if span.budget[0] < 0:
                raise ScheduleError(f"{span.text}: more than {_MAX_CYCLES:,} cycles in all; make them longer.")
            scale = self.decay**index
            previous = span.previous
            if index:
                previous = floor + (pieces[-1].level_at_end() - floor) / scale if scale else floor
            restart = span.level * self.peak_decay**index
            cycle = replace(span, start=span.start + start, end=span.start + end, previous=previous, restart=restart)
            pieces.append(_scale(self.schedule.build(cycle), scale, floor))
        joined = join(pieces)
        offset, size = float(span.start), float(total)
        if ends[-1] > total:
            span.notes.append(f"the end of the phase cuts off the last cycle of {span.text}.")
        return lambda u: joined(np.minimum(u, size) + offset)

    def _ends_within(self, first: Fraction | None, total: Fraction) -> list[Fraction]:
        if first is None:
            ends = self._ends(self.cycles or 1)
            return [total * end / ends[-1] for end in ends]
        if self.cycles is not None:
            return [first * end for end in self._ends(self.cycles)]
        ends = [first * end for end in self._ends(_MAX_CYCLES, enough=total / first)]
        if ends[-1] < total:
            raise ScheduleError(f"more than {_MAX_CYCLES:,} cycles in {float(total):,.0f} updates; make them longer.")
        return ends


def _scale(piece: Piece, scale: float, floor: float) -> Piece:
    return piece._replace(values=lambda t: floor + (piece.values(t) - floor) * scale) if scale != 1 else piece


@phase
def triangular(
    *,
    up: LengthArgument,
    down: OptionalLength = None,
    to: FactorArgument = 0.1,
    to_lr: OptionalLR = None,
    decay: DecayFactorArgument = 1.0,
    gamma: DecayFactorArgument = 1.0,
    over: OptionalLength = None,
) -> Shape:
    """Climb from `to` to the peak and fall back, in triangles: `factor(u) = to + (level - to) * s * decay ** c * gamma ** u`.

    In cycle c = floor(u / (up + down)), s climbs from 0 to 1 over `up` and falls back over `down`.

    Args:
        up (length): The climb of one cycle.
        down (length, *optional*): Its fall. Defaults to `up`.
        to (factor, defaults to 0.1): The lowest factor: torch's `base_lr / max_lr`.
        to_lr (LR, *optional*): The same as an LR, for each group by itself: torch's `base_lr`.
        decay (factor, defaults to 1): What each cycle's height is multiplied by for the next; 0.5 is `triangular2`.
        gamma (factor, defaults to 1): What the height is multiplied by at every update: `exp_range`.
        over (length, *optional*): How long in all. Defaults to what is left.

    Raises:
        ScheduleError: `to` is above the peak.

    When: to explore a range of LRs in one run. When not: a final run; it ends wherever the cycle happens to be.

    Source: Smith 2015, https://arxiv.org/abs/1506.01186; torch's `CyclicLR`.

    Example:
    ```python
    >>> triangular(up=2, to=0.0, decay=0.5).resolve(8)(range(8))
    array([0.  , 0.5 , 1.  , 0.5 , 0.  , 0.25, 0.5 , 0.25])

    ```
    """

    def build(span: Span) -> Function:
        low = get_lowest_level(span, to, to_lr)
        rise = float(span.updates(up))
        cycle = rise + float(span.updates(down or up))

        def values(u: Array) -> Array:
            index = np.floor(u / cycle)
            x = u - index * cycle
            height = np.where(x <= rise, x / rise, (cycle - x) / (cycle - rise))
            factors: Array = low + (span.level - low) * height * decay**index * gamma**u
            return factors

        return values

    return build


@phase
def one_cycle(
    *,
    peak_at: FactorArgument = 0.3,
    start: FactorArgument = 0.04,
    to: FactorArgument = 4e-6,
    shape: Annotated[str, one_of("cosine", "linear")] = "cosine",
    over: OptionalLength = None,
) -> Shape:
    """Climb once, from `start` to the peak at `peak_at` of the phase, then fall to `to` at its last update.

    With D updates, a = peak_at * D - 1 and b = D - 1: up to u = a the factor goes from `start` to 1, then from 1 to `to`
    at u = b, each way along a cosine (or a straight line). So, as in torch, the last update has exactly `to`, and the
    peak lies one update before `peak_at`, between two updates if a is not whole.

    Args:
        peak_at (share, defaults to 0.3): Where the peak is; torch's `pct_start`.
        start (factor, defaults to 0.04): Where it starts; torch's `1 / div_factor`.
        to (factor, defaults to 4e-6): Where it ends; torch's `1 / (div_factor * final_div_factor)`.
        shape (`str`, defaults to `cosine`): `cosine` or `linear`.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: `peak_at` is not between 0 and 1, or an end is above the peak.

    When: training from scratch with a high LR. When not: fine-tuning, where a shorter warmup and a linear decay do the
    same with two numbers fewer.

    Source: torch's `OneCycleLR`, whose two phases are fastai's form of Smith & Topin 2017,
    https://arxiv.org/abs/1708.07120. Both also cycle the momentum: `one_cycle() * momentum()`.

    Example:
    ```python
    >>> one_cycle(peak_at=0.5, start=0.2, to=0, shape="linear").resolve(6)(range(6))
    array([0.2       , 0.6       , 1.        , 0.66666667, 0.33333333,
           0.        ])

    ```
    """
    if not 0 < peak_at < 1:
        raise ScheduleError(f"peak_at of one_cycle() must be above 0 and below 1, got {peak_at:g}.")
    if max(start, to) > 1:
        raise ScheduleError(f"start and to of one_cycle() must be at most 1, the peak, got {start:g} and {to:g}.")

    def between(low: Array, high: Array, p: Array) -> Array:
        return high + (low - high) * (0.5 * (1.0 + np.cos(np.pi * p)) if shape == "cosine" else 1.0 - p)

    def build(span: Span) -> Function:
        last = span.size - 1.0
        top = peak_at * span.size - 1.0
        starts, ends, peak = np.array(start), np.array(to), np.array(1.0)

        def values(u: Array) -> Array:
            u = np.minimum(u, last)
            climbing = between(starts, peak, np.clip(u / top, 0.0, 1.0)) if top > 0 else np.ones_like(u)
            falling = between(peak, ends, np.clip((u - top) / (last - top), 0.0, 1.0))
            return span.level * np.where(u <= top, climbing, falling)

        return values

    return build
