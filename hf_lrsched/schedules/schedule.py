"""Schedule: phases joined by >> and stacked by *, resolved against a horizon into a curve."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from itertools import accumulate, pairwise
from typing import TypeAlias, TypeVar

import numpy as np

from .curve import Curve, Part, Piece, Span, join
from .errors import ScheduleError, brief
from .shapes import Array, Function
from .units import Horizon, as_horizon

#: What a phase is made of: for its place in a run, the factor as a function of the updates since its start.
Shape: TypeAlias = Callable[[Span], Function]


class Sized:
    """A shape with a length of its own, for phases around a schedule."""

    def __init__(self, build: Shape, length: Callable[[Horizon], Fraction | None]):
        self.build = build
        self.length = length

    def __call__(self, span: Span) -> Function:
        return self.build(span)


#: Limits of a text, and so of every schedule: each can be written out and read back.
MAX_CHARACTERS = 10_000
MAX_DEPTH = 32


class Schedule:
    """A learning-rate schedule: phases, which give a curve for any run.

    Schedules are immutable, and equal if they mean the same. `str(schedule)` is the text, and [`parse`] reads it back.
    `a >> b` is a, then b. `a * b` is the product of their factors.
    """

    def __rshift__(self, other: "Schedule") -> "Sequence":
        if not isinstance(other, Schedule):
            return NotImplemented
        return within_limits(Sequence((*get_parts(self, Sequence), *get_parts(other, Sequence))))

    def __mul__(self, other: "Schedule") -> "Product":
        if not isinstance(other, Schedule):
            return NotImplemented
        return within_limits(Product((*get_parts(self, Product), *get_parts(other, Product))))

    def resolve(
        self, num_updates: int | Horizon, updates_per_epoch: int | None = None, *, peak: float | None = None
    ) -> Curve:
        """Resolve the schedule against a run: compute its curve.

        Lengths become whole updates: a boundary is rounded up, so that `10%` of 345 updates is 35, as Trainer rounds a
        warmup. Phases after the one that takes what is left are counted from the end of the run. So phases always add
        up.

        Args:
            num_updates (`int` or [`Horizon`]): The number of updates of the run, or all that is known of the run.
            updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.
            peak (`float`, *optional*): The group's peak LR; needed only where the schedule names an absolute LR
                (`to_lr=`).

        Returns:
            [`Curve`]: update -> factor.

        Raises:
            ScheduleError: The lengths do not fit into the run, or have no meaning in it.

        Example:
        ```python
        >>> from hf_lrsched.schedules import cosine, warmup
        >>> curve = (warmup("1ep") >> cosine(to=0.1)).resolve(300, updates_per_epoch=100)
        >>> curve([0, 50, 100, 200, 300])
        array([0.  , 0.5 , 1.  , 0.55, 0.1 ])

        ```
        """
        if peak is not None and not (isinstance(peak, int | float) and math.isfinite(peak) and peak >= 0):
            raise ScheduleError(f"the peak LR must be a finite number of at least 0, got {brief(peak)}.")
        horizon = as_horizon(num_updates, updates_per_epoch)
        span = Span(0, horizon.num_updates, None, horizon, peak, text=str(self))
        length = self.length(horizon)
        if length is not None:
            updates = math.ceil(length)
            if updates > horizon.num_updates:
                raise ScheduleError(_too_long(self, updates, span))
            span = replace(span, end=updates)
        piece = self.build(span)
        if not piece.parts:
            raise ScheduleError(f"{self} takes no update.")
        if piece.end < horizon.num_updates:
            level = piece.level_at_end()
            span.notes.append(
                f"the schedule ends at update {piece.end:,.0f} of {horizon.num_updates:,}; the LR then stays at {level:.3g} "
                "of its peak. Leave out the length of one phase to let it take what is left."
            )
        _check_values(piece)
        _check_last(piece)
        return Curve(self, horizon, piece, tuple(dict.fromkeys(span.notes)))

    def explain(
        self, num_updates: int | Horizon, updates_per_epoch: int | None = None, *, peak: float | None = None
    ) -> str:
        """Explain every length in a run.

        Args:
            num_updates (`int` or [`Horizon`]): As in [`resolve`].
            updates_per_epoch (`int`, *optional*): As in [`resolve`].
            peak (`float`, *optional*): As in [`resolve`].

        Returns:
            `str`: A line for each phase: its updates, its factors and how its length came about. Notes stand below.

        Raises:
            ScheduleError: The lengths do not fit into the run, or have no meaning in it.

        Example:
        ```python
        >>> from hf_lrsched.schedules import linear, warmup
        >>> print((warmup("10%") >> linear()).explain(345))
        warmup(10%) >> linear() over 345 updates
          warmup(10%)  updates   1 to  35  factor 0 to 1  10% of 345 updates = 35
          linear()     updates  36 to 345  factor 1 to 0  what is left: 310 updates

        ```
        """
        return self.resolve(num_updates, updates_per_epoch, peak=peak).explain()

    def length(self, horizon: Horizon) -> Fraction | None:
        """Return the exact number of updates that this takes, or `None` if it takes what is left."""
        raise NotImplementedError

    def build(self, span: Span) -> Piece:
        """Compute the factors at a place in a run."""
        raise NotImplementedError

    @property
    def only_scales(self) -> bool:
        """Whether this only scales its neighbours in a product, and takes their length."""
        return False

    @property
    def is_reactive(self) -> bool:
        """Whether this, and not a part of it, reacts to events of the run."""
        return False

    def __repr__(self) -> str:
        return str(self)


S = TypeVar("S", bound=Schedule)


def within_limits(schedule: S) -> S:
    """Return the schedule, if its text can be read back.

    Raises:
        ScheduleError: Its text is longer or deeper than allowed.
    """
    text = str(schedule)
    if len(text) > MAX_CHARACTERS:
        raise ScheduleError(f"a schedule's text has at most {MAX_CHARACTERS:,} characters, this one {len(text):,}.")
    brackets = re.findall(r"[()\[\]]", text)
    if (depth := max(accumulate(1 if bracket in "([" else -1 for bracket in brackets), default=0)) > MAX_DEPTH:
        raise ScheduleError(f"a schedule is nested at most {MAX_DEPTH} deep, this one {depth}.")
    return schedule


def get_parts(schedule: Schedule, kind: "type[Sequence | Product]") -> tuple[Schedule, ...]:
    """Return the parts of a schedule of this kind; another one is its own only part."""
    return schedule.parts if isinstance(schedule, kind) else (schedule,)


@dataclass(frozen=True, repr=False)
class Sequence(Schedule):
    """Consecutive phases: `a >> b`. Each starts from the factor at which the one before it ended."""

    parts: tuple[Schedule, ...]

    def length(self, horizon: Horizon) -> Fraction | None:
        lengths = [part.length(horizon) for part in self.parts]
        return None if None in lengths else sum((x for x in lengths if x is not None), Fraction(0))

    def build(self, span: Span) -> Piece:
        pieces: list[Piece] = []
        ends = self._compute_ends(span)
        for part, start, end in zip(self.parts, [span.start, *ends], ends, strict=False):
            here = replace(span, start=start, end=end)
            pieces.append(
                part.build(replace(here, previous=pieces[-1].level_at_end(), restart=None) if pieces else here)
            )
        return join(pieces)

    def _compute_ends(self, span: Span) -> list[int | Fraction]:
        """Compute the end of each phase: forwards up to the one that takes what is left, then back from the end."""
        lengths = [part.length(span.horizon) for part in self.parts]
        takes_rest = [i for i, length in enumerate(lengths) if length is None]
        if len(takes_rest) > 1:
            first, second = (str(self.parts[i]) for i in takes_rest[:2])
            raise ScheduleError(
                f"two phases without a length, {first} and {second}: only one can take what is left. Give one a length, e.g. "
                "over=50%."
            )
        known = [length or Fraction(0) for length in lengths]
        front = takes_rest[0] if takes_rest else len(known)
        ends: list[int | Fraction] = [span.start + math.ceil(sum(known[: i + 1])) for i in range(front)]
        back = [span.end - math.ceil(sum(known[i + 1 :])) for i in range(front, len(known))]
        ends += back
        if takes_rest and back[0] - (ends[front - 1] if front else span.start) < 1:
            others = ", ".join(
                f"{part} takes {math.ceil(length):,}"
                for part, length in zip(self.parts, lengths, strict=True)
                if length is not None
            )
            raise ScheduleError(
                f"nothing is left for {self.parts[front]}: of {span.size:,.0f} {span.horizon.unit}, {others}. Make the other "
                "phases shorter or the run longer."
            )
        if ends[-1] > span.end:
            raise ScheduleError(_too_long(self, math.ceil(ends[-1] - span.start), span))
        for part, start, end in zip(self.parts, [span.start, *ends], ends, strict=False):
            if end == start and part.length(span.horizon) != 0:
                span.notes.append(f"{part} comes out as 0 updates of {span.horizon.num_updates:,} and has no effect.")
        return ends

    def __str__(self) -> str:
        return " >> ".join(map(str, self.parts))


@dataclass(frozen=True, repr=False)
class Product(Schedule):
    """The product of the factors of several schedules: `a * b`. One that ends early stays at its last value."""

    parts: tuple[Schedule, ...]

    def length(self, horizon: Horizon) -> Fraction | None:
        lengths = [part.length(horizon) for part in self.parts if not part.only_scales]
        return None if None in lengths else max((x for x in lengths if x is not None), default=None)

    @property
    def only_scales(self) -> bool:
        return all(part.only_scales for part in self.parts)

    def build(self, span: Span) -> Piece:
        pieces: list[Piece] = []
        for i, part in enumerate(self.parts):
            length = part.length(span.horizon)
            end = span.end if length is None else min(span.end, span.start + math.ceil(length))
            if length is not None and span.start + math.ceil(length) > span.end:
                raise ScheduleError(_too_long(part, math.ceil(length), span))
            # The first factor starts from the level before the product; the others multiply it.
            here = replace(span, end=end)
            pieces.append(part.build(here if i == 0 else replace(here, previous=None, restart=None)))

        def values(t: Array) -> Array:
            return reduce(lambda product, piece: product * piece(t), pieces[1:], pieces[0](t))

        reactive_parts = tuple(part for piece in pieces for part in piece.reactive_parts)
        for reactive in reactive_parts:
            if not reactive.shape.only_scales and sum(not factor.only_scales for factor in self.parts) > 1:
                raise ScheduleError(
                    f"{reactive.phase} can be multiplied by plateau() only: if it begins early, the other factors of {self} are "
                    "not known."
                )
        return Piece(float(span.start), float(span.end), values, _overlay(pieces, span), reactive_parts)

    def __str__(self) -> str:
        return " * ".join(f"({part})" if isinstance(part, Sequence) else str(part) for part in self.parts)


def _check_values(piece: Piece) -> None:
    """Refuse factors that are not finite, looked at in a few places of each phase."""
    for part in piece.parts:
        points = np.array([part.start, (part.start + part.end) // 2, part.end - 1, part.end], dtype=np.float64)
        if part.end > part.start and not np.isfinite(piece(points)).all():
            raise ScheduleError(f"{part.text} gives factors that are not finite numbers; its arguments are too large.")


def _check_last(piece: Piece) -> None:
    """Refuse phases after one that may begin early and then ends the run."""
    for part in piece.reactive_parts:
        if not part.shape.only_scales and part.end != piece.parts[-1].end:
            raise ScheduleError(f"{part.phase} ends the run and must be last; {piece.parts[-1].text} follows.")


def _overlay(pieces: list[Piece], span: Span) -> tuple[Part, ...]:
    """Split at the boundaries of all pieces; each part has the names of the phases that hold there."""
    inner = {bound for piece in pieces for part in piece.parts for bound in (part.start, part.end)}
    bounds = sorted({math.ceil(span.start), math.ceil(span.end), *inner})
    parts = []
    for start, end in pairwise(bounds):
        here = [part for piece in pieces for part in piece.parts if part.start <= start and end <= part.end]
        arithmetic = tuple(line for part in here if part.start == start for line in part.arithmetic)
        parts.append(Part(" * ".join(part.text for part in here), start, end, arithmetic))
    return tuple(parts)


def _too_long(schedule: Schedule, updates: int, span: Span) -> str:
    parts = schedule.parts if isinstance(schedule, Sequence) else (schedule,)
    lengths = [(part, part.length(span.horizon)) for part in parts]
    sums = ", ".join(f"{part} {math.ceil(length):,}" for part, length in lengths if length is not None)
    return (
        f"{brief(str(schedule))[1:-1]} takes {updates:,} {span.horizon.unit}, but only {span.size:,.0f} are there ({sums}). "
        "Shorten a phase, or leave out its length to let it take what is left."
    )
