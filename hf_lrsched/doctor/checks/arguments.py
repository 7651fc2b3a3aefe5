"""Checks of a schedule's arguments: ignored ones, floors, restarts."""

import math
from collections.abc import Iterator

from ...schedules import ScheduleError, parse
from ...schedules.errors import nearest
from ...schedules.from_transformers import TRANSFORMERS_NAMES, allowed_arguments
from ...schedules.numbers import is_finite_number, is_number_as_text
from ..expected_curve import METRIC_DRIVEN, WITHOUT_ARGUMENTS, WITHOUT_WARMUP, iterate_phases
from ..facts import Facts
from ..finding import Finding
from .format import error, note, warning

#: The arguments of torch's ReduceLROnPlateau and transformers' GreedyLR.
PLATEAU_ARGUMENTS = (
    "mode",
    "factor",
    "patience",
    "threshold",
    "threshold_mode",
    "cooldown",
    "min_lr",
    "eps",
    "verbose",
)
GREEDY_ARGUMENTS = (*PLATEAU_ARGUMENTS, "warmup", "max_lr", "smooth", "window_size", "reset_start")
#: GreedyLR's default of min_lr.
GREEDY_FLOOR = 1e-3


def ignored_arguments(facts: Facts) -> Iterator[Finding]:
    """Settings of a schedule that have no effect, or that stop the run within train().

    https://github.com/huggingface/transformers/issues/31085, /issues/34905 and /issues/34559.
    """
    name, kwargs = facts.stock_schedule, facts.lr_scheduler_kwargs
    if name is None:
        return
    if name in WITHOUT_ARGUMENTS and kwargs:
        yield warning(
            f"lr_scheduler_kwargs are ignored: {', '.join(map(str, kwargs))}",
            f"{name!r} has no arguments, and transformers drops them without an error",
            "Delete them, or choose the schedule that has them",
        )
    elif unknown := find_unknown_arguments(facts):
        allowed = _allowed(name)
        yield error(
            f"{name!r} has no argument {', '.join(unknown)}",
            "train() stops with a TypeError after model and data are loaded",
            f"Choose from {', '.join(allowed)}.{nearest(unknown[0], allowed)}".rstrip(".") if allowed else "Delete it",
        )
    warmup = facts.warmup_steps or facts.warmup_ratio
    if name in WITHOUT_WARMUP and warmup:
        yield warning(
            f"the warmup is ignored: {'warmup_steps' if facts.warmup_steps else 'warmup_ratio'}={warmup:g}",
            f"{name!r} has no warmup; the first update already has the full LR of {facts.learning_rate or 0:.3g}",
            "Set lr_scheduler_type: constant_with_warmup"
            if name == "constant"
            else "Use schedule: (warmup(10%) >> hold()) * plateau()",
        )
    elif facts.warmup_steps and facts.warmup_ratio:
        yield warning(
            f"warmup_ratio={facts.warmup_ratio:g} is ignored",
            f"warmup_steps={facts.warmup_steps:g} is set too and takes precedence",
            "Delete one of them",
        )


def number_as_text(facts: Facts) -> Iterator[Finding]:
    """A number that YAML or JSON reads as text, which TrainingArguments does not convert."""
    in_kwargs = [(f"lr_scheduler_kwargs.{name}", value) for name, value in find_numbers_as_text(facts)]
    for name, value in (*facts.numbers_as_text, *in_kwargs):
        yield error(
            f"{name} is the text {value!r}, not a number",
            "YAML reads 2e-5 and '2' as text, and transformers does not convert it; the run stops with a TypeError",
            f"Write {name.rpartition('.')[2]}: {to_yaml_number(value)}",
        )


def misspelled_setting(facts: Facts) -> Iterator[Finding]:
    """An unknown setting whose name resembles a known one."""
    for name, near in facts.misspelled:
        yield note(f"{name} is not a known setting", "If no script reads it, it has no effect", f"Did you mean {near}?")


def no_restarts(facts: Facts) -> Iterator[Finding]:
    """`cosine_with_restarts` with one cycle, its default, which is a plain cosine.

    https://github.com/huggingface/transformers/issues/20552 and /issues/29852.
    """
    cycles = facts.lr_scheduler_kwargs.get("num_cycles", 1)
    if facts.stock_schedule == "cosine_with_restarts" and is_finite_number(cycles) and cycles <= 1:
        default = "" if "num_cycles" in facts.lr_scheduler_kwargs else ", its default"
        yield warning(
            "cosine_with_restarts never restarts",
            f"num_cycles is {cycles:g}{default}: one cycle over the whole run, the same as 'cosine'",
            "Set lr_scheduler_kwargs: {num_cycles: 3}, or lr_scheduler_type: cosine",
        )


