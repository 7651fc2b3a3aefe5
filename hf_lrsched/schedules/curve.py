"""Curve: a schedule resolved against a horizon, update -> factor."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from ..console import format_table
from .errors import ScheduleError
from .shapes import Array
from .units import Horizon, Length

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .schedule import Schedule

# The size in which long arrays are computed: it fits into a core's cache, and most blocks lie within one phase.
_BLOCK = 32_768


class Part(NamedTuple):
    """A phase at its place in a run, for plots and tables.

    Args:
        text (`str`): The phase as text, e.g. `warmup(10%)`.
        start (`float`): The first update that it covers, counted from 0. It is whole on a curve; a resume may move it between two.
        end (`float`): The update after its last.
        arithmetic (`tuple[str, ...]`): How its lengths came out, e.g. `10% of 345 updates = 35`.
    """

    text: str
    start: float
    end: float
    arithmetic: tuple[str, ...] = ()


class ReactiveShape:
    """The shape of a phase that does more than scale the LR: it reacts to the run, as `plateau()` does, or sets the momentum."""

    #: Whether it only scales its neighbours in a product, and takes their length.
    only_scales = False


class ReactivePart(NamedTuple):
    """A reactive phase at its place in a run.

    Args:
        shape ([`ReactiveShape`]): Its reaction.
        phase ([`Schedule`]): The phase.
        start (`int`): The first update that it covers, counted from 0.
        end (`int`): The update after its last.
    """

    shape: ReactiveShape
    phase: "Schedule"
    start: int
    end: int


class Piece(NamedTuple):
    """Factors over a range of updates. From `end` on they stay at `values(end)`."""

    start: float
    end: float
    values: Callable[[Array], Array]  # update -> factor; called with start <= t <= end only
    parts: tuple[Part, ...]
    reactive_parts: tuple[ReactivePart, ...] = ()

    def __call__(self, t: Array) -> Array:
        return self.values(np.minimum(t, self.end))

    def level_at_end(self) -> float:
        return float(self(np.array([self.end]))[0])


def join(pieces: Sequence[Piece]) -> Piece:
    """Join consecutive pieces into one."""
    if len(pieces) == 1:
        return pieces[0]
    starts = np.array([piece.start for piece in pieces], dtype=np.float64)

    def values(t: Array) -> Array:
        if not t.size:
            return t
        first, last = np.searchsorted(starts, [t.min(), t.max()], side="right") - 1
        if first == last:
            only: Piece = pieces[first]
            return only(t)
        which = np.searchsorted(starts, t, side="right") - 1
        factors = np.empty_like(t)
        for index in range(first, last + 1):
            here = which == index
            factors[here] = pieces[index](t[here])
        return factors

    parts = tuple(part for piece in pieces for part in piece.parts)
    reactive_parts = tuple(part for piece in pieces for part in piece.reactive_parts)
    return Piece(pieces[0].start, pieces[-1].end, values, parts, reactive_parts)


@dataclass(frozen=True, eq=False)
class Curve:
    """A schedule resolved against a horizon: `curve(t)` is the factor of update t+1.

    `t` runs from 0 to `num_updates` - 1; past the end the factor stays at its last value and never rises again. `t` is
    a number or an array of any shape; an array gives the same values, to the bit, as a loop over its elements.

    Args:
        schedule ([`Schedule`]): The schedule.
        horizon ([`Horizon`]): The run that it was resolved against.
        piece ([`Piece`]): The factors.
        notes (`tuple[str, ...]`, defaults to `()`): Warnings: doubtful points of this schedule in this run.

    Raises:
        ScheduleError: `t` is negative or NaN.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear, warmup
    >>> curve = (warmup(2) >> linear()).resolve(6)
    >>> [curve(t) for t in range(7)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    >>> curve([0, 1, 100])
    array([0. , 0.5, 0. ])

    ```
    """

    schedule: "Schedule"
    horizon: Horizon
    piece: Piece
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The phases, each with its place in the run."""
        return self.piece.parts

    @property
    def reactive_parts(self) -> tuple[ReactivePart, ...]:
        """Its reactive phases, `plateau()` and `cooldown()`, in order."""
        return self.piece.reactive_parts

    @overload
    def __call__(self, t: float) -> float: ...
    @overload
    def __call__(self, t: "ArrayLike") -> Array: ...
    def __call__(self, t: "ArrayLike") -> float | Array:
        given = np.asarray(t)
        flat = given.reshape(-1)
        if flat.size and not flat.min() >= 0:  # also true of NaN
            raise ScheduleError(f"updates are counted from 0, got {flat.min()}.")
        factors = np.empty(flat.shape, dtype=np.float64)
        for first in range(0, flat.size, _BLOCK):
            block = flat[first : first + _BLOCK].astype(np.float64)
            factors[first : first + _BLOCK] = self.piece(block)
        if flat.size and flat.max() >= (end := self.horizon.num_updates):
            # Past the end the LR never rises again, although some shapes would: a triangle, a wave.
            last, after = self.piece(np.array([end - 1.0, float(end)]))
            factors[flat >= end] = min(last, after)
        return float(factors[0]) if given.ndim == 0 else factors.reshape(given.shape)

    def explain(self) -> str:
        """Explain the curve: its phases, their updates (counted from 1), their factors and the arithmetic of their lengths.

        Example:
        ```python
        >>> from hf_lrsched.schedules import linear, warmup
        >>> print((warmup("10%") >> linear()).resolve(345).explain())
        warmup(10%) >> linear() over 345 updates
          warmup(10%)  updates   1 to  35  factor 0 to 1  10% of 345 updates = 35
          linear()     updates  36 to 345  factor 1 to 0  what is left: 310 updates

        ```
        """
        rows, digits = [], len(f"{self.horizon.num_updates:,}")
        for part in self.parts:
            updates = f"{self.horizon.unit} {part.start + 1:>{digits},} to {part.end:>{digits},}"
            factors = f"factor {self(part.start):.3g} to {self(part.end):.3g}"
            rows.append([part.text, updates, factors, "; ".join(part.arithmetic)])
        lines = [*format_table(rows, left=range(4)), *(f"warning: {note}" for note in self.notes)]
        return "\n  ".join([f"{self.schedule} over {self.horizon}", *lines])


@dataclass(frozen=True)
class Span:
    """The place of a phase in a run: all that its shape may depend on.

    Args:
        start (`int` or `Fraction`): Its first update; a fraction only within a cycle of `repeat()`.
        end (`int` or `Fraction`): The update after its last.
        previous (`float`, *optional*): The factor at which the phase before it ended; `None` at the start of the run.
        horizon ([`Horizon`]): The run.
        peak (`float`, *optional*): The peak LR of the group, where it is known.
        text (`str`): The phase as text, for errors.
        notes (`list[str]`): Warnings. A shape adds its own.
        restart (`float`, *optional*): The level of a new cycle, whatever the factor before it.
        may_rise (`bool`): Whether a decay may rise.
        budget (`list[int]`): The cycles that the schedule may still have, in all its `repeat()` together.
    """

    start: int | Fraction
    end: int | Fraction
    previous: float | None
    horizon: Horizon
    peak: float | None = None
    text: str = ""
    notes: list[str] = field(default_factory=list, compare=False)
    restart: float | None = None
    may_rise: bool = False
    budget: list[int] = field(default_factory=lambda: [10_000], compare=False)

    @property
    def size(self) -> float:
        """Its number of updates, rounded as the updates that a shape is called with."""
        return float(self.end) - float(self.start)

    @property
    def level(self) -> float:
        """The factor that a decay starts from: where the phase before it ended, or 1, the peak, at the start of the run."""
        if self.restart is not None:
            return self.restart
        return 1.0 if self.previous is None else self.previous

    def factor(self, to: float, to_lr: float | None, name: str = "to_lr") -> float:
        """Turn an end into a factor. It is given as a factor, or as an LR that is the same for every group."""
        if to_lr is None:
            return to
        if self.peak is None:
            raise ScheduleError(f"{name}={to_lr:g} of {self.text} needs the peak LR: resolve(..., peak=2e-5).")
        if self.peak == 0:
            raise ScheduleError(f"{name}={to_lr:g} of {self.text}: a group with a peak LR of 0 cannot reach it.")
        return to_lr / self.peak

    def updates(self, length: Length) -> Fraction:
        """Turn a length into updates, as a fraction small enough for exact arithmetic on arrays."""
        updates = length.updates(self.horizon).limit_denominator(1_000_000)
        if not updates:
            raise ScheduleError(f"{length} of {self.text} is less than a millionth of an update.")
        return updates

    def milestones(self, lengths: Sequence[Length]) -> Array:
        """Turn lengths, counted from the start of the run, into whole updates, rounded up.

        Raises:
            ScheduleError: They do not rise.
        """
        updates = [math.ceil(length.updates(self.horizon)) for length in lengths]
        for (before, at), (after, then) in pairwise(zip(lengths, updates, strict=True)):
            if then <= at:
                raise ScheduleError(
                    f"{before} and {after} of {self.text} are out of order: updates {at:,} and {then:,}."
                )
        return np.array(updates, dtype=np.float64)
