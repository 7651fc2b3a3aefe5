"""How the arguments of a phase are read: one function for each kind, and the annotation that declares it.

Type checkers see `Any`: a caller may pass a text, and the function receives the value that was read from it.
"""

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from numbers import Integral, Real
from typing import Annotated, Any, TypeAlias, TypeGuard

from .errors import ScheduleError, brief, nearest
from .schedule import Schedule
from .units import Length, as_duration, as_length

Reader: TypeAlias = Callable[[Any, str], Any]

#: A word of a text: a name, or a metric such as `eval_mnli-mm_accuracy`.
WORD = r"[A-Za-z_]\w*(?:[-./@:]\w+)*"


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Return whether a value is a list: any sequence but a text, such as a tuple or OmegaConf's `ListConfig`."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def number(allowed: str, accepts: Callable[[float], bool], percent: bool = True) -> Callable[[object, str], float]:
    """Make the reader of a finite number, also from a text: `"1%"` is 0.01 where percent are allowed."""

    def read(value: object, name: str) -> float:
        found = _read_number(value, percent)
        if found is None or not accepts(found):
            raise ScheduleError(f"{name} must be {allowed}, got {brief(value)}.")
        return found

    return read


def whole_number(lowest: int) -> Callable[[object, str], int]:
    """Make the reader of a whole number."""

    def read(value: object, name: str) -> int:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
            raise ScheduleError(f"{name} must be a whole number of at least {lowest}, got {brief(value)}.")
        return int(value)

    return read


as_factor = number("a finite factor of at least 0, like 0.01 or 1%", lambda x: x >= 0)
as_decay_factor = number("above 0 and at most 1", lambda x: 0 < x <= 1)
as_lr = number("a finite learning rate of at least 0, like 1e-6", lambda x: x >= 0, percent=False)
as_positive = number("a finite number above 0", lambda x: x > 0)
as_not_negative = number("a finite number of at least 0", lambda x: x >= 0)
as_number = number("a finite number", lambda x: True)
as_count = whole_number(1)
as_whole = whole_number(0)


def as_metric(value: object, name: str) -> str:
    """Read the name of a metric as it stands in an evaluation's record; `eval_` is added where it is left out."""
    if not isinstance(value, str) or not re.fullmatch(WORD, value, re.ASCII):
        raise ScheduleError(f"{name} must be the name of a metric, like eval_loss or eval_f1, got {brief(value)}.")
    return value if value.startswith("eval_") else f"eval_{value}"


def as_milestones(value: object, name: str) -> tuple[Length, ...]:
    """Read a list of lengths, counted from the start of the run; in order as far as that is known without a horizon."""
    if not is_list(value) or not value:
        raise ScheduleError(f"{name} must be a list of lengths like [1ep, 2ep] or [50%, 75%], got {brief(value)}.")
    milestones = tuple(as_length(item, f"{name}, item {index}") for index, item in enumerate(value, 1))
    for before, after in pairwise(milestones):
        if before.unit == after.unit and before.amount >= after.amount:
            raise ScheduleError(f"{name} must rise from each milestone to the next, got {before} before {after}.")
    return milestones


def as_points(value: object, name: str) -> tuple[tuple[Length, float], ...]:
    """Read a list of points `[time, factor]`; the first time may be 0."""
    if not is_list(value) or len(value) < 2:
        raise ScheduleError(
            f"{name} must be a list of 2 points or more, like [[0, 1], [50%, 0.1]], got {brief(value)}."
        )
    points = []
    for index, item in enumerate(value, 1):
        where = f"{name}, point {index}"
        if not is_list(item) or len(item) != 2:
            raise ScheduleError(f"{where} must be [time, factor], got {brief(item)}.")
        time, factor = item
        at_start = index == 1 and time in (0, "0") and not isinstance(time, bool)
        length = Length(Fraction(0)) if at_start else as_length(time, f"the time of {where}")
        points.append((length, as_factor(factor, f"the factor of {where}")))
    as_milestones([time for time, _ in points if time.amount], name)
    return tuple(points)


def as_inner_schedule(value: object, name: str) -> Schedule:
    """Read a schedule within a schedule."""
    if not isinstance(value, Schedule):
        raise ScheduleError(f"{name} must be a schedule like cosine(), got {brief(value)}.")
    if _reacts(value):
        raise ScheduleError(
            f"{name} cannot be {value}, which does more than scale the LR. Write it outside, e.g. floor(linear(), to=1%) * plateau()."
        )
    return value


def _reacts(schedule: Schedule) -> bool:
    return schedule.is_reactive or any(_reacts(part) for part in getattr(schedule, "parts", ()))


def one_of(*allowed: str) -> Reader:
    """Make the reader of a word from a list."""

    def as_choice(value: object, name: str) -> str:
        if value not in allowed:
            raise ScheduleError(
                f"{name} must be one of {', '.join(allowed)}, got {brief(value)}.{nearest(str(value or ''), allowed)}"
            )
        return allowed[allowed.index(value)]  # a plain text also for a member of an enum of texts

    return as_choice


def subset_of(*allowed: str) -> Reader:
    """Make the reader of any number of words from a list. One alone needs no brackets; their order does not matter."""
    read = one_of(*allowed)

    def as_words(value: object, name: str) -> tuple[str, ...]:
        words = {read(word, name) for word in (value if is_list(value) else [value])}
        return tuple(word for word in allowed if word in words)

    return as_words


FactorArgument: TypeAlias = Annotated[Any, as_factor]
DecayFactorArgument: TypeAlias = Annotated[Any, as_decay_factor]
LRArgument: TypeAlias = Annotated[Any, as_lr]
PositiveArgument: TypeAlias = Annotated[Any, as_positive]
NumberArgument: TypeAlias = Annotated[Any, as_number]
CountArgument: TypeAlias = Annotated[Any, as_count]
LengthArgument: TypeAlias = Annotated[Any, as_length]
DurationArgument: TypeAlias = Annotated[Any, as_duration]
MilestonesArgument: TypeAlias = Annotated[Any, as_milestones]
ScheduleArgument: TypeAlias = Annotated[Any, as_inner_schedule]
PointsArgument: TypeAlias = Annotated[Any, as_points]
OptionalFactor: TypeAlias = FactorArgument | None
OptionalLR: TypeAlias = LRArgument | None
OptionalLength: TypeAlias = LengthArgument | None


def _read_number(value: object, percent: bool) -> float | None:
    """Return a finite number, or `None`."""
    try:
        # Python's 1_0 is no number of this language.
        if isinstance(value, str) and value.isascii() and "_" not in value:
            found = float(value[:-1]) / 100 if percent and value.endswith("%") else float(value)
        elif not isinstance(value, bool) and isinstance(value, Real):
            found = float(value)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return found + 0.0 if math.isfinite(found) else None  # + 0.0 makes -0.0 0.0
