"""Schedule: phases joined by >> and stacked by *, resolved against a horizon into a curve."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import TypeAlias, TypeVar

import numpy as np

from .curve import Curve, Part, Piece, Span, join
from .errors import ScheduleError, brief
from .shapes import Array, Function
from .units import Horizon

#: What a phase is made of: given its place, the factor as a function of the updates since its start.
Shape: TypeAlias = Callable[[Span], Function]


# What a text may be, and so what may be built: else it could not be read back.
MOST_CHARACTERS = 10_000
DEEPEST = 32


class Schedule:
    """A learning-rate schedule: a sentence of phases, from which any run's curve follows.

    Immutable; equal and hashed by meaning; `str(schedule)` is its text, and [`parse`] reads it back.
    `a >> b` is a, then b. `a * b` is the product of their factors.
    """

    def __rshift__(self, other: "Schedule") -> "Sequence":
        if not isinstance(other, Schedule):
            return NotImplemented
        return within_limits(Sequence((*_parts_of(self, Sequence), *_parts_of(other, Sequence))))

    def __mul__(self, other: "Schedule") -> "Product":
        if not isinstance(other, Schedule):
            return NotImplemented
        return within_limits(Product((*_parts_of(self, Product), *_parts_of(other, Product))))

    def resolve(
        self,
        num_updates: int | Horizon,
        updates_per_epoch: int | None = None,
        *,
        peak: float | None = None,
    ) -> Curve:
        """The curve of this schedule in a run.

        Lengths become whole updates: a boundary is rounded up, so that `10%` of 345 updates is 35, as Trainer rounds a
        warmup. Phases after the one that takes what is left are counted from the end of the run. So phases always add
        up, and a length that stands alone is rounded up.

        Args:
            num_updates (`int` or [`Horizon`]): All updates of the run, or all that is known of it.
            updates_per_epoch (`int`, *optional*): Needed by lengths in epochs.
            peak (`float`, *optional*): The group's peak LR; needed only where the schedule names an absolute LR
                (`to_lr=`).

        Returns:
            [`Curve`]: update -> factor.

        Raises:
            ScheduleError: The lengths don't fit into the run, or have no meaning in it.

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
        if isinstance(num_updates, Horizon):
            if updates_per_epoch is not None:
                raise ScheduleError("give updates_per_epoch in the Horizon or beside a number of updates, not both.")
            horizon = num_updates
        else:
            horizon = Horizon(num_updates, updates_per_epoch)
        span = Span(0, horizon.num_updates, None, horizon, peak, text=str(self))
        length = self.length(horizon)
        if length is not None:
            updates = math.ceil(length)
            if updates > horizon.num_updates:
                raise ScheduleError(_too_long(self, updates, span))
            span = replace(span, end=updates)
        piece = self.place(span)
        if piece.end < horizon.num_updates:
            level = piece.level_at_end()
            span.notes.append(
                f"the schedule ends at update {piece.end:g} of {horizon.num_updates}; the LR then stays at {level:.3g} of its "
                "peak. Leave out the length of one phase to let it take what is left."
            )
        _check_values(piece, span)
        _check_reactions(piece)
        return Curve(self, horizon, piece, tuple(span.notes))

    def explain(
        self, num_updates: int | Horizon, updates_per_epoch: int | None = None, *, peak: float | None = None
    ) -> str:
        """The arithmetic of every length in a run, as text. See [`resolve`] and [`Curve.explain`]."""
        return self.resolve(num_updates, updates_per_epoch, peak=peak).explain()

    def length(self, horizon: Horizon) -> Fraction | None:
        """The exact updates that this takes, or `None` if it takes what is left."""
        raise NotImplementedError

    def place(self, span: Span) -> Piece:
        """The factors of this over a span."""
        raise NotImplementedError

    @property
    def neutral(self) -> bool:
        """Whether this only scales what it is multiplied with, and takes that one's length."""
        return False

    @property
    def reacts(self) -> bool:
        """Whether this, and not a part of it, follows what happens in the run."""
        return False

    def __repr__(self) -> str:
        return str(self)


S = TypeVar("S", bound=Schedule)


def within_limits(schedule: S) -> S:
    """The schedule, if its text can be read back.

    Raises:
        ScheduleError: It is longer or deeper than a text may be.
    """
    text = str(schedule)
    depth = deepest = 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        deepest = max(deepest, depth)
    if len(text) > MOST_CHARACTERS:
        raise ScheduleError(f"a schedule's text has at most {MOST_CHARACTERS:,} characters, this one {len(text):,}.")
    if deepest > DEEPEST:
        raise ScheduleError(f"a schedule is nested at most {DEEPEST} deep, this one {deepest}.")
    return schedule


def _parts_of(schedule: Schedule, kind: "type[Sequence | Product]") -> tuple[Schedule, ...]:
    return schedule.parts if isinstance(schedule, kind) else (schedule,)


