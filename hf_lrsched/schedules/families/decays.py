"""The families: what a user writes. Cycles are in cycles.py, sentences made of these in named.py."""

import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from .. import shapes
from ..arguments import (
    DecayFactorArgument,
    FactorArgument,
    LengthArgument,
    LRArgument,
    MilestonesArgument,
    NumberArgument,
    PointsArgument,
    PositiveArgument,
    one_of,
)
from ..errors import ScheduleError, brief
from ..registry import phase, same_definition
from ..schedule import Shape, Span
from ..shapes import Array, Function
from ..units import Length

WARMUP_SHAPES = (*shapes.BY_NAME, "exponential", "constant")


@phase
def warmup(
    over: LengthArgument,
    *,
    start: FactorArgument | None = None,
    to: FactorArgument = 1.0,
    shape: Annotated[str, one_of(*WARMUP_SHAPES)] = "linear",
) -> Shape:
    """Climbs, by default in a straight line: `factor(u) = start + (to - start) * u / W`, u = 0 … W-1 of W updates.

    From its default start, 0, the first update of a run has LR 0 and changes nothing; `start=0.1` avoids that. Other
    shapes, with p = u / W: `cosine` `(1 - cos(pi p)) / 2`, `one_minus_sqrt` `1 - sqrt(1 - p)`, `exponential`
    `start * (to / start) ** p`, and `constant`, which stays at `start` and jumps to `to` at its end.

    Args:
        over (length): How long: `500` updates, `10%` of the run, `1ep`.
        start (factor, *optional*): Where it starts. Defaults to where the phase before it ended, 0 at the start of the
            run.
        to (factor, defaults to 1): Where it ends.
        shape (`str`, defaults to `linear`): `linear`, `cosine`, `one_minus_sqrt`, `exponential` or `constant`.

    Raises:
        ScheduleError: It lasts to the end of the run, so that its end is never reached; it would fall; or it is
            exponential from 0.

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

    def place(span: Span) -> Function:
        low = start if start is not None else (0.0 if span.level is None else span.level)
        if low > to and not math.isclose(low, to):
            raise ScheduleError(f"{span.text} would fall, from {low:g} to {to:g}; a warmup climbs. Use a decay.")
        if span.end == span.horizon.num_updates:
            raise ScheduleError(
                f"{span.text} lasts to the end of the run ({span.size:g} of {span.horizon.num_updates} {span.horizon.unit}): its "
                f"end, {to:g} x the peak LR, is never reached. Shorten it or lengthen the run."
            )
        if shape == "constant":
            return lambda u: np.where(u < span.size, low, to)
        if shape == "exponential":
            if low <= 0:
                raise ScheduleError(f"{span.text} can't climb exponentially from 0; give it a start, e.g. start=0.01.")
            return lambda u: low * (to / low) ** (u / span.size)
        if shape == "linear":
            return lambda u: low + (to - low) * (u / span.size)
        return lambda u: low + (to - low) * shapes.climb(shapes.BY_NAME[shape], u / span.size)

    return place


@phase
def hold(
    over: LengthArgument | None = None, *, to: FactorArgument | None = None, to_lr: LRArgument | None = None
) -> Shape:
    """Stays where the phase before it ended: `factor(u) = level`, the peak (1) at the start of the run.

    Args:
        over (length, *optional*): How long. Defaults to what is left.
        to (factor, *optional*): Stay at this instead; `hold(1ep, to=0)` freezes.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.

    When: between warmup and cooldown, in a run whose end is not decided yet. When not: as a whole schedule; what a
    decay brings is never had.

    Source: the standard form; transformers' `constant`.

    Example:
    ```python
    >>> (hold(2) >> linear()).resolve(4)(range(5))
    array([1. , 1. , 1. , 0.5, 0. ])

    ```
    """
    _refuse_two_ends(to, to_lr, "hold")

    def place(span: Span) -> Function:
        level = span.height if to is None and to_lr is None else span.factor(to or 0.0, to_lr)
        return lambda u: np.full_like(u, level)

    return place


@phase
def freeze(over: LengthArgument | None = None) -> Shape:
    """LR 0, then on from where it was: `factor(u) = 0` for u < D, and `level` at u = D.

    As a phase of a parameter group it keeps that group as it is: `freeze(1ep) >> linear()`. As a factor it is a mask,
    `(warmup(10%) >> linear()) * freeze(2ep)`: nothing for two epochs, then the main curve. A group with a schedule of its
    own whose factor is 0 is left alone: no update, no weight decay, and the optimizer's moments do not move.

    Args:
        over (length, *optional*): How long. Defaults to what is left: never thawed.

    When: layers that are to keep what they learnt in pretraining, for a while or for good. When not: the whole model;
    that is a run that does nothing.

    Source: gradual unfreezing, Howard & Ruder 2018, https://arxiv.org/abs/1801.06146.

    Example:
    ```python
    >>> (freeze(2) >> linear()).resolve(4)(range(4))
    array([0. , 0. , 1. , 0.5])
    >>> ((warmup(2) >> linear()) * freeze(3)).resolve(4)(range(4))
    array([0. , 0. , 0. , 0.5])

    ```
    """

    def place(span: Span) -> Function:
        frozen_to_the_end = span.end == span.horizon.num_updates
        return lambda u: np.where((u < span.size) | frozen_to_the_end, 0.0, span.height)

    return place


@phase
def linear(*, to: FactorArgument = 0.0, to_lr: LRArgument | None = None, over: LengthArgument | None = None) -> Shape:
    """Falls in a straight line: `factor(u) = to + (level - to) * (1 - u / D)`, u = 0 … D-1 of D updates.

    `level` is where the phase before it ended, 1 at the start of the run. The last update of the run has `level / D`
    above `to`, not `to` itself, as in BERT's code and transformers.

    Args:
        to (factor, defaults to 0): Where it ends.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: It would rise.

    When: the first choice for fine-tuning BERT; Defazio et al. 2023, https://arxiv.org/abs/2310.07831, find that it
    matches or beats the other common decays. To 0, not to a floor: Bergsma et al. 2025,
    https://arxiv.org/abs/2502.15938. When not: the end of the run is not known.

    Source: Devlin et al. 2018, BERT, https://arxiv.org/abs/1810.04805.

    Example:
    ```python
    >>> linear(to=0.2).resolve(4)(range(5))
    array([1. , 0.8, 0.6, 0.4, 0.2])

    ```
    """
    return _decay("linear", shapes.linear, to, to_lr)


@phase
def cosine(
    *,
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    cycles: PositiveArgument = 0.5,
    k: PositiveArgument = 1.0,
    over: LengthArgument | None = None,
) -> Shape:
    """Falls along half a cosine: `factor(u) = to + (level - to) * (1 + cos(2 pi cycles (u / D) ** k)) / 2`.

    Slow at first, fastest in the middle, slow at the end; past the end it stays and does not rise again. With `cycles`
    above 0.5 the LR rises and falls in waves within the phase: for restarts with a jump use [`repeat`].

    Args:
        to (factor, defaults to 0): The lowest factor, and where it ends if `cycles` is 0.5.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        cycles (`float`, defaults to 0.5): Waves; transformers calls them `num_cycles`.
        k (`float`, defaults to 1): k-decay: above 1 the LR stays high for longer.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: It would rise.

    When: as good as linear in most fine-tuning, and the habit in pre-training. When not: the end of the run is not
    known, or a run may be cut short: in the middle its LR is still at half.

    Source: Loshchilov & Hutter 2016, SGDR, https://arxiv.org/abs/1608.03983; k-decay: Zhang & Li 2020,
    https://arxiv.org/abs/2004.05909.

    Example:
    ```python
    >>> cosine(to=0.2).resolve(4)([0, 2, 4])
    array([1. , 0.6, 0.2])

    ```
    """
    return _decay("cosine", lambda p: shapes.cosine(p, cycles, k), to, to_lr)


@phase
def polynomial(
    *,
    power: PositiveArgument = 1.0,
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    over: LengthArgument | None = None,
) -> Shape:
    """Falls as a power of what is left: `factor(u) = to + (level - to) * (1 - u / D) ** power`.

    Args:
        power (`float`, defaults to 1): 1 is linear; 2 falls fast and ends flat; 0.5 stays high and ends steep.
        to (factor, defaults to 0): Where it ends.
        to_lr (LR, *optional*): The same as an LR, for each group by itself; transformers calls it `lr_end`.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: It would rise.

    When: to follow a recipe that has it, or for a steeper or a flatter end than linear's. When not: first.

    Source: transformers' `polynomial`, after BERT's own code with power 1.

    Example:
    ```python
    >>> polynomial(power=2).resolve(4)(range(5))
    array([1.    , 0.5625, 0.25  , 0.0625, 0.    ])

    ```
    """
    return _decay("polynomial", lambda p: shapes.polynomial(p, power), to, to_lr)


@phase
def exponential(
    *,
    rate: PositiveArgument | None = None,
    per: LengthArgument = "1ep",
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    over: LengthArgument | None = None,
) -> Shape:
    """Falls by the same ratio in the same time.

    With a rate: `factor(u) = max(to, level * exp(-rate * u / per))`, so `exponential(rate=0.1)` is
    `lr = initial_lr * exp(-0.1 * epoch)`, with the epoch as a fraction that grows at every update. Without one, by its
    end: `factor(u) = level * (to / level) ** (u / D)`.

    Args:
        rate (`float`, *optional*): Decay per `per`.
        per (length, defaults to `1ep`): The time that `rate` speaks of.
        to (factor, defaults to 0): With a rate, the floor; without one, where it ends.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: Neither a rate nor an end above 0 is given; it would rise; or `per` has no meaning in the run.

    When: to follow a recipe that has it. When not: first; the rate must fit the length of the run, a linear decay
    always does.

    Source: the standard form. A rate that acts once an epoch is `step(every=1ep, factor=...)` with `exp(-rate)`.

    Example:
    ```python
    >>> exponential(to=0.01).resolve(4)([0, 2, 4])
    array([1.  , 0.1 , 0.01])
    >>> exponential(rate=0.5).resolve(4, updates_per_epoch=1)(range(4)).round(4)
    array([1.    , 0.6065, 0.3679, 0.2231])

    ```
    """
    _refuse_two_ends(to, to_lr, "exponential")
    if rate is None and to == 0 and not to_lr:
        raise ScheduleError("exponential() needs a rate, or an end above 0: e.g. rate=0.1 (per epoch) or to=1%.")

    def place(span: Span) -> Function:
        end = _checked_end(span, to, to_lr)
        if rate is not None:
            unit = float(per.updates(span.horizon))
            return lambda u: np.maximum(end, span.height * np.exp(-rate * (u / unit)))
        return lambda u: span.height * (end / span.height) ** (u / span.size)

    return place


@phase
def step(
    *,
    every: LengthArgument,
    factor: DecayFactorArgument = 0.1,
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    over: LengthArgument | None = None,
) -> Shape:
    """Falls in steps: `factor(u) = max(to, level * factor ** floor(u / every))`.

    Args:
        every (length): Between two drops, counted from the start of the phase.
        factor (factor, defaults to 0.1): What each drop multiplies by; above 0, at most 1.
        to (factor, defaults to 0): It never falls below this.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long the phase lasts. Defaults to what is left.

    Raises:
        ScheduleError: `factor` is above 1, or it would rise.

    When: long runs in which the loss flattens between drops. When not: fine-tuning over 3 epochs, where there is no
    time to flatten.

    Source: the standard form; torch's `StepLR`.

    Example:
    ```python
    >>> step(every=2, factor=0.5).resolve(6)(range(6))
    array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25])

    ```
    """
    _refuse_two_ends(to, to_lr, "step")

    def place(span: Span) -> Function:
        end = _checked_end(span, to, to_lr)
        size = span.updates(every)
        if span.start + size > min(span.end, span.horizon.num_updates - 1):
            span.notes.append(
                f"{span.text} never drops: {every.explain(span.horizon)}, and the phase has {span.size:g} updates."
            )
        # floor(u / every) in exact arithmetic: `every` is a fraction, and floats hold whole numbers exactly.
        top, bottom = float(min(size.numerator, 2**52)), float(size.denominator)
        return lambda u: np.maximum(end, span.height * factor ** np.floor(u * bottom / top))

    return place


@phase
def multistep(
    *,
    at: MilestonesArgument,
    factor: DecayFactorArgument = 0.1,
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    over: LengthArgument | None = None,
) -> Shape:
    """Falls at milestones: `factor(t) = max(to, level * factor ** #{milestones <= t})`.

    Args:
        at (list of lengths): The milestones, counted from the start of the run, so that `50%` is the middle of the run
            whatever stands before this phase. In order.
        factor (factor, defaults to 0.1): What each drop multiplies by; above 0, at most 1.
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
    _refuse_two_ends(to, to_lr, "multistep")

    def place(span: Span) -> Function:
        end = _checked_end(span, to, to_lr)
        drops = _times(at, span)
        for milestone, drop in zip(at, drops, strict=True):
            if drop < span.start:
                raise ScheduleError(
                    f"the milestone {milestone} of {span.text} lies at update {drop:g}, before its phase, which starts at "
                    f"{float(span.start):g}: milestones count from the start of the run."
                )
            if drop > min(span.end, span.horizon.num_updates - 1):
                span.notes.append(f"the milestone {milestone} of {span.text} lies after its phase and has no effect.")
        offset = float(span.start)
        return lambda u: np.maximum(end, span.height * factor ** np.searchsorted(drops, u + offset, side="right"))

    return place


