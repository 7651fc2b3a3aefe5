"""cooldown(): a last decay, which may begin early."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from .. import shapes
from ..arguments import DurationArgument, FactorArgument, LengthArgument, OptionalLR, one_of, subset_of
from ..curve import Curve, ReactivePart, ReactiveShape, Span
from ..errors import ScheduleError
from ..registry import phase
from ..schedule import Shape
from ..shapes import Function
from ..units import Duration
from .ends import get_end_level


@dataclass(frozen=True)
class Cooldown(ReactiveShape):
    """The shape of `cooldown()`, with what begins it."""

    shape: str
    to: float
    to_lr: float | None
    on: tuple[str, ...]
    time_limit: Duration | None

    def __call__(self, span: Span) -> Function:
        end = get_end_level(span, self.to, self.to_lr)
        return lambda u: end + (span.level - end) * shapes.BY_NAME[self.shape](u / span.size)


@phase
def cooldown(
    over: LengthArgument,
    *,
    shape: Annotated[str, one_of(*shapes.BY_NAME)] = "one_minus_sqrt",
    to: FactorArgument = 0.0,
    to_lr: OptionalLR = None,
    on: Annotated[Any, subset_of("early_stopping", "sigterm")] = ("early_stopping", "sigterm"),
    time_limit: DurationArgument | None = None,
) -> Shape:
    """Anneal at the end of the run, also when the run ends early: it then begins at once.

    With D updates, from the factor h where it begins: `factor(u) = to + (h - to) * shape(u / D)`, the shape being
    `1 - sqrt(p)`, `1 - p` or `(1 + cos(pi p)) / 2`. By default these are the last D updates of the run. At early
    stopping, a signal or a time limit it begins at once, and the run ends D updates later, with an evaluation and a
    checkpoint.

    Args:
        over (length): How long.
        shape (`str`, defaults to `one_minus_sqrt`): `one_minus_sqrt`, `linear` or `cosine`.
        to (factor, defaults to 0): Where it ends.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        on (list, defaults to `[early_stopping, sigterm]`): What begins it. `early_stopping`: a callback asks at an
            evaluation that training stops, as `EarlyStoppingCallback` does. `sigterm`: the signal; at a second one the run
            saves and stops at once. `[]`: neither. A file `start_cooldown` in the output folder and
            `scheduler.start_cooldown()` always begin it.
        time_limit (duration, *optional*): `2h`, `30min`: it begins early enough for the run to end by then. The time of
            a resumed run counts from its first start.

    Raises:
        ScheduleError: It is not the last phase, or it would rise.

    When: a run that holds its LR (`warmup(2%) >> hold() >> cooldown(20%)`) and whose end is open: early stopping, a
    queue's time limit. When not: after a decay that is low at its end already.

    Source: Hägele et al. 2024, https://arxiv.org/abs/2405.18392, for the shape and for 10 to 20 % of the run.

    Example:
    ```python
    >>> from hf_lrsched.schedules import hold
    >>> (hold() >> cooldown(4)).resolve(8)([3, 4, 5, 8])
    array([1. , 1. , 0.5, 0. ])

    ```
    """
    return Cooldown(shape, to, to_lr, on, time_limit)


def find_cooldown(curve: Curve) -> ReactivePart | None:
    """Find the cooldown of a curve, if it has one."""
    return next((part for part in curve.reactive_parts if isinstance(part.shape, Cooldown)), None)


def cool_down(curve: Curve, at: float, level: float, peak: float) -> Curve:
    """Return the curve of a cooldown that begins at update `at` from a factor. It says nothing of earlier updates."""
    planned = find_cooldown(curve)
    if planned is None:
        return curve
    size = planned.end - planned.start
    horizon = replace(curve.horizon, num_updates=math.ceil(at) + size)
    span = Span(at, at + size, level, horizon, peak)  # type: ignore[arg-type]  # a clock's position is no whole number
    try:
        piece = planned.phase.build(span)
    except ScheduleError:  # it would rise: the run ends within its warmup, below the end of the cooldown
        piece = planned.phase.build(replace(span, previous=1.0))._replace(values=lambda t: np.full_like(t, level))
    return Curve(curve.schedule, horizon, piece)