@dataclass(frozen=True, repr=False)
class Sequence(Schedule):
    """Phases one after another: `a >> b`. Each begins where the one before it ended."""

    parts: tuple[Schedule, ...]

    def length(self, horizon: Horizon) -> Fraction | None:
        lengths = [part.length(horizon) for part in self.parts]
        return None if None in lengths else sum((x for x in lengths if x is not None), Fraction(0))

    def place(self, span: Span) -> Piece:
        level = span.level
        pieces: list[Piece] = []
        ends = self._ends(span)
        for part, start, end in zip(self.parts, [span.start, *ends], ends, strict=False):
            restart = span.restart if not pieces else None
            piece = part.place(replace(span, start=start, end=end, level=level, restart=restart))
            level = piece.level_at_end()
            pieces.append(piece)
        return join(pieces)

    def _ends(self, span: Span) -> list[int | Fraction]:
        """Where each phase ends."""
        lengths = [part.length(span.horizon) for part in self.parts]
        takes_rest = [i for i, length in enumerate(lengths) if length is None]
        if len(takes_rest) > 1:
            first, second = (str(self.parts[i]) for i in takes_rest[:2])
            raise ScheduleError(
                f"two phases without a length, {first} and {second}: only one can take what is left. Give the other one "
                f"a length, e.g. over=50%."
            )
        known = [length or Fraction(0) for length in lengths]
        front = takes_rest[0] if takes_rest else len(known)
        ends: list[int | Fraction] = [span.start + math.ceil(sum(known[: i + 1])) for i in range(front)]
        back = [span.end - math.ceil(sum(known[i + 1 :])) for i in range(front, len(known))]
        ends += back
        if takes_rest and back[0] - (ends[front - 1] if front else span.start) < 1:
            others = ", ".join(
                f"{part} takes {math.ceil(length)}"
                for part, length in zip(self.parts, lengths, strict=True)
                if length is not None
            )
            raise ScheduleError(
                f"nothing is left for {self.parts[front]}: of {span.size:g} {span.horizon.unit} {others}. Make the other phases "
                "shorter or the run longer."
            )
        if ends[-1] > span.end:
            raise ScheduleError(_too_long(self, math.ceil(ends[-1] - span.start), span))
        for part, start, end in zip(self.parts, [span.start, *ends], ends, strict=False):
            if end == start:
                span.notes.append(f"{part} comes out as 0 updates of {span.horizon.num_updates} and has no effect.")
        return ends

    def __str__(self) -> str:
        return " >> ".join(map(str, self.parts))


@dataclass(frozen=True, repr=False)
class Product(Schedule):
    """The product of several schedules' factors: `a * b`. One that ends before the others stays at its last value."""

    parts: tuple[Schedule, ...]

    def length(self, horizon: Horizon) -> Fraction | None:
        lengths = [part.length(horizon) for part in self.parts if not part.neutral]
        return None if None in lengths else max((x for x in lengths if x is not None), default=None)

    @property
    def neutral(self) -> bool:
        return all(part.neutral for part in self.parts)

    def place(self, span: Span) -> Piece:
        pieces: list[Piece] = []
        for i, part in enumerate(self.parts):
            length = part.length(span.horizon)
            end = span.end if length is None else min(span.end, span.start + math.ceil(length))
            if length is not None and span.start + math.ceil(length) > span.end:
                raise ScheduleError(_too_long(part, math.ceil(length), span))
            # The level carries over through the first factor alone; the others multiply it.
            carried = span if i == 0 else replace(span, level=None, restart=None)
            pieces.append(part.place(replace(carried, end=end)))

        def values(t: Array) -> Array:
            return reduce(lambda product, piece: product * piece(t), pieces[1:], pieces[0](t))

        reactions = tuple(reaction for piece in pieces for reaction in piece.reactions)
        for reaction in reactions:
            if not reaction.rule.neutral and sum(not part.neutral for part in self.parts) > 1:
                raise ScheduleError(
                    f"{reaction.phase} can't be multiplied: of {self}, it would not be known what the other factors are when it "
                    "begins early. Only plateau() may stand beside it."
                )
        return Piece(float(span.start), float(span.end), values, _overlay(pieces, span), reactions)

    def __str__(self) -> str:
        return " * ".join(f"({part})" if isinstance(part, Sequence) else str(part) for part in self.parts)


def _check_values(piece: Piece, span: Span) -> None:
    """Factors must be finite; a phase whose LR is 0 throughout is doubtful."""
    for part in piece.parts:
        if part.end == part.start:
            continue
        points = np.array([part.start, (part.start + part.end) // 2, part.end - 1, part.end], dtype=np.float64)
        factors = piece(points)
        if not np.isfinite(factors).all():
            raise ScheduleError(f"{part.text} gives factors that are not finite numbers; its arguments are too large.")
        if part.start > 0 and not factors[:-1].any() and not part.text.startswith(("hold(", "freeze(")):
            span.notes.append(f"the LR is 0 for updates {part.start + 1} to {part.end}: {part.text} starts from 0.")


def _check_reactions(piece: Piece) -> None:
    """A phase that may begin early, and ends the run, is the last one."""
    for reaction in piece.reactions:
        if not reaction.rule.neutral and reaction.end != piece.parts[-1].end:
            raise ScheduleError(
                f"{reaction.phase} ends the run and must be the last phase; {piece.parts[-1].text} follows."
            )


def _overlay(pieces: list[Piece], span: Span) -> tuple[Part, ...]:
    """The stretches between all boundaries of several pieces, each named after the phases that hold there."""
    inner = {bound for piece in pieces for part in piece.parts for bound in (part.start, part.end)}
    bounds = sorted({math.ceil(span.start), math.ceil(span.end), *inner})
    stretches = []
    for start, end in pairwise(bounds):
        here = [part for piece in pieces for part in piece.parts if part.start <= start and end <= part.end]
        arithmetic = tuple(line for part in here if part.start == start for line in part.arithmetic)
        stretches.append(Part(" * ".join(part.text for part in here), start, end, arithmetic))
    return tuple(stretches)


def _too_long(schedule: Schedule, updates: int, span: Span) -> str:
    parts = schedule.parts if isinstance(schedule, Sequence) else (schedule,)
    lengths = [(part, part.length(span.horizon)) for part in parts]
    sums = ", ".join(f"{part} {math.ceil(length)}" for part, length in lengths if length is not None)
    return (
        f"{brief(str(schedule))[1:-1]} takes {updates} {span.horizon.unit}, but only {span.size:g} are there ({sums}). Shorten a phase, "
        "or leave out its length to let it take what is left."
    )