@phase
def inverse_sqrt(
    *,
    timescale: LengthArgument | None = None,
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    over: LengthArgument | None = None,
) -> Shape:
    """Falls with the root of time: `factor(u) = max(to, level * sqrt(s / (u + s)))`.

    Args:
        timescale (length, *optional*): s: after it the LR has fallen to 0.71, after 3 s to a half. Defaults to the
            updates before this phase, its warmup, as in transformers; 10,000 updates if there are none.
        to (factor, defaults to 0): It never falls below this.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: It would rise.

    When: the end of the run is not known; add a cooldown when it is. When not: a fine-tuning of known length, which it
    ends with a high LR.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; with a timescale, big_vision and transformers.

    Example:
    ```python
    >>> (warmup(4) >> inverse_sqrt()).resolve(17)([4, 16])
    array([1. , 0.5])

    ```
    """
    _refuse_two_ends(to, to_lr, "inverse_sqrt")

    def place(span: Span) -> Function:
        end = _checked_end(span, to, to_lr)
        scale = float(timescale.updates(span.horizon)) if timescale else float(span.start or 10_000)
        return lambda u: np.maximum(end, span.height * np.sqrt(scale / (u + scale)))

    return place


@phase
def power(
    *,
    timescale: LengthArgument,
    exponent: PositiveArgument = 0.51,
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    over: LengthArgument | None = None,
) -> Shape:
    """A power law of the time in the run: `factor(t) = max(to, level * min(1, (t / s) ** -exponent))`.

    With t in tokens and s the tokens at which the law leaves its cap, this is the power schedule
    `min(lr_max, a * batch_size * tokens ** b)` with b = -exponent; its own decay is a cooldown phase after it.

    Args:
        timescale (length): s, counted from the start of the run. Up to it the LR stays.
        exponent (`float`, defaults to 0.51): How fast it falls; the paper's fit.
        to (factor, defaults to 0): It never falls below this.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: It would rise.

    When: pre-training whose number of tokens is not decided. When not: fine-tuning.

    Source: Shen et al. 2024, https://arxiv.org/abs/2408.13359.

    Example:
    ```python
    >>> power(timescale=4, exponent=0.5).resolve(17)([0, 4, 16])
    array([1. , 1. , 0.5])

    ```
    """
    _refuse_two_ends(to, to_lr, "power")

    def place(span: Span) -> Function:
        end = _checked_end(span, to, to_lr)
        scale = float(timescale.updates(span.horizon))
        offset = float(span.start)
        return lambda u: np.maximum(end, span.height * (np.maximum(u + offset, scale) / scale) ** -exponent)

    return place