def floor_above_peak(facts: Facts) -> Iterator[Finding]:
    """A lowest LR that is not below the peak: the LR rises instead of falling, or never falls.

    GreedyLR's default floor of 1e-3 is above every LR of fine-tuning.
    """
    peak = facts.learning_rate or 0
    for name, floor in find_floors_above_peak(facts):
        what = f"the lowest LR, {name}={floor:g}, is not below the peak of {peak:.3g}"
        if facts.stock_schedule == "greedy" and "min_lr" not in facts.lr_scheduler_kwargs:
            why, fix = "With GreedyLR's default of min_lr the LR can only rise", "Set lr_scheduler_kwargs: {min_lr: 0}"
        elif name.startswith("min_lr_"):
            why = f"It is a share of the peak, so the LR rises from {peak:.3g} to {peak * floor:.3g}"
            fix = f"Set {name} to a share below 1, such as 0.1"
        else:
            stops = facts.schedule is not None or name == "lr_end"
            why = "The training stops with an error" if stops else "The LR rises or stays where it should fall"
            fix = f"Set it below {peak:.3g}, e.g. to {peak / 10:.3g}, or raise learning_rate"
        yield error(what, why, fix)


def floor_differs_by_group(facts: Facts) -> Iterator[Finding]:
    """A lowest LR that differs between parameter groups, since transformers divides it by the optimizer's default LR.

    https://github.com/huggingface/transformers/issues/29341.
    """
    lrs = sorted({lr for lr in facts.group_lrs if lr > 0})
    floor = _stock_floor(facts)
    if floor is None or len(lrs) < 2 or not facts.learning_rate:
        return
    name, value = floor
    ends = " and ".join(f"{lr * value / facts.learning_rate:.3g}" for lr in (lrs[0], lrs[-1]))
    yield warning(
        f"{name}={value:g} is not the lowest LR of every group",
        f"transformers divides it by learning_rate={facts.learning_rate:.3g}; the groups of {lrs[0]:.3g} and {lrs[-1]:.3g} end "
        f"at {ends}",
        f"Use ScheduledTrainer with schedule: warmup(10%) >> cosine(to_lr={value:g}), a floor for every group; or set a share, "
        "min_lr_rate",
    )


def find_floors_above_peak(facts: Facts) -> list[tuple[str, float]]:
    """Find the lowest LRs that are not below the peak, each with its argument's name."""
    peak, kwargs = facts.learning_rate, facts.lr_scheduler_kwargs
    if peak is None or not peak > 0:
        return []
    if facts.schedule is not None:
        try:
            phases = [phase for phase in iterate_phases(parse(facts.schedule)) if phase.name != "warmup"]
        except ScheduleError:
            return []
        floors = [(f"to_lr of {phase.name}()", dict(phase.arguments).get("to_lr")) for phase in phases]
        found = [(name, float(floor)) for name, floor in floors if isinstance(floor, int | float)]
        return [(name, floor) for name, floor in found if floor > peak and not math.isclose(floor, peak)]
    for name in ("min_lr_rate", "min_lr_ratio"):
        rate = kwargs.get(name)
        if is_finite_number(rate) and rate > 1:
            return [(name, float(rate))]
    floor = _stock_floor(facts)
    if facts.stock_schedule == "greedy" and "min_lr" not in kwargs:
        floor = ("min_lr", GREEDY_FLOOR)
    return [floor] if floor is not None and floor[1] >= peak else []


def find_unknown_arguments(facts: Facts) -> list[str]:
    """Find arguments that the stock schedule does not have and does not drop."""
    name = facts.stock_schedule
    if name in WITHOUT_ARGUMENTS or name not in (*TRANSFORMERS_NAMES, *METRIC_DRIVEN):
        return []
    return [key for key in facts.lr_scheduler_kwargs if key not in _allowed(name)]


def find_numbers_as_text(facts: Facts) -> list[tuple[str, str]]:
    """Find arguments of the stock schedule that are numbers, written so that YAML reads text."""
    if facts.stock_schedule is None or facts.stock_schedule in WITHOUT_ARGUMENTS:
        return []
    return [(key, value) for key, value in facts.lr_scheduler_kwargs.items() if is_number_as_text(value)]


def to_yaml_number(text: str) -> str:
    """Write a number so that YAML reads a number.

    Example:
    ```python
    >>> to_yaml_number("1e-6"), to_yaml_number("2"), to_yaml_number("0.5")
    ('1.0e-06', '2', '0.5')

    ```
    """
    mantissa, exponent, power = f"{float(text):g}".partition("e")
    return f"{mantissa}.0e{power}" if exponent and "." not in mantissa else f"{mantissa}{exponent}{power}"


def _allowed(name: str | None) -> tuple[str, ...]:
    """The arguments of a schedule of transformers; none of an unknown one."""
    if name in METRIC_DRIVEN:
        return GREEDY_ARGUMENTS if name == "greedy" else PLATEAU_ARGUMENTS
    return allowed_arguments(name) if name in TRANSFORMERS_NAMES else ()


def _stock_floor(facts: Facts) -> tuple[str, float] | None:
    for name in ("min_lr", "lr_end"):
        value = facts.lr_scheduler_kwargs.get(name)
        if is_finite_number(value) and value > 0 and name in _allowed(facts.stock_schedule):
            return name, float(value)
    return None
