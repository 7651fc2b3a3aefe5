"""Phases around a schedule: floor(), rising(), from_start() and planned()."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..arguments import FactorArgument, LengthArgument, OptionalLength, OptionalLR, ScheduleArgument
from ..curve import Piece, Span
from ..errors import ScheduleError
from ..registry import phase
from ..schedule import Shape, Sized
from ..shapes import Function
from .ends import get_lowest_level


@phase
def floor(schedule: ScheduleArgument, *, to: FactorArgument = 0.0, to_lr: OptionalLR = None) -> Shape:
    """Keep a schedule above a floor, its warmup included: `factor(t) = max(to, schedule(t))`.

    Args:
        schedule ([`Schedule`]): Any schedule.
        to (factor, defaults to 0): The floor.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.

    Raises:
        ScheduleError: Two floors are given, or the floor is above the peak.

    When: a floor under a shape that has none of its own, such as a product. When not: the decay's own `to=` does it.

    Source: the standard form.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear
    >>> floor(linear(), to=0.4).resolve(4)(range(5))
    array([1.  , 0.75, 0.5 , 0.4 , 0.4 ])

    ```
    """

    def build(span: Span) -> Function:
        lowest = get_lowest_level(span, to, to_lr)
        factors = _from_update_0(schedule.build(span), span)
        return lambda u: np.maximum(lowest, factors(u))

    return Sized(build, schedule.length)


@phase
def rising(schedule: ScheduleArgument) -> Shape:
    """Let the decays of a schedule rise: their ends may lie above their starts, and their factors above 1.

    The formulas stay the same: `rising(polynomial(power=2, to=2))` goes from 1 to 2 along `2 - (1 - u / D) ** 2`. Without
    `rising`, a decay that would rise is an error, even if it rises only in a group whose peak LR is below `to_lr`.

    Args:
        schedule ([`Schedule`]): Any schedule.

    When: an LR at the end that is the same for all groups, also for those whose peak LR is lower; a search for the highest
    usable LR. When not: a climb from a low LR; [`warmup`] is for that.

    Source: timm's `lr_min`, optax's `polynomial_schedule` and torch's `StepLR(gamma=1.1)` all may rise.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear, step
    >>> rising(linear(to=2)).resolve(4)(range(4))
    array([1.  , 1.25, 1.5 , 1.75])
    >>> rising(step(every=2, factor=2)).resolve(6)(range(6))
    array([1., 1., 2., 2., 4., 4.])

    ```
    """

    def build(span: Span) -> Function:
        return _from_update_0(schedule.build(replace(span, may_rise=True)), span)

    return Sized(build, schedule.length)


@phase
def from_start(schedule: ScheduleArgument) -> Shape:
    """Run a schedule from the start of the run; the phases before this one cover its beginning.

    So `warmup(10%) >> from_start(cosine())` is a cosine over the whole run, of which the warmup hides the first tenth. After
    the warmup the LR is where the cosine is by then, a little below the peak.

    Args:
        schedule ([`Schedule`]): Any schedule.

    When: to repeat a training by timm or another library whose decay counts the warmup's updates, too. When not:
    otherwise; `warmup(10%) >> cosine()` has no jump between the two.

    Source: timm's `CosineLRScheduler` and its other schedulers, with their default `warmup_prefix=False`.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear, warmup
    >>> (warmup(2) >> from_start(linear())).resolve(8)(range(8))
    array([0.   , 0.5  , 0.75 , 0.625, 0.5  , 0.375, 0.25 , 0.125])

    ```
    """

    def build(span: Span) -> Function:
        own = schedule.length(span.horizon)
        end = span.end if own is None else math.ceil(own)
        whole = replace(span, start=0, end=end, previous=None, restart=None)
        return _from_update_0(schedule.build(whole), span)

    return build


@phase
def planned(schedule: ScheduleArgument, *, length: LengthArgument, over: OptionalLength = None) -> Shape:
    """Plan a schedule for a run of another length; the end of this run cuts it off.

    Everything in the schedule is as in a run of `length`: its `10%` is a tenth of that. If the run is longer, the LR stays
    where the schedule ended.

    Args:
        schedule ([`Schedule`]): Any schedule.
        length (length): The planned length: `1000` updates, `5ep`.
        over (length, *optional*): How long the phase lasts. Defaults to what is left.

    When: the first part of a longer training, or a comparison with a run that was stopped early. When not: a run that
    must end at a low LR; use the run's own length, or `cooldown()`.

    Source: what `num_training_steps` above the updates of the run does in transformers.

    Example:
    ```python
    >>> from hf_lrsched.schedules import linear, warmup
    >>> planned(warmup("20%") >> linear(), length=10).resolve(5)(range(5))
    array([0.   , 0.5  , 1.   , 0.875, 0.75 ])

    ```
    """

    def build(span: Span) -> Function:
        updates = math.ceil(length.updates(span.horizon))
        horizon = replace(span.horizon, num_updates=updates)
        own = schedule.length(horizon)
        end = updates if own is None else math.ceil(own)
        if end > updates:
            raise ScheduleError(f"{schedule} takes {end:,} updates, more than the {updates:,} of {span.text}.")
        piece: Piece = schedule.build(replace(span, start=0, end=end, horizon=horizon))
        if (last := math.ceil(span.size)) < end:
            level = float(piece(np.array([float(last)]))[0])
            span.notes.append(
                f"{span.text} is cut off after {last:,} of its {updates:,} updates, at {level:.3g} of the peak."
            )
        return piece.__call__

    return build


def _from_update_0(piece: Piece, span: Span) -> Function:
    """Return the factors of a piece by the updates since the start of a phase."""
    offset = float(span.start)
    return lambda u: piece(u + offset)