@phase
def one_minus_sqrt(
    *, to: FactorArgument = 0.0, to_lr: LRArgument | None = None, over: LengthArgument | None = None
) -> Shape:
    """A cooldown that falls fast at first: `factor(u) = to + (level - to) * (1 - sqrt(u / D))`.

    Args:
        to (factor, defaults to 0): Where it ends.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: It would rise.

    When: the cooldown of a run that held its LR, over 10 to 20 % of it. When not: as a whole schedule.

    Source: Hägele et al. 2024, https://arxiv.org/abs/2405.18392.

    Example:
    ```python
    >>> one_minus_sqrt().resolve(4)([0, 1, 4])
    array([1. , 0.5, 0. ])

    ```
    """
    return _decay("one_minus_sqrt", shapes.one_minus_sqrt, to, to_lr)


@phase
def rex(
    *,
    d: NumberArgument = 0.5,
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    over: LengthArgument | None = None,
) -> Shape:
    """Stays high and falls late: `factor(u) = to + (level - to) * z / ((1 - d) + d z)` with z = 1 - u / D.

    Args:
        d (`float`, defaults to 0.5): From 0 (linear) up to below 1 (later and steeper). Some ports write 0.1 and 0.9
            in place of 1-d and d: another curve.
        to (factor, defaults to 0): Where it ends.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: It would rise, or `d` is not in [0, 1).

    When: short budgets, for which it was made. When not: expect it to tie with linear on most tasks.

    Source: Chen et al. 2021, https://arxiv.org/abs/2107.04197.

    Example:
    ```python
    >>> rex().resolve(4)([0, 2, 4]).round(4)
    array([1.    , 0.6667, 0.    ])

    ```
    """
    if not 0 <= d < 1:
        raise ScheduleError(f"d of rex() must be at least 0 and below 1, got {d:g}.")
    return _decay("rex", lambda p: shapes.rex(p, d), to, to_lr)


