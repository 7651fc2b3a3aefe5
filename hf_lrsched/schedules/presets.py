"""Named schedules, and register() for your own."""

from __future__ import annotations

from collections.abc import Callable

from .arguments import CountArgument, DecayFactorArgument, FactorArgument, LengthArgument, PositiveArgument
from .errors import ScheduleError
from .families.basic import hold
from .families.basic import warmup as climb
from .families.cycles import repeat
from .families.decays import cosine, exponential, inverse_sqrt, linear, one_minus_sqrt
from .families.steps import step
from .parser import parse
from .registry import named
from .schedule import Schedule
from .units import Length


@named
def bert(*, warmup: LengthArgument | None = "10%", to: FactorArgument = 0.0) -> Schedule:
    """Build BERT's schedule: `warmup(10%) >> linear()`.

    Args:
        warmup (length or `None`, defaults to `10%`): The climb; `None` for none.
        to (factor, defaults to 0): Where the decay ends.

    When: fine-tuning, first of all. When not: the end of the run is not known.

    Source: Devlin et al. 2018, https://arxiv.org/abs/1810.04805; 10 % as in Mosbach et al. 2021,
    https://arxiv.org/abs/2006.04884.

    Example:
    ```python
    >>> bert()
    warmup(10%) >> linear()

    ```
    """
    return _warm_up(warmup, linear(to=to))


@named
def wsd(
    *, warmup: LengthArgument | None = "5%", cooldown: LengthArgument = "20%", to: FactorArgument = 0.0
) -> Schedule:
    """Hold between a warmup and a decay (warmup, stable, decay; also called trapezoidal): `warmup(5%) >> hold() >> one_minus_sqrt(over=20%)`.

    Args:
        warmup (length or `None`, defaults to `5%`): The climb; `None` for none.
        cooldown (length, defaults to `20%`): The decay at the end.
        to (factor, defaults to 0): Where the decay ends.

    When: the length is not decided yet, or runs of several lengths are to come from one. When not: a short fine-tuning.

    Source: Hu et al. 2024, MiniCPM, https://arxiv.org/abs/2404.06395; the shape of the cooldown: Hägele et al. 2024,
    https://arxiv.org/abs/2405.18392.

    Example:
    ```python
    >>> wsd(cooldown="10%")
    warmup(5%) >> hold() >> one_minus_sqrt(over=10%)

    ```
    """
    return _warm_up(warmup, hold() >> one_minus_sqrt(to=to, over=cooldown))


@named
def cosine_restarts(
    *,
    cycles: CountArgument = 3,
    warmup: LengthArgument | None = "10%",
    growth: PositiveArgument = 1.0,
    decay: DecayFactorArgument = 1.0,
    to: FactorArgument = 0.0,
) -> Schedule:
    """Anneal along cosines with warm restarts: `warmup(10%) >> repeat(cosine(), cycles=3)`.

    Args:
        cycles (`int`, defaults to 3): How many.
        warmup (length or `None`, defaults to `10%`): The climb before the first; `None` for none.
        growth (`float`, defaults to 1): What each cycle's length is multiplied by for the next.
        decay (factor, defaults to 1): What each cycle's peak is multiplied by for the next.
        to (factor, defaults to 0): Where each cycle ends.

    When: snapshots, one at the end of each cycle. When not: plain fine-tuning.

    Source: Loshchilov & Hutter 2016, SGDR, https://arxiv.org/abs/1608.03983.

    Example:
    ```python
    >>> cosine_restarts(cycles=2, warmup=None)
    repeat(cosine(), cycles=2)

    ```
    """
    return _warm_up(warmup, repeat(cosine(to=to), cycles=cycles, growth=growth, decay=decay))


@named
def step_decay(
    *, every: LengthArgument = "1ep", factor: DecayFactorArgument = 0.1, warmup: LengthArgument | None = "10%"
) -> Schedule:
    """Fall in steps after a warmup: `warmup(10%) >> step(every=1ep)`.

    Args:
        every (length, defaults to `1ep`): Between two drops.
        factor (factor, defaults to 0.1): What each drop multiplies by.
        warmup (length or `None`, defaults to `10%`): The climb; `None` for none.

    When: long runs in which the loss flattens between drops. When not: 3 epochs; a tenth after each is harsh there.

    Source: the standard form.

    Example:
    ```python
    >>> step_decay(every="10ep", warmup=None)
    step(every=10ep)

    ```
    """
    return _warm_up(warmup, step(every=every, factor=factor))


