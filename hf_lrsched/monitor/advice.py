"""What to change in a schedule or a peak LR: texts in, texts out."""

import math
from collections.abc import Callable
from dataclasses import replace

from ..schedules import Schedule, ScheduleError, parse
from ..schedules.phase import Phase
from ..schedules.schedule import Product, Sequence
from .finding import Change

#: What the relative size of a step should come to: an update of about a thousandth of the weights (a rule of thumb of
#: Stanford's CS231n, "Ratio of weights:updates", https://cs231n.github.io/neural-networks-3/#ratio).
STEP_RATIO = 1e-3

# A change of the LR that is told at once: at least, and at most.
_LEAST, _MOST = 10.0, 30.0


def other_lr(learning_rate: float, ratio: float | None, *, lower: bool, factor: float | None = None) -> Change:
    """Another peak LR: where an adaptive optimizer's steps come to about [`STEP_RATIO`] of the weights.

    Adam and its kin move each weight by about the LR, so that the ratio is LR / RMS of the weights. Where it is not known, or
    would say less, a factor of 10; never more than 30.

    Args:
        learning_rate (`float`): The peak LR.
        ratio (`float`, *optional*): What it comes to.
        lower (`bool`): The direction, which the losses tell.
        factor (`float`, *optional*): By how much, where that is known otherwise.

    Example:
    ```python
    >>> print(other_lr(3e-3, 0.075, lower=True))
    learning_rate: 0.003  →  0.0001

    ```
    """
    if factor is None:
        wanted = 0.0 if not ratio else ratio / STEP_RATIO if lower else STEP_RATIO / ratio
        factor = min(max(wanted, _LEAST), _MOST)
    after = learning_rate / factor if lower else learning_rate * factor
    return Change("learning_rate", f"{learning_rate:g}", f"{_round(after):g}")


def _round(value: float) -> float:
    """To one digit."""
    return float(f"{value:.0e}")


def longer_warmup(schedule: str) -> Change | None:
    """Twice the warmup, at least 10 %; one of 10 % where there is none.

    Example:
    ```python
    >>> print(longer_warmup("warmup(4%) >> linear()"))
    schedule: warmup(4%) >> linear()  →  warmup(10%) >> linear()
    >>> print(longer_warmup("cosine() * plateau()"))
    schedule: cosine() * plateau()  →  (warmup(10%) >> cosine()) * plateau()

    ```
    """

    def change(parts: list[Schedule]) -> list[Schedule]:
        first = parts[0]
        if not _is_warmup(first):
            return [parse("warmup(10%)"), *parts]
        share = _share(first)
        return [_with_length(first, "20%" if share is None else f"{max(10, round(200 * share)):g}%"), *parts[1:]]

    return _changed(schedule, change)


def shorter_warmup(schedule: str) -> Change | None:
    """A warmup of 10 %.

    Example:
    ```python
    >>> print(shorter_warmup("warmup(70%) >> linear()"))
    schedule: warmup(70%) >> linear()  →  warmup(10%) >> linear()

    ```
    """
    return _changed(
        schedule, lambda parts: [_with_length(parts[0], "10%"), *parts[1:]] if _is_warmup(parts[0]) else parts
    )


def longer_decay(schedule: str) -> Change | None:
    """The decay takes what is left of the run, instead of ending before it.

    Example:
    ```python
    >>> print(longer_decay("warmup(5%) >> linear(over=20%) >> hold()"))
    schedule: warmup(5%) >> linear(over=20%) >> hold()  →  warmup(5%) >> linear()

    ```
    """

    def change(parts: list[Schedule]) -> list[Schedule]:
        kept = list(parts)
        while len(kept) > 1 and isinstance(kept[-1], Phase) and kept[-1].name in ("hold", "freeze"):
            kept.pop()
        last = kept[-1]
        if isinstance(last, Phase) and not _is_warmup(last):
            kept[-1] = replace(last, arguments=tuple(each for each in last.arguments if each[0] != "over"))
        return kept if kept != parts else _decayed(parts)

    return _changed(schedule, change)


def decay_instead(schedule: str) -> Change | None:
    """Linear decay after the warmup, for a schedule that stays high.

    Example:
    ```python
    >>> print(decay_instead("warmup(10%) >> hold()"))
    schedule: warmup(10%) >> hold()  →  warmup(10%) >> linear()

    ```
    """
    return _changed(schedule, _decayed)


def _decayed(parts: list[Schedule]) -> list[Schedule]:
    return [*(part for part in parts[:1] if _is_warmup(part)), parse("linear()")]


def _is_warmup(part: Schedule) -> bool:
    return isinstance(part, Phase) and part.name == "warmup"


def _share(warmup: Schedule) -> float | None:
    """The share of the run that a warmup takes, where it is given as one."""
    text = str(dict(warmup.arguments)["over"]) if isinstance(warmup, Phase) else ""
    return float(text.removesuffix("%")) / 100 if text.endswith("%") else None


def _with_length(warmup: Schedule, length: str) -> Schedule:
    made = parse(f"warmup({length})")
    assert isinstance(warmup, Phase) and isinstance(made, Phase)
    return replace(warmup, arguments=tuple(dict([*warmup.arguments, *made.arguments]).items()))


def _changed(before: str, change: Callable[[list[Schedule]], list[Schedule]]) -> Change | None:
    """A schedule with other phases; what multiplies them stays. `None` where nothing would change, or it can't be told how."""
    try:
        schedule = parse(before)
    except ScheduleError:  # e.g. a name that is not registered here
        return None
    factors = list(schedule.parts) if isinstance(schedule, Product) else [schedule]
    if not all(factor.neutral for factor in factors[1:]):
        return None
    first = factors[0]
    parts = change(list(first.parts) if isinstance(first, Sequence) else [first])
    made: Schedule = Sequence(tuple(parts)) if len(parts) > 1 else parts[0]
    after = Product((made, *factors[1:])) if len(factors) > 1 else made
    return None if after == schedule else Change("schedule", before, str(after))


def shorter_run(length: float, best: float, setting: str = "num_train_epochs") -> Change | None:
    """A run that ends a little after its best epoch, or its best update with `max_steps`.

    Example:
    ```python
    >>> print(shorter_run(20, 3.4))
    num_train_epochs: 20  →  5

    ```
    """
    wanted = max(1, math.ceil(1.25 * best))
    return Change(setting, f"{length:.10g}", f"{wanted}") if wanted < length else None