@phase
def tanh(
    *,
    lb: NumberArgument = -7.0,
    ub: NumberArgument = 3.0,
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    over: LengthArgument | None = None,
) -> Shape:
    """Falls along a hyperbolic tangent: `factor(u) = to + (level - to) * (1 - tanh(lb (1 - p) + ub p)) / 2`, p = u / D.

    It starts and ends near, not at, its ends: with the defaults at 0.9999992 and 0.0025.

    Args:
        lb (`float`, defaults to -7): The argument at the start; lower keeps the LR high for longer.
        ub (`float`, defaults to 3): The argument at the end; above `lb`.
        to (factor, defaults to 0): What it approaches.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: It would rise.

    When: to follow a recipe that has it. When not: first; it has two numbers to tune.

    Source: Hsueh et al. 2018, https://arxiv.org/abs/1806.01593, whose code has -4 and 4; the defaults are timm's.

    Example:
    ```python
    >>> tanh().resolve(10)([0, 7, 10]).round(4)
    array([1.    , 0.5   , 0.0025])

    ```
    """
    if lb >= ub:
        raise ScheduleError(f"lb of tanh() must be below ub, got lb={lb:g} and ub={ub:g}; it would rise.")
    return _decay("tanh", lambda p: shapes.tanh(p, lb, ub), to, to_lr)


