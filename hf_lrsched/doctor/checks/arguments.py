"""Checks of a schedule's arguments: swallowed ones, floors, restarts."""

import math
from collections.abc import Iterator

from ...schedules import ScheduleError, parse
from ...schedules.errors import nearest
from ...schedules.from_transformers import TRANSFORMERS_NAMES, arguments_of
from ..expected_curve import METRIC_DRIVEN, WITHOUT_ARGUMENTS, WITHOUT_WARMUP, phases_of, stock_text
from ..facts import Facts
from ..finding import Finding
from ..from_settings import is_finite
from .format import error, note, warning

#: What torch's ReduceLROnPlateau and transformers' GreedyLR take.
_PLATEAU = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps", "verbose")
_GREEDY = (*_PLATEAU, "warmup", "max_lr", "smooth", "window_size", "reset_start")
#: GreedyLR's default, below which it never lets an LR stay.
_GREEDY_FLOOR = 1e-3


def two_schedules(facts: Facts) -> Iterator[Finding]:
    """This package's schedule beside settings of the stock one."""
    settings = stock_text(facts)
    if facts.schedule is None or facts.lr_scheduler_type is None or settings == "lr_scheduler_type=linear":
        return
    yield error(
        f"two schedules: {facts.schedule} and {settings.removeprefix('lr_scheduler_type=linear, ')}",
        "The run stops with an error before its first update, for only one of them can be meant",
        "Delete the settings of the stock schedule; a warmup is part of the schedule, e.g. warmup(10%) >> linear()",
    )


def swallowed_arguments(facts: Facts) -> Iterator[Finding]:
    """Settings of a schedule that have no effect, or that it dies of within train().

    https://github.com/huggingface/transformers/issues/31085, /issues/34905 and /issues/34559.
    """
    name = facts.lr_scheduler_type
    if name is None or facts.schedule is not None:
        return
    kwargs = ", ".join(map(str, facts.lr_scheduler_kwargs))
    if name in WITHOUT_ARGUMENTS and kwargs:
        yield warning(
            f"lr_scheduler_kwargs are swallowed: {kwargs}",
            f"{name!r} takes none, and transformers drops them without a word",
            "Delete them, or choose the schedule that has them",
        )
    elif unknown := unknown_arguments(facts):
        allowed = _allowed(name)
        yield error(
            f"{name!r} has no argument {', '.join(unknown)}",
            "transformers finds out within train(), when model and data are loaded, and dies with a TypeError",
            f"Allowed are {', '.join(allowed) or 'none'}.{nearest(unknown[0], allowed)}".rstrip("."),
        )
    elif texts := numbers_as_texts(facts):
        key, value = texts[0]
        yield error(
            f"lr_scheduler_kwargs holds a text where a number is meant: {key}={value!r}",
            f"YAML reads 1e-6 and '2' as texts; {name!r} dies of it within train() with a TypeError, when model and data are "
            "loaded",
            f"Write {key}: {yaml_number(value)}",
        )
    warmup = facts.warmup_steps or facts.warmup_ratio
    if name in WITHOUT_WARMUP and warmup:
        yield warning(
            f"the warmup is swallowed: {'warmup_steps' if facts.warmup_steps else 'warmup_ratio'}={warmup:g}",
            f"{name!r} has none; the first update already has the full LR of {facts.learning_rate or 0:.3g}",
            "Choose lr_scheduler_type: constant_with_warmup"
            if name == "constant"
            else "Write warmup(10%) >> hold() * plateau()",
        )
    elif facts.warmup_steps and facts.warmup_ratio:
        yield warning(
            f"warmup_ratio={facts.warmup_ratio:g} is swallowed",
            f"warmup_steps={facts.warmup_steps:g} is set, too, and takes its place",
            "Delete one of them",
        )


def misspelt_setting(facts: Facts) -> Iterator[Finding]:
    """A setting of an unknown name that is near to one of a schedule's."""
    for name, near in facts.misspelt:
        yield note(f"{name} is not a known setting", "If nothing reads it, it has no effect", f"Did you mean {near}")


def restarts_that_do_not(facts: Facts) -> Iterator[Finding]:
    """`cosine_with_restarts` with its default of one cycle, which is a plain cosine.

    https://github.com/huggingface/transformers/issues/20552 and /issues/29852.
    """
    cycles = facts.lr_scheduler_kwargs.get("num_cycles", 1)
    if (
        facts.lr_scheduler_type == "cosine_with_restarts"
        and facts.schedule is None
        and is_finite(cycles)
        and cycles <= 1
    ):
        yield warning(
            "the cosine 'with restarts' never restarts",
            f"num_cycles is {cycles:g}{'' if 'num_cycles' in facts.lr_scheduler_kwargs else ', its default'}: one cycle over the "
            "whole run, the same as 'cosine'",
            "Set lr_scheduler_kwargs: {num_cycles: 3}, or write lr_scheduler_type: cosine",
        )


