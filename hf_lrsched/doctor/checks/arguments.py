"""Checks of a schedule's arguments: ignored ones, floors, restarts."""

from collections.abc import Iterator

from ...schedules.numbers import is_finite_number, is_number_as_text
from ..expected_curve import WITHOUT_ARGUMENTS, WITHOUT_WARMUP
from ..facts import Facts
from ..finding import Finding
from .format import error, note, warning

#: The argument of transformers' schedules that is their lowest LR.
_FLOORS = {"polynomial": "lr_end", **dict.fromkeys(("cosine_with_min_lr", "cosine_warmup_with_min_lr"), "min_lr")}
_FLOORS |= dict.fromkeys(("reduce_lr_on_plateau", "greedy"), "min_lr")
#: GreedyLR's default of min_lr.
GREEDY_FLOOR = 1e-3


def ignored_arguments(facts: Facts) -> Iterator[Finding]:
    """Settings of a schedule that have no effect.

    https://github.com/huggingface/transformers/issues/31085, /issues/34905 and /issues/34559.
    """
    name, kwargs = facts.stock_schedule, facts.lr_scheduler_kwargs
    steps, ratio = facts.warmup_steps, facts.warmup_ratio
    if name in WITHOUT_ARGUMENTS and kwargs:
        yield warning(
            f"lr_scheduler_kwargs are ignored: {', '.join(map(str, kwargs))}",
            f"{name!r} has no arguments, and transformers drops them without an error",
            "Delete them, or choose the schedule that has them",
        )
    if name in WITHOUT_WARMUP and (steps or ratio):
        yield warning(
            f"the warmup is ignored: {f'warmup_steps={steps:g}' if steps else f'warmup_ratio={ratio:g}'}",
            f"{name!r} has no warmup; the first update already has the full LR of {facts.learning_rate or 0:.3g}",
            "Set lr_scheduler_type: constant_with_warmup"
            if name == "constant"
            else "Use schedule: (warmup(10%) >> hold()) * plateau()",
        )
    elif name is not None and steps and ratio:
        yield warning(
            f"warmup_ratio={ratio:g} is ignored",
            f"warmup_steps={steps:g} is set too and takes precedence",
            "Delete one of them",
        )


def number_as_text(facts: Facts) -> Iterator[Finding]:
    """A number that YAML or JSON reads as text, which TrainingArguments does not convert."""
    has_arguments = facts.stock_schedule is not None and facts.stock_schedule not in WITHOUT_ARGUMENTS
    for name, value in (*facts.numbers_as_text, *(facts.lr_scheduler_kwargs.items() if has_arguments else ())):
        if is_number_as_text(value):
            yield error(
                f"{name} is the text {value!r}, not a number",
                "YAML reads 2e-5 and '2' as text, and transformers does not convert it; the run stops with a TypeError",
                f"Write {name}: {to_yaml_number(value)}",
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
    peak, rate = facts.learning_rate or 0, facts.lr_scheduler_kwargs.get("min_lr_rate")
    name, floor = _find_stock_floor(facts)
    if floor >= peak > 0:
        is_default = name not in facts.lr_scheduler_kwargs
        yield error(
            f"the lowest LR, {name}={floor:g}, is not below the peak of {peak:.3g}",
            f"The LR rises or stays where it should fall{' (the default of GreedyLR)' if is_default else ''}",
            f"Set lr_scheduler_kwargs: {{{name}: {to_yaml_number(str(peak / 10))}}}, or raise learning_rate",
        )
    elif is_finite_number(rate) and rate > 1 and facts.stock_schedule is not None:
        yield error(
            f"the lowest LR, min_lr_rate={rate:g}, is above the peak of {peak:.3g}",
            f"It is a share of the peak, so the LR rises from {peak:.3g} to {peak * rate:.3g}",
            "Set min_lr_rate to a share below 1, such as 0.1",
        )


def floor_differs_by_group(facts: Facts) -> Iterator[Finding]:
    """A lowest LR that differs between parameter groups, since transformers divides it by the optimizer's default LR.

    https://github.com/huggingface/transformers/issues/29341.
    """
    lrs, peak = sorted({lr for lr in facts.group_lrs if lr > 0}), facts.learning_rate
    name, floor = _find_stock_floor(facts)
    if floor > 0 and len(lrs) > 1 and peak:
        yield warning(
            f"{name}={floor:g} is not the lowest LR of every group",
            f"transformers divides it by learning_rate={peak:.3g}; the groups of {lrs[0]:.3g} and {lrs[-1]:.3g} end at "
            f"{lrs[0] * floor / peak:.3g} and {lrs[-1] * floor / peak:.3g}",
            f"Use ScheduledTrainer with schedule: warmup(10%) >> cosine(to_lr={floor:g}), a floor for every group; or set a "
            "share, min_lr_rate",
        )


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


def _find_stock_floor(facts: Facts) -> tuple[str, float]:
    """The lowest LR of the stock schedule, with its argument's name; 0 where it has none."""
    name = _FLOORS.get(facts.stock_schedule or "", "")
    floor = facts.lr_scheduler_kwargs.get(name, GREEDY_FLOOR if facts.stock_schedule == "greedy" else 0)
    return name, float(floor) if is_finite_number(floor) else 0.0


CHECKS = (no_restarts, ignored_arguments, number_as_text, misspelled_setting, floor_above_peak, floor_differs_by_group)