@phase
def piecewise(
    *,
    points: PointsArgument,
    shape: Annotated[str, one_of("linear", "cosine", "constant")] = "linear",
    over: LengthArgument | None = None,
) -> Shape:
    """Goes from point to point: `factor(t) = f_i + (f_j - f_i) * (t - t_i) / (t_j - t_i)` between neighbours i and j.

    Before the first point it stays at the first factor, after the last one at the last.

    Args:
        points (list of `[time, factor]`): Times are counted from the start of the run and rise; factors are multiples
            of the peak, whatever stands before this phase.
        shape (`str`, defaults to `linear`): `linear`, `cosine` or `constant` (a factor holds until the next point).
        over (length, *optional*): How long the phase lasts. Defaults to what is left.

    Raises:
        ScheduleError: Fewer than two points, or times out of order.

    When: to draw what no family has. When not: a family has it; its name tells the reader more.

    Source: optax's `piecewise_interpolate_schedule`.

    Example:
    ```python
    >>> piecewise(points=[[0, 0], [4, 1], [8, 0.5]]).resolve(10)([0, 2, 4, 6, 8, 9])
    array([0.  , 0.5 , 1.  , 0.75, 0.5 , 0.5 ])

    ```
    """

    def place(span: Span) -> Function:
        times = _times(tuple(time for time, _ in points), span)
        factors = np.array([factor for _, factor in points])
        if times[0] >= span.end:
            span.notes.append(f"all points of {span.text} lie after its phase.")
        offset = float(span.start)

        def values(u: Array) -> Array:
            t = u + offset
            left = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
            p = np.clip((t - times[left]) / (times[left + 1] - times[left]), 0.0, 1.0)
            if shape == "constant":
                p = np.floor(p)
            remaining = shapes.cosine(p) if shape == "cosine" else shapes.linear(p)
            result: Array = factors[left + 1] + (factors[left] - factors[left + 1]) * remaining
            return result

        return values

    return place


