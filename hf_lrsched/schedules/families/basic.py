"""The basic phases: warmup(), hold(), jump() and freeze()."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated

import numpy as np

from .. import shapes
from ..arguments import FactorArgument, LengthArgument, OptionalFactor, OptionalLength, OptionalLR, one_of
from ..curve import Span
from ..errors import ScheduleError
from ..registry import phase
from ..schedule import Shape, Sized
from ..shapes import Function

WARMUP_SHAPES = (*shapes.BY_NAME, "exponential", "constant")


@phase
def warmup(
    over: LengthArgument,
    *,
    start: OptionalFactor = None,
    start_lr: OptionalLR = None,
    to: FactorArgument = 1.0,
    to_lr: OptionalLR = None,
    shape: Annotated[str, one_of(*WARMUP_SHAPES)] = "linear",
) -> Shape:
    """Climb, by default in a straight line: `factor(u) = start + (to - start) * u / W`, u = 0 … W-1 of W updates.

    From its default start, 0, the first update of a run has LR 0 and changes nothing; `start=0.1` avoids that. Other
    shapes, with p = u / W: `cosine` `(1 - cos(pi p)) / 2`, `one_minus_sqrt` `1 - sqrt(1 - p)`, `exponential`
    `start * (to / start) ** p`, and `constant`, which stays at `start` and jumps to `to` at its end.

    Args:
        over (length): How long: `500` updates, `10%` of the run, `1ep`. `100%` is a climb over the whole run.
        start (factor, *optional*): Where it starts. Defaults to where the phase before it ended, or to 0 at the start of
            the run.
        start_lr (LR, *optional*): The same as an LR, for each group by itself.
        to (factor, defaults to 1): Where it ends.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        shape (`str`, defaults to `linear`): `linear`, `cosine`, `one_minus_sqrt`, `exponential` or `constant`.

    Raises:
        ScheduleError: It lasts to the end of the run and is not `100%`, so it never reaches `to`; it would fall; or it
            is exponential from 0.

    When: nearly always with Adam and BERT, over 1 to 10 % of the run. When not: a run that goes on from a checkpoint
    with its optimizer's state.

    Source: Devlin et al. 2018, BERT, https://arxiv.org/abs/1810.04805; the other shapes are transformers' and torch's.

    Example:
    ```python
    >>> (warmup(4) >> hold()).resolve(6)(range(6))
    array([0.  , 0.25, 0.5 , 0.75, 1.  , 1.  ])
    >>> (warmup(2, start=0.01, shape="exponential") >> hold()).resolve(4)(range(4))
    array([0.01, 0.1 , 1.  , 1.  ])

    ```
    """

    whole_run = over.unit == "%" and over.amount == 1

    def build(span: Span) -> Function:
        before = 0.0 if span.previous is None else span.previous
        low = span.factor(before if start is None else start, start_lr, "start_lr")
        top = span.factor(to, to_lr)
        if low > top and not math.isclose(low, top):
            raise ScheduleError(f"{span.text} would fall, from {low:g} to {top:g}; a warmup climbs. Use a decay.")
        if span.end == span.horizon.num_updates and not whole_run:
            raise ScheduleError(
                f"{span.text} lasts to the end of the run ({span.size:,.0f} of {span.horizon.num_updates:,} "
                f"{span.horizon.unit}): it never reaches its end, {top:g} x the peak LR. Shorten it, lengthen "
                "the run, or write warmup(100%) for a climb over the whole run."
            )
        if shape == "constant":
            return lambda u: np.where(u < span.size, low, top)
        if shape == "exponential":
            if low <= 0:
                raise ScheduleError(f"{span.text} cannot climb exponentially from 0; give it a start, e.g. start=0.01.")
            return lambda u: low * (top / low) ** (u / span.size)
        if shape == "linear":
            return lambda u: low + (top - low) * (u / span.size)
        return lambda u: low + (top - low) * shapes.climb(shapes.BY_NAME[shape], u / span.size)

    return build


@phase
def hold(over: OptionalLength = None, *, to: OptionalFactor = None, to_lr: OptionalLR = None) -> Shape:
    """Stay where the phase before it ended: `factor(u) = level`, or 1, the peak, at the start of the run.

    Args:
        over (length, *optional*): How long. Defaults to what is left.
        to (factor, *optional*): Stay at this instead; `hold(1ep, to=0)` freezes.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.

    When: between warmup and cooldown, in a run whose end is not decided yet. When not: as a whole schedule, for
    a decay gains more.

    Source: the standard form; transformers' `constant`.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear
    >>> (hold(2) >> linear()).resolve(4)(range(5))
    array([1. , 1. , 1. , 0.5, 0. ])

    ```
    """

    def build(span: Span) -> Function:
        level = span.level if to is None and to_lr is None else span.factor(to or 0.0, to_lr)
        return lambda u: np.full_like(u, level)

    return build


@phase
def jump(to: OptionalFactor = None, *, to_lr: OptionalLR = None) -> Shape:
    """Jump to a level between two phases, without an update of its own: the next phase starts there.

    Args:
        to (factor, *optional*): The level. Defaults to 1, the peak.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.

    When: a second decay that starts at the peak again, or at any other level, where the first one has ended. When not: equal
    restarts; [`repeat`] writes them once.

    Source: torch's `SequentialLR`, whose schedulers start at their own LRs.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear
    >>> (linear(over=4) >> jump(0.5) >> linear()).resolve(8)(range(8))
    array([1.   , 0.75 , 0.5  , 0.25 , 0.5  , 0.375, 0.25 , 0.125])

    ```
    """

    def build(span: Span) -> Function:
        level = span.factor(1.0 if to is None else to, to_lr)
        return lambda u: np.full_like(u, level)

    return Sized(build, lambda horizon: Fraction(0))


@phase
def freeze(over: OptionalLength = None) -> Shape:
    """Set the LR to 0, then go on from the level before: `factor(u) = 0` for u < D, and `level` at u = D.

    As a phase it freezes a parameter group first: `freeze(1ep) >> linear()`. As a factor it is a mask,
    `(warmup(10%) >> linear()) * freeze(2ep)`: 0 for two epochs, then the main curve. While a group with a schedule of its
    own has factor 0, it gets no update and no weight decay, and its moments in the optimizer do not change.

    Args:
        over (length, *optional*): How long. Defaults to what is left: frozen to the end.

    When: some layers keep their pretrained weights, for some time or to the end. When not: the whole model, which then
    learns nothing.

    Source: gradual unfreezing, Howard & Ruder 2018, https://arxiv.org/abs/1801.06146.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear
    >>> (freeze(2) >> linear()).resolve(4)(range(4))
    array([0. , 0. , 1. , 0.5])
    >>> ((warmup(2) >> linear()) * freeze(3)).resolve(4)(range(4))
    array([0. , 0. , 0. , 0.5])

    ```
    """

    def build(span: Span) -> Function:
        frozen_to_the_end = span.end == span.horizon.num_updates
        return lambda u: np.where((u < span.size) | frozen_to_the_end, 0.0, span.level)

    return build
