"""Decays: families that fall from their level to an end."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from .. import shapes
from ..arguments import (
    FactorArgument,
    LengthArgument,
    NumberArgument,
    OptionalLength,
    OptionalLR,
    PositiveArgument,
    one_of,
)
from ..curve import Span
from ..errors import ScheduleError
from ..registry import phase
from ..schedule import Shape
from ..shapes import Function
from .ends import decay_along, decay_by, get_end_level


@phase
def linear(*, to: FactorArgument = 0.0, to_lr: OptionalLR = None, over: OptionalLength = None) -> Shape:
    """Fall in a straight line: `factor(u) = to + (level - to) * (1 - u / D)`, u = 0 … D-1 of D updates.

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
    return decay_along(shapes.linear, to, to_lr)


@phase
def cosine(
    *,
    to: FactorArgument = 0.0,
    to_lr: OptionalLR = None,
    cycles: PositiveArgument = 0.5,
    k: PositiveArgument = 1.0,
    over: OptionalLength = None,
) -> Shape:
    """Fall along half a cosine: `factor(u) = to + (level - to) * (1 + cos(2 pi cycles (u / D) ** k)) / 2`.

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
    return decay_along(lambda p: shapes.cosine(p, cycles, k), to, to_lr)


@phase
def polynomial(
    *,
    power: PositiveArgument = 1.0,
    of: Annotated[str, one_of("left", "progress")] = "left",
    to: FactorArgument = 0.0,
    to_lr: OptionalLR = None,
    over: OptionalLength = None,
) -> Shape:
    """Fall as a power of what is left: `factor(u) = to + (level - to) * (1 - u / D) ** power`.

    Args:
        power (`float`, defaults to 1): 1 is linear; 2 falls fast and ends flat; 0.5 stays high and ends steep.
        of (`str`, defaults to `left`): What is raised to the power. `progress` is the other way round,
            `to + (level - to) * (1 - (u / D) ** power)`: with 2 it starts flat and ends steep.
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
    shape = shapes.polynomial if of == "left" else shapes.one_minus_power
    return decay_along(lambda p: shape(p, power), to, to_lr)


@phase
def exponential(
    *,
    rate: PositiveArgument | None = None,
    per: LengthArgument = "1ep",
    to: FactorArgument = 0.0,
    to_lr: OptionalLR = None,
    over: OptionalLength = None,
) -> Shape:
    """Fall by the same ratio in the same time.

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
    if rate is None and to == 0 and not to_lr:
        raise ScheduleError("exponential() needs a rate, or an end above 0: e.g. rate=0.1 (per epoch) or to=1%.")

    def build_to_end(span: Span) -> Function:
        end = get_end_level(span, to, to_lr)
        return lambda u: span.level * (end / span.level) ** (u / span.size)

    if rate is None:
        return build_to_end

    def build_ratio(span: Span) -> Function:
        unit = float(per.updates(span.horizon))
        return lambda u: np.exp(-rate * (u / unit))

    return decay_by(build_ratio, to, to_lr)


@phase
def inverse_sqrt(
    *, timescale: OptionalLength = None, to: FactorArgument = 0.0, to_lr: OptionalLR = None, over: OptionalLength = None
) -> Shape:
    """Fall with the root of time: `factor(u) = max(to, level * sqrt(s / (u + s)))`.

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
    >>> from hf_lrsched.schedules import warmup
    >>> (warmup(4) >> inverse_sqrt()).resolve(17)([4, 16])
    array([1. , 0.5])

    ```
    """

    def build_ratio(span: Span) -> Function:
        scale = float(timescale.updates(span.horizon)) if timescale else float(span.start or 10_000)
        return lambda u: np.sqrt(scale / (u + scale))

    return decay_by(build_ratio, to, to_lr)


@phase
def power(
    *,
    timescale: LengthArgument,
    exponent: PositiveArgument = 0.51,
    to: FactorArgument = 0.0,
    to_lr: OptionalLR = None,
    over: OptionalLength = None,
) -> Shape:
    """Fall by a power law of the time in the run: `factor(t) = max(to, level * min(1, (t / s) ** -exponent))`.

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

    def build_ratio(span: Span) -> Function:
        scale, offset = float(timescale.updates(span.horizon)), float(span.start)
        return lambda u: (np.maximum(u + offset, scale) / scale) ** -exponent

    return decay_by(build_ratio, to, to_lr)


@phase
def one_minus_sqrt(*, to: FactorArgument = 0.0, to_lr: OptionalLR = None, over: OptionalLength = None) -> Shape:
    """Fall fast at first, as a cooldown: `factor(u) = to + (level - to) * (1 - sqrt(u / D))`.

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
    return decay_along(shapes.one_minus_sqrt, to, to_lr)


@phase
def rex(
    *, d: NumberArgument = 0.5, to: FactorArgument = 0.0, to_lr: OptionalLR = None, over: OptionalLength = None
) -> Shape:
    """Stay high and fall late: `factor(u) = to + (level - to) * z / ((1 - d) + d z)` with z = 1 - u / D.

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
    return decay_along(lambda p: shapes.rex(p, d), to, to_lr)


@phase
def tanh(
    *,
    lb: NumberArgument = -7.0,
    ub: NumberArgument = 3.0,
    to: FactorArgument = 0.0,
    to_lr: OptionalLR = None,
    over: OptionalLength = None,
) -> Shape:
    """Fall along a hyperbolic tangent: `factor(u) = to + (level - to) * (1 - tanh(lb (1 - p) + ub p)) / 2`, p = u / D.

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
    return decay_along(lambda p: shapes.tanh(p, lb, ub), to, to_lr)
