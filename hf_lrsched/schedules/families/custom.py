"""Shapes of the user's own: piecewise() and custom()."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from .. import shapes
from ..arguments import FactorArgument, OptionalLength, OptionalLR, PointsArgument, one_of
from ..curve import Span
from ..errors import ScheduleError, brief
from ..registry import is_same_definition, phase
from ..schedule import Shape
from ..shapes import Array, Function


@phase
def piecewise(
    *,
    points: PointsArgument,
    shape: Annotated[str, one_of("linear", "cosine", "constant")] = "linear",
    over: OptionalLength = None,
) -> Shape:
    """Go from point to point: `factor(t) = f_i + (f_j - f_i) * (t - t_i) / (t_j - t_i)` between neighbours i and j.

    Before the first point it stays at the first factor, after the last one at the last.

    Args:
        points (list of `[time, factor]`): Times are counted from the start of the run and rise; factors are multiples
            of the peak, whatever stands before this phase.
        shape (`str`, defaults to `linear`): `linear`, `cosine` or `constant` (a factor holds until the next point).
        over (length, *optional*): How long the phase lasts. Defaults to what is left.

    Raises:
        ScheduleError: Fewer than two points, or times out of order.

    When: to draw what no family has. When not: a family has it; its name says more to the reader.

    Source: optax's `piecewise_interpolate_schedule`.

    Example:
    ```python
    >>> piecewise(points=[[0, 0], [4, 1], [8, 0.5]]).resolve(10)([0, 2, 4, 6, 8, 9])
    array([0.  , 0.5 , 1.  , 0.75, 0.5 , 0.5 ])

    ```
    """

    def build(span: Span) -> Function:
        times = span.milestones([time for time, _ in points])
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

    return build


_FUNCTIONS: dict[str, Callable[[Array], Array]] = {}


def _read_function(value: object, name: str) -> str:
    """Return the name of a user's function, which is registered under it."""
    if callable(value):
        called = getattr(value, "__name__", "")
        if not called.isidentifier():
            raise ScheduleError(f"{name} must be a function with a name of its own (def), got {brief(value)}.")
        held = _FUNCTIONS.setdefault(called, value)
        _FUNCTIONS[called] = value if is_same_definition(held, value) else held
        if _FUNCTIONS[called] is not value:
            raise ScheduleError(f"{name}: another function has the name {called!r} already; rename one of them.")
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
    function: Annotated[Any, _read_function],
    *,
    to: FactorArgument = 0.0,
    to_lr: OptionalLR = None,
    over: OptionalLength = None,
) -> Shape:
    """Fall along your own function: `factor(u) = to + (level - to) * function(u / D)`.

    Args:
        function (`Callable`): Takes an array of progress, 0 … 1, and returns what is left of the decay, normally from 1
            to 0. It must be a pure function with a name. A text may use the name once `custom` was called with the
            function.
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

    def build(span: Span) -> Function:
        end = span.factor(to, to_lr)

        def values(u: Array) -> Array:
            remaining = np.asarray(_FUNCTIONS[function](u / span.size), dtype=np.float64)
            factors = end + (span.level - end) * remaining
            if remaining.shape != u.shape or not (np.isfinite(factors).all() and (factors >= 0).all()):
                raise ScheduleError(
                    f"the function {function} must return an array like its argument, of finite factors of at least 0."
                )
            return factors

        values(np.array([0.0, span.size / 2, span.size]))
        return values

    return build