_FUNCTIONS: dict[str, Callable[[Array], Array]] = {}


def _function(value: object, name: str) -> str:
    """The name of a user's function; a function is registered under its own name."""
    if callable(value):
        called = getattr(value, "__name__", "")
        if not called.isidentifier():
            raise ScheduleError(f"{name} must be a function with a name of its own (def), got {brief(value)}.")
        held = _FUNCTIONS.setdefault(called, value)
        _FUNCTIONS[called] = value if same_definition(held, value) else held
        if _FUNCTIONS[called] is not value:
            raise ScheduleError(f"{name}: another function called {called!r} is in use; rename one of them.")
        return called
    if value not in _FUNCTIONS:
        known = ", ".join(sorted(_FUNCTIONS)) or "none yet"
        raise ScheduleError(
            f"{name} must be a function, or the name of one that custom() was called with in this process, got "
            f"{brief(value)}; known are {known}."
        )
    return str(value)


@phase
def custom(
    function: Annotated[Any, _function],
    *,
    to: FactorArgument = 0.0,
    to_lr: LRArgument | None = None,
    over: LengthArgument | None = None,
) -> Shape:
    """A function of one's own: `factor(u) = to + (level - to) * function(u / D)`.

    Args:
        function (`Callable`): Takes an array of progress, 0 … 1, and returns what is left of the decay, normally from 1
            to 0. It must be a pure function with a name: the name is its text, and stands for it once `custom` was
            called with it.
        to (factor, defaults to 0): The factor where `function` is 0.
        to_lr (LR, *optional*): The same as an LR, for each group by itself.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: It has no name; or what it returns is not an array of finite factors of at least 0.

    When: a shape that no family has. When not: a family has it. For a shape with arguments of its own, write a phase:
    see [`phase`].

    Source: your own.

    Example:
    ```python
    >>> def cubic(p):
    ...     return 1 - p**3
    >>> custom(cubic).resolve(4)([0, 2, 4])
    array([1.   , 0.875, 0.   ])
    >>> str(custom(cubic))
    'custom(cubic)'

    ```
    """

    def place(span: Span) -> Function:
        end = span.factor(to, to_lr)

        def values(u: Array) -> Array:
            remaining = np.asarray(_FUNCTIONS[function](u / span.size), dtype=np.float64)
            factors = end + (span.height - end) * remaining
            if remaining.shape != u.shape or not (np.isfinite(factors).all() and (factors >= 0).all()):
                raise ScheduleError(
                    f"the function {function} must return an array like its argument, of finite factors of at least 0."
                )
            return factors

        values(np.array([0.0, span.size / 2, span.size]))
        return values

    return place


def _decay(name: str, remaining: Function, to: float, to_lr: float | None) -> Shape:
    """A phase that falls from where it starts to its end, along a shape."""
    _refuse_two_ends(to, to_lr, name)

    def place(span: Span) -> Function:
        end = _checked_end(span, to, to_lr)
        return lambda u: end + (span.height - end) * remaining(u / span.size)

    return place


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


def _times(lengths: tuple[Length, ...], span: Span) -> Array:
    """Points in the run, rounded up to whole updates, in order."""
    times = [float(math.ceil(length.updates(span.horizon))) for length in lengths]
    for index in range(1, len(times)):
        if times[index] <= times[index - 1]:
            raise ScheduleError(
                f"{lengths[index - 1]} and {lengths[index]} of {span.text} are out of order: updates {times[index - 1]:g} "
                f"and {times[index]:g}."
            )
    return np.array(times)