@named
def exponential_decay(*, rate: PositiveArgument = 0.1, warmup: LengthArgument | None = None) -> Schedule:
    """Fall exponentially, `lr = initial_lr * exp(-rate * epoch)`: by default `exponential(rate=0.1)`.

    Args:
        rate (`float`, defaults to 0.1): Decay per epoch.
        warmup (length or `None`, defaults to `None`): The climb before it.

    When: to repeat a recipe that has it. When not: first; the rate must fit the length of the run.

    Source: the standard form.

    Example:
    ```python
    >>> exponential_decay(rate=0.5)
    exponential(rate=0.5)

    ```
    """
    return _warm_up(warmup, exponential(rate=rate))


@named
def slanted_triangular(*, cut: LengthArgument = "10%", ratio: PositiveArgument = 32.0) -> Schedule:
    """Climb briefly, then fall in a straight line: `warmup(10%, start=0.03125) >> linear(to=0.03125)`.

    Args:
        cut (length, defaults to `10%`): The climb.
        ratio (`float`, defaults to 32): How far the lowest LR is below the peak; at least 1.

    When: to repeat ULMFiT. When not: in other fine-tuning; `bert()` has the same shape and ends at 0.

    Source: Howard & Ruder 2018, ULMFiT, https://arxiv.org/abs/1801.06146. Its formula rounds the cut down, so that, where
    `10%` of the run is not whole, its last LRs fall below the lowest; this one ends where it says.

    Example:
    ```python
    >>> slanted_triangular(ratio=10)
    warmup(10%, start=0.1) >> linear(to=0.1)

    ```
    """
    if ratio < 1:
        raise ScheduleError(f"ratio of slanted_triangular() must be at least 1, got {ratio:g}.")
    return climb(cut, start=1 / ratio) >> linear(to=1 / ratio)


@named
def noam(*, warmup: LengthArgument = 4000) -> Schedule:
    """Build the Transformer's schedule: `warmup(4000) >> inverse_sqrt()`, as factors of its peak.

    The paper's `d_model ** -0.5 * min(t ** -0.5, t * warmup ** -1.5)` has its peak `(d_model * warmup) ** -0.5` at the
    end of the warmup: give that as the learning rate. The paper counts t from 1 and this from 0, so each LR comes one
    update later, and the first update has LR 0.

    Args:
        warmup (length, defaults to 4000 updates): The climb.

    When: to repeat the Transformer. When not: fine-tuning, which it ends with a high LR.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Example:
    ```python
    >>> noam(warmup=4).resolve(17)([2, 4, 16])
    array([0.5, 1. , 0.5])

    ```
    """
    return climb(warmup) >> inverse_sqrt()


def register(name: str, schedule: str | Schedule | Callable[..., Schedule]) -> None:
    """Give a schedule a name, which then works in texts, in YAML and on the command line of this process.

    Args:
        name (`str`): Letters, digits and `_`.
        schedule (`str`, [`Schedule`] or `Callable`): What it stands for; a function's arguments become its own.

    Raises:
        ScheduleError: The name is taken, or the schedule is not one.

    Example:
    ```python
    >>> register("our_default", "warmup(6%) >> linear()")
    >>> parse("our_default()")
    warmup(6%) >> linear()

    ```
    """
    if isinstance(schedule, str):
        schedule = parse(schedule)
    if isinstance(schedule, Schedule):
        named_schedule = schedule

        def build_registered() -> Schedule:
            return named_schedule

        # The same schedule again is the same definition.
        build_registered.__qualname__ = f"register({str(named_schedule)!r})"
        schedule = build_registered
    if not callable(schedule):
        raise ScheduleError(f"{name!r} must stand for a text, a schedule or a function that returns one.")
    named(schedule, name)


def _warm_up(warmup: Length | None, schedule: Schedule) -> Schedule:
    return schedule if warmup is None else climb(warmup) >> schedule