def floor_above_peak(facts: Facts) -> Iterator[Finding]:
    """A lowest LR above the peak: the LR would rise instead of fall, or can never fall.

    GreedyLR's default floor of 1e-3 is above every LR of fine-tuning.
    """
    peak = facts.learning_rate
    for name, floor in floors_above_peak(facts):
        if name == "GreedyLR":
            why = f"'greedy' can then only raise the LR of {peak:.3g}, up to {floor:.3g} and above"
            yield error(
                f"the lowest LR, min_lr={floor:g}, GreedyLR's default, is not below the peak of {peak:.3g}",
                why,
                "Set lr_scheduler_kwargs: {min_lr: 0}",
            )
        elif name in ("min_lr_rate", "min_lr_ratio"):
            yield error(
                f"the lowest LR, {name}={floor:g}, is not below the peak",
                f"The LR would climb from {peak or 0:.3g} to {(peak or 0) * floor:.3g}",
                f"{name} is a share of the peak, such as 0.1",
            )
        else:
            dies = facts.schedule is not None or name == "lr_end"
            why = "The training stops with an error" if dies else "The LR would rise, or stay, where it should fall"
            yield error(
                f"the lowest LR, {name}={floor:g}, is not below the peak of {peak:.3g}",
                why,
                f"Set it below {peak:.3g}, e.g. to {(peak or 0) / 10:.3g}, or raise learning_rate",
            )


def floor_across_groups(facts: Facts) -> Iterator[Finding]:
    """A lowest LR that is another one in each parameter group: transformers divides it by the optimizer's default LR.

    https://github.com/huggingface/transformers/issues/29341.
    """
    lrs = sorted({lr for lr in facts.group_lrs if lr > 0})
    floor = _stock_floor(facts)
    if facts.schedule is not None or floor is None or len(lrs) < 2 or not facts.learning_rate:
        return
    name, value = floor
    ends = ", ".join(f"{lr * value / facts.learning_rate:.3g}" for lr in (lrs[0], lrs[-1]))
    yield warning(
        f"{name}={value:g} is not the lowest LR of every group",
        f"transformers makes a share of it by learning_rate={facts.learning_rate:.3g}; the groups of {lrs[0]:.3g} and "
        f"{lrs[-1]:.3g} end at {ends}",
        "Write the schedule here, where to_lr= holds for each group by itself: warmup(10%) >> cosine(to_lr="
        f"{value:g}); or set a share, min_lr_rate",
    )


def floors_above_peak(facts: Facts) -> list[tuple[str, float]]:
    """The lowest LRs that are not below the peak, each with its argument's name."""
    peak, kwargs = facts.learning_rate, facts.lr_scheduler_kwargs
    if peak is None or not peak > 0:
        return []
    found: list[tuple[str, float]] = []
    if facts.schedule is not None:
        try:
            phases = list(phases_of(parse(facts.schedule)))
        except ScheduleError:
            return []
        for phase in phases:
            arguments = dict(phase.arguments)
            floor = arguments.get("to_lr")
            if phase.name != "warmup" and isinstance(floor, int | float):
                found.append((f"to_lr of {phase.name}()", float(floor)))
        return [(name, floor) for name, floor in found if floor > peak and not math.isclose(floor, peak)]
    for name in ("min_lr_rate", "min_lr_ratio"):
        rate = kwargs.get(name)
        if is_finite(rate) and rate > 1:
            return [(name, float(rate))]
    if facts.lr_scheduler_type == "greedy" and "min_lr" not in kwargs and peak <= _GREEDY_FLOOR:
        return [("GreedyLR", _GREEDY_FLOOR)]
    stock = _stock_floor(facts)
    return [stock] if stock is not None and stock[1] >= peak else []


def unknown_arguments(facts: Facts) -> list[str]:
    """The arguments that the stock schedule does not have and that are not dropped either."""
    name = facts.lr_scheduler_type
    if name is None or facts.schedule is not None or name in WITHOUT_ARGUMENTS:
        return []
    if name not in TRANSFORMERS_NAMES and name not in METRIC_DRIVEN:
        return []
    allowed = _allowed(name)
    return [key for key in facts.lr_scheduler_kwargs if key not in allowed]


def numbers_as_texts(facts: Facts) -> list[tuple[str, str]]:
    """The arguments of the stock schedule that are numbers, written so that YAML reads texts."""
    if facts.lr_scheduler_type is None or facts.schedule is not None or facts.lr_scheduler_type in WITHOUT_ARGUMENTS:
        return []
    return [(key, value) for key, value in facts.lr_scheduler_kwargs.items() if _is_number_as_text(value)]


def yaml_number(text: str) -> str:
    """A number as YAML reads one.

    Example:
    ```python
    >>> yaml_number("1e-6"), yaml_number("2"), yaml_number("0.5")
    ('1.0e-06', '2', '0.5')

    ```
    """
    number = float(text)
    written = f"{number:g}"
    mantissa, exponent, power = written.partition("e")
    return f"{mantissa}.0e{power}" if exponent and "." not in mantissa else written


def _is_number_as_text(value: object) -> bool:
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False


def _allowed(name: str) -> tuple[str, ...]:
    if name in METRIC_DRIVEN:
        return _GREEDY if name == "greedy" else _PLATEAU
    return arguments_of(name)


def _stock_floor(facts: Facts) -> tuple[str, float] | None:
    for name in ("min_lr", "lr_end"):
        value = facts.lr_scheduler_kwargs.get(name)
        if is_finite(value) and value > 0 and name in _allowed_of(facts):
            return name, float(value)
    return None


def _allowed_of(facts: Facts) -> tuple[str, ...]:
    name = facts.lr_scheduler_type
    return _allowed(name) if name in TRANSFORMERS_NAMES or name in METRIC_DRIVEN else ()
