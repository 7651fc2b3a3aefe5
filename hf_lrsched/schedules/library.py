"""The named families: what a user writes."""

import math

import numpy as np

from . import shapes
from .errors import ScheduleError
from .phase import DecayFactorArgument, FactorArgument, phase
from .schedule import Shape, Span
from .shapes import Array, Function
from .units import LengthArgument


@phase
def warmup(over: LengthArgument, *, start: FactorArgument | None = None, to: FactorArgument = 1.0) -> Shape:
    """Climbs in a straight line: `factor(u) = start + (to - start) * u / W` at update u = 0 … W-1 of a warmup of W.

    From its default start, 0, the first update of the run has LR 0 and changes nothing; `start=0.1` avoids that.

    Args:
        over (length): How long: `500` updates, `10%` of the run, `1ep`.
        start (factor, *optional*): Where it starts. Defaults to where the phase before it ended, 0 at the start of the
            run.
        to (factor, defaults to 1): Where it ends.

    Raises:
        ScheduleError: It lasts to the end of the run, so that its end is never reached; or it would fall.

    Source: Devlin et al. 2018, BERT, https://arxiv.org/abs/1810.04805.

    Example:
    ```python
    >>> (warmup(4) >> hold()).resolve(6)(range(6))
    array([0.  , 0.25, 0.5 , 0.75, 1.  , 1.  ])

    ```
    """

    def place(span: Span) -> Function:
        low = start if start is not None else (0.0 if span.level is None else span.level)
        if low > to:
            raise ScheduleError(f"{span.text} would fall, from {low:g} to {to:g}; a warmup climbs. Use a decay.")
        if span.end == span.horizon.num_updates:
            raise ScheduleError(
                f"{span.text} lasts to the end of the run ({span.size} of {span.horizon.num_updates} updates): its end, "
                f"{to:g} x the peak LR, is never reached. Shorten it or lengthen the run."
            )
        return lambda u: low + (to - low) * (u / span.size)

    return place


@phase
def hold(over: LengthArgument | None = None) -> Shape:
    """Stays where the phase before it ended: `factor(u) = level`, the peak (1) at the start of the run.

    Args:
        over (length, *optional*): How long. Defaults to what is left.

    Example:
    ```python
    >>> (hold(2) >> linear()).resolve(4)(range(5))
    array([1. , 1. , 1. , 0.5, 0. ])

    ```
    """
    return lambda span: lambda u: np.full_like(u, span.height)


@phase
def linear(*, to: FactorArgument = 0.0, over: LengthArgument | None = None) -> Shape:
    """Falls in a straight line: `factor(u) = to + (level - to) * (1 - u / D)` at update u = 0 … D-1 of D.

    `level` is where the phase before it ended, 1 at the start of the run. The last update of the run has `level / D`
    above `to`, not `to` itself, as in BERT's code and transformers.

    Args:
        to (factor, defaults to 0): Where it ends.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: `to` is above where it starts.

    Source: Devlin et al. 2018, BERT, https://arxiv.org/abs/1810.04805.

    Example:
    ```python
    >>> linear(to=0.2).resolve(4)(range(5))
    array([1. , 0.8, 0.6, 0.4, 0.2])

    ```
    """
    return _decay(shapes.linear, to)


@phase
def cosine(*, to: FactorArgument = 0.0, over: LengthArgument | None = None) -> Shape:
    """Falls along half a cosine: `factor(u) = to + (level - to) * (1 + cos(pi * u / D)) / 2`, u = 0 … D-1 of D.

    Slow at first, fastest in the middle, slow at the end; past the end it stays at `to` and does not rise again.

    Args:
        to (factor, defaults to 0): Where it ends.
        over (length, *optional*): How long. Defaults to what is left.

    Raises:
        ScheduleError: `to` is above where it starts.

    Source: Loshchilov & Hutter 2016, SGDR, https://arxiv.org/abs/1608.03983 (one cycle, without restarts).

    Example:
    ```python
    >>> cosine(to=0.2).resolve(4)([0, 2, 4])
    array([1. , 0.6, 0.2])

    ```
    """
    return _decay(shapes.cosine, to)


@phase
def step(
    *,
    every: LengthArgument,
    factor: DecayFactorArgument = 0.1,
    to: FactorArgument = 0.0,
    over: LengthArgument | None = None,
) -> Shape:
    """Falls in steps: `factor(u) = max(to, level * factor ** floor(u / every))`.

    Args:
        every (length): Between two drops, counted from the start of the phase.
        factor (factor, defaults to 0.1): What each drop multiplies by; above 0, at most 1.
        to (factor, defaults to 0): It never falls below this.
        over (length, *optional*): How long the phase lasts. Defaults to what is left.

    Raises:
        ScheduleError: `factor` is above 1, or `to` is above where it starts.

    Example:
    ```python
    >>> step(every=2, factor=0.5).resolve(6)(range(6))
    array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25])

    ```
    """

    def place(span: Span) -> Function:
        _check_end(span, to)
        size = span.updates(every)
        if size >= span.size:
            span.notes.append(
                f"{span.text} never drops: {every.explain(span.horizon)}, and the phase has {span.size} updates."
            )
        top, bottom = float(min(size.numerator, 2**52)), float(size.denominator)

        def values(u: Array) -> Array:
            return np.maximum(to, span.height * factor ** np.floor(u * bottom / top))

        return values

    return place


def _decay(remaining: Function, to: float) -> Shape:
    """A phase that falls from where it starts to `to`, along a shape."""

    def place(span: Span) -> Function:
        _check_end(span, to)
        return lambda u: to + (span.height - to) * remaining(u / span.size)

    return place


def _check_end(span: Span, to: float) -> None:
    # Levels are computed, so an end that equals the start may come out an ulp above it.
    if to > span.height and not math.isclose(to, span.height):
        raise ScheduleError(
            f"{span.text} would rise, from {span.height:g} to {to:g}; a decay falls. Use warmup(..., to={to:g}) to climb."
        )
