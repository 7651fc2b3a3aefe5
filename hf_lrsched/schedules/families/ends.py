"""Decays and their ends, `to` and `to_lr`: what all families that fall have in common."""

import math

import numpy as np

from ..curve import Span
from ..errors import ScheduleError
from ..schedule import Shape
from ..shapes import Function


def decay_along(shape: Function, to: float, to_lr: float | None) -> Shape:
    """Make a decay to its end along a shape: `factor(u) = to + (level - to) * shape(u / D)`."""

    def build(span: Span) -> Function:
        end = get_end_level(span, to, to_lr)
        return lambda u: end + (span.level - end) * shape(u / span.size)

    return build


def decay_by(build_ratio: Shape, to: float, to_lr: float | None) -> Shape:
    """Make a decay by a ratio, never below its end: `factor(u) = max(to, level * ratio(u))`."""

    def build(span: Span) -> Function:
        end, ratio = get_end_level(span, to, to_lr), build_ratio(span)
        return lambda u: np.maximum(end, span.level * ratio(u))

    return build


def get_lowest_level(span: Span, to: float, to_lr: float | None, name: str = "to_lr") -> float:
    """Return a floor as a factor, which must not be above where the phase starts."""
    lowest = span.factor(to, to_lr, name)
    if lowest > span.level:
        raise ScheduleError(f"the floor of {span.text}, {lowest:g}, is above its peak, {span.level:g}.")
    return lowest


def get_end_level(span: Span, to: float, to_lr: float | None) -> float:
    """Return the end of a decay as a factor, which must not be above its start."""
    if span.level == 0 and span.previous is not None:
        first, last = math.ceil(span.start) + 1, math.ceil(span.end)
        span.notes.append(f"the LR is 0 for updates {first:,} to {last:,}: {span.text} starts from 0.")
    end = span.factor(to, to_lr)
    # Levels are computed: an end that equals the start may be an ulp above it.
    if end > span.level and not math.isclose(end, span.level) and not span.may_rise:
        by_lr = "" if to_lr is None else f" (to_lr={to_lr:g} of a peak LR of {span.peak:g})"
        raise ScheduleError(
            f"{span.text} would rise, from {span.level:g} to {end:g}{by_lr}; a decay falls. Lower its end, climb with "
            f"warmup(..., to=...), or write rising({span.text})."
        )
    return end


def refuse_growth(span: Span, factor: float) -> None:
    """Refuse drops that raise the LR."""
    if factor > 1 and not span.may_rise:
        raise ScheduleError(
            f"factor of {span.text} must be above 0 and at most 1, got {factor:g}: a decay multiplies the LR by it at every "
            f"drop. To let it rise, write rising({span.text})."
        )
