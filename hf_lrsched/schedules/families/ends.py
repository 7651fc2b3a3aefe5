"""`to` and `to_lr`: where a decay ends."""

import math

from ..curve import Span
from ..errors import ScheduleError


def _refuse_two_ends(to: float | None, to_lr: float | None, name: str) -> None:
    if to and to_lr is not None:
        raise ScheduleError(f"{name}() has two ends, to={to:g} and to_lr={to_lr:g}; give one.")


def _checked_end(span: Span, to: float, to_lr: float | None) -> float:
    """The end of a decay as a factor; it must not be above its start."""
    end = span.factor(to, to_lr)
    # Levels are computed, so an end that equals the start may come out an ulp above it.
    if end > span.height and not math.isclose(end, span.height):
        by_lr = "" if to_lr is None else f" (to_lr={to_lr:g} of a peak LR of {span.peak:g})"
        raise ScheduleError(
            f"{span.text} would rise, from {span.height:g} to {end:g}{by_lr}; a decay falls. Lower its end, or climb with "
            f"warmup(..., to=...)."
        )
    return end
