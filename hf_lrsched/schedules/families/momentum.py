"""momentum(): momentum that falls while the LR rises, and rises while it falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arguments import FactorArgument
from ..curve import Curve, ReactiveShape, Span
from ..errors import ScheduleError
from ..registry import phase
from ..schedule import Shape
from ..shapes import Array, Function

# The lowest factors of a long curve are looked for at so many updates.
_MAX_SAMPLES = 1_000_001


@dataclass(frozen=True)
class Momentum(ReactiveShape):
    """The shape of `momentum()`, which is 1 throughout, and the momentum beside it."""

    high: float
    low: float

    only_scales = True

    def __call__(self, span: Span) -> Function:
        return lambda u: np.full_like(u, span.level)


@phase
def momentum(high: FactorArgument = 0.95, low: FactorArgument = 0.85) -> Shape:
    """Cycle the optimizer's momentum against the LR: `momentum(t) = high - (high - low) * (f(t) - b) / (1 - b)`.

    f(t) is the factor of the schedule that stands beside it: `one_cycle() * momentum()`. While that rises, b is the lowest
    factor of its climbs; while it falls, of its falls. So the momentum is `low` at the peak LR, and `high` where the LR is
    lowest. It is SGD's `momentum`, or the first of Adam's `betas`. The LR itself does not change.

    Args:
        high (`float`, defaults to 0.95): The momentum at the lowest LRs; torch's `max_momentum`.
        low (`float`, defaults to 0.85): The momentum at the peak LR; torch's `base_momentum`.

    Raises:
        ScheduleError: `low` is above `high`, or `high` is not below 1; in a run, the optimizer has no momentum.

    When: with `one_cycle()`, to repeat a training by fastai or torch. When not: otherwise; with the short warmup of
    fine-tuning, a constant momentum is as good.

    Source: Smith & Topin 2017, https://arxiv.org/abs/1708.07120; torch's `OneCycleLR` and `CyclicLR` with `cycle_momentum=True`;
    fastai's `moms`.

    Example:
    ```python
    >>> from hf_lrsched.schedules import one_cycle
    >>> from hf_lrsched.schedules.families.momentum import get_momentum
    >>> schedule = one_cycle(peak_at=0.5, start=0.2, to=0, shape="linear") * momentum(0.95, 0.85)
    >>> get_momentum(schedule.resolve(6))(range(6)).round(4)
    array([0.95  , 0.9   , 0.85  , 0.8833, 0.9167, 0.95  ])

    ```
    """
    if not low <= high < 1:
        raise ScheduleError(f"momentum() must fall from high, below 1, to low, got high={high:g} and low={low:g}.")
    return Momentum(high, low)


def get_momentum(curve: Curve) -> Function | None:
    """Return the momentum of a curve as a function of the update, or `None` if its schedule has no `momentum()`.

    Raises:
        ScheduleError: The schedule has several.
    """
    parts = [part for part in curve.reactive_parts if isinstance(part.shape, Momentum)]
    if not parts:
        return None
    if len(parts) > 1:
        raise ScheduleError(f"a schedule has at most one momentum(), but {curve.schedule} has {len(parts)}.")
    start, end, shape = parts[0].start, parts[0].end, parts[0].shape
    assert isinstance(shape, Momentum)

    points = np.unique(np.linspace(start, end, min(end - start + 1, _MAX_SAMPLES)).round())
    factors = curve(points)
    lowest_of_climbs = factors[curve(np.minimum(points + 0.5, end)) > factors].min(initial=1.0)
    lowest_of_falls = factors[curve(np.maximum(points - 0.5, start)) > factors].min(initial=1.0)
    moment = max(1e-3, 1e-7 * (end - start))

    def values(t: Array) -> Array:
        t = np.clip(t, start, end)
        is_rising = curve(np.minimum(t + moment, end)) > curve(np.maximum(t - moment, start))
        lowest = np.where(is_rising, lowest_of_climbs, lowest_of_falls)
        height = (curve(t) - lowest) / np.where(lowest < 1.0, 1.0 - lowest, 1.0)
        momenta: Array = shape.high - (shape.high - shape.low) * np.where(lowest < 1.0, np.clip(height, 0.0, 1.0), 1.0)
        return momenta

    return values
