"""Steps: step() and multistep()."""

from __future__ import annotations

import numpy as np

from ..arguments import FactorArgument, LengthArgument, MilestonesArgument, OptionalLength, OptionalLR, PositiveArgument
from ..curve import Span
from ..errors import ScheduleError
from ..numbers import format_count
from ..registry import phase
from ..schedule import Shape
from ..shapes import Function
from .ends import decay_by, refuse_growth


@phase
def step(
    *,
    every: LengthArgument,
    factor: PositiveArgument = 0.1,
    to: FactorArgument = 0.0,
    to_lr: OptionalLR = None,
    over: OptionalLength = None,
) -> Shape:
    """Fall in steps: `factor(u) = max(to, level * factor ** floor(u / every))`.

    Args:
        every (length): Between two drops, counted from the start of the phase.
        factor (factor, defaults to 0.1): What each drop multiplies by; above 0, and at most 1 unless within
            [`rising`].
        to (factor, defaults to 0): It never falls below this.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long the phase lasts. Defaults to what is left.

    Raises:
        ScheduleError: It would rise.

    When: long runs in which the loss flattens between drops. When not: fine-tuning over 3 epochs, where there is no
    time to flatten.

    Source: the standard form; torch's `StepLR`.

    Example:
    ```python
    >>> step(every=2, factor=0.5).resolve(6)(range(6))
    array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25])

    ```
    """

    def build_ratio(span: Span) -> Function:
        refuse_growth(span, factor)
        size = span.updates(every)
        if span.start + size > min(span.end, span.horizon.num_updates - 1):
            span.notes.append(
                f"{span.text} never drops: {every.explain(span.horizon)}, and the phase has {format_count(round(span.size), 'update')}."
            )
        # floor(u / every) in exact arithmetic: `every` is a fraction, and floats hold whole numbers exactly.
        top, bottom = float(min(size.numerator, 2**52)), float(size.denominator)
        return lambda u: factor ** np.floor(u * bottom / top)

    return decay_by(build_ratio, to, to_lr)


@phase
def multistep(
    *,
    at: MilestonesArgument,
    factor: PositiveArgument = 0.1,
    to: FactorArgument = 0.0,
    to_lr: OptionalLR = None,
    over: OptionalLength = None,
) -> Shape:
    """Fall at milestones: `factor(t) = max(to, level * factor ** #{milestones <= t})`.

    Args:
        at (list of lengths): The milestones, counted from the start of the run, so that `50%` is the middle of the run
            whatever stands before this phase. In order.
        factor (factor, defaults to 0.1): What each drop multiplies by; above 0, and at most 1 unless within
            [`rising`].
        to (factor, defaults to 0): It never falls below this.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long the phase lasts. Defaults to what is left.

    Raises:
        ScheduleError: The milestones are out of order, or one lies before the phase.

    When: a recipe that names its epochs. When not: as for step.

    Source: the standard form; torch's `MultiStepLR`.

    Example:
    ```python
    >>> multistep(at=[2, "50%"], factor=0.5).resolve(8)(range(8))
    array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25, 0.25, 0.25])

    ```
    """

    def build_ratio(span: Span) -> Function:
        refuse_growth(span, factor)
        drops = span.milestones(at)
        for milestone, drop in zip(at, drops, strict=True):
            if drop < span.start:
                raise ScheduleError(
                    f"the milestone {milestone} of {span.text} lies at update {drop:,.0f}, before its phase, which starts at "
                    f"{float(span.start):,.0f}: milestones count from the start of the run."
                )
            if drop > min(span.end, span.horizon.num_updates - 1):
                span.notes.append(f"the milestone {milestone} of {span.text} lies after its phase and has no effect.")
        offset = float(span.start)
        return lambda u: factor ** np.searchsorted(drops, u + offset, side="right")

    return decay_by(build_ratio, to, to_lr)
