"""What to change in a schedule or a peak LR: texts in, texts out.

A schedule is told only if it can be pasted: it is read back, resolved over the run, and compared with the one before.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..schedules import Horizon, Length, Phase, Product, Schedule, ScheduleError, as_length, linear
from .finding import Change
from .outline import HIGH, Sentence, is_frozen, is_warmup

#: What the relative size of a step should come to: an update of about a thousandth of the weights (a rule of thumb of
#: Stanford's CS231n, "Ratio of weights:updates", https://cs231n.github.io/neural-networks-3/#ratio).
STEP_RATIO = 1e-3

# A change of the LR that is told at once: at least, and at most.
_LEAST, _MOST = 10.0, 30.0

# A warmup that is told: at least, and at most. At two fifths of the run it would be told to be too long.
_SHORTEST, _LONGEST = as_length("10%"), as_length("30%")

# So much of a run, at its end, with a spent LR is told; and so much more of it at 0 is no improvement.
_MUCH_SPENT, _MORE_IDLE = 0.4, 0.1


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


def longer_warmup(schedule: str, horizon: Horizon, peak: float | None = None) -> Change | None:
    """Twice the warmup, but at least 10 % and at most 30 % of the run; one of 10 % where there is none.

    `None` where the schedule climbs by itself, as `one_cycle()` does.

    Args:
        schedule (`str`): Its text.
        horizon ([`Horizon`]): The run.
        peak (`float`, *optional*): The peak LR.

    Example:
    ```python
    >>> print(longer_warmup("warmup(4%) >> linear()", Horizon(200)))
    schedule: warmup(4%) >> linear()  →  warmup(10%) >> linear()
    >>> print(longer_warmup("warmup(500) >> hold(50%) >> linear(over=40%)", Horizon(5000)))
    schedule: warmup(500) >> hold(50%) >> linear(over=40%)  →  warmup(1000) >> hold(50%) >> linear()

    ```
    """

    def candidates(before: Sentence) -> Iterator[list[Schedule]]:
        if before.warmup is not None:
            yield _with_warmup(before, _twice(before.warmup, horizon))
        elif before.starts_high:
            yield _with_warmup(before, _SHORTEST)

    def is_better(before: Sentence, after: Sentence) -> bool:
        is_longer = after.warmup_end > before.warmup_end and after.climbed > before.climbed
        return is_longer and _starts_well(before, after)

    return _changed(schedule, horizon, peak, candidates, is_better)


def shorter_warmup(schedule: str, horizon: Horizon, peak: float | None = None) -> Change | None:
    """A warmup of 10 %.

    Example:
    ```python
    >>> print(shorter_warmup("warmup(70%) >> linear(over=30%)", Horizon(200)))
    schedule: warmup(70%) >> linear(over=30%)  →  warmup(10%) >> linear()

    ```
    """

    def candidates(before: Sentence) -> Iterator[list[Schedule]]:
        if before.warmup is not None:
            yield _with_warmup(before, _SHORTEST)

    def is_better(before: Sentence, after: Sentence) -> bool:
        is_shorter = after.warmup_end < before.warmup_end and after.climbed < before.climbed
        return is_shorter and _starts_well(before, after)

    return _changed(schedule, horizon, peak, candidates, is_better)


def has_long_warmup(schedule: str, horizon: Horizon, peak: float | None = None) -> bool:
    """Whether a schedule begins with a warmup of more than 10 %: a cycle that climbs is as it was drawn.

    Example:
    ```python
    >>> has_long_warmup("warmup(70%) >> linear()", Horizon(200)), has_long_warmup("triangular(up=50%)", Horizon(200))
    (True, False)

    ```
    """
    try:
        warmup = Sentence.read(schedule, horizon, peak).warmup
    except ScheduleError:
        return False
    return warmup is not None and _length(warmup).updates(horizon) > _SHORTEST.updates(horizon)


def longer_decay(schedule: str, horizon: Horizon, peak: float | None = None) -> Change | None:
    """The decay takes what is left of the run, instead of ending before it; a linear one where it would fall as fast as before.

    Example:
    ```python
    >>> print(longer_decay("warmup(5%) >> cosine(over=20%) >> hold()", Horizon(200)))
    schedule: warmup(5%) >> cosine(over=20%) >> hold()  →  warmup(5%) >> cosine()
    >>> print(longer_decay("warmup(5%) >> step(every=5%)", Horizon(200)))
    schedule: warmup(5%) >> step(every=5%)  →  warmup(5%) >> linear()

    ```
    """

    def candidates(before: Sentence) -> Iterator[list[Schedule]]:
        kept = list(before.parts)
        while len(kept) > 1 and isinstance(kept[-1], Phase) and kept[-1].name in ("hold", "freeze"):
            kept.pop()
        yield [*kept[:-1], _main(kept[-1], _open)]
        yield _decayed(kept)

    def is_better(before: Sentence, after: Sentence) -> bool:
        falls = after.last < after.highest / 2
        return before.spent >= _MUCH_SPENT > after.spent and falls and _climbs_alike(before, after)

    return _changed(schedule, horizon, peak, candidates, is_better)


def decay_instead(schedule: str, horizon: Horizon, peak: float | None = None) -> Change | None:
    """Linear decay after the warmup, for a schedule that stays above half of its peak.

    Example:
    ```python
    >>> print(decay_instead("freeze(1ep) >> warmup(10%) >> hold()", Horizon(200, updates_per_epoch=50)))
    schedule: freeze(1ep) >> warmup(10%) >> hold()  →  freeze(1ep) >> warmup(10%) >> linear()

    ```
    """

    def candidates(before: Sentence) -> Iterator[list[Schedule]]:
        yield _decayed(list(before.parts))

    def is_better(before: Sentence, after: Sentence) -> bool:
        return before.last >= before.highest / 2 > after.last and _climbs_alike(before, after)

    return _changed(schedule, horizon, peak, candidates, is_better)


def _changed(
    schedule: str,
    horizon: Horizon,
    peak: float | None,
    candidates: Callable[[Sentence], Iterator[list[Schedule]]],
    is_better: Callable[[Sentence, Sentence], bool],
) -> Change | None:
    """The first of some other phases that fit into the run and are better; what follows the run in it stays."""
    try:
        before = Sentence.read(schedule, horizon, peak)
    except ScheduleError:  # a name that is not registered here; a product, of which it can't be told what to change
        return None
    for parts in candidates(before):
        try:
            after = before.with_parts(parts)
        except ScheduleError:  # nothing is left for a phase, a milestone would lie before its phase, …
            continue
        is_as_high = abs(after.highest - before.highest) <= (1 - HIGH) * before.highest
        if is_as_high and _rules(after) == _rules(before) and is_better(before, after):
            return Change("schedule", schedule, str(after.schedule))
    return None


def _rules(sentence: Sentence) -> list[Schedule]:
    return [reaction.phase for reaction in sentence.curve.reactions]


def _starts_well(before: Sentence, after: Sentence) -> bool:
    """Whether the peak is reached with the new warmup, and no decay ends long before the run because of it."""
    idles = after.idle > before.idle + _MORE_IDLE or after.spent >= _MUCH_SPENT > before.spent
    return after.starts_high and not idles


def _climbs_alike(before: Sentence, after: Sentence) -> bool:
    """Whether the peak is not reached sooner, by a hundredth of the run: what is frozen and the warmup are as before."""
    return after.climbed > before.climbed - 0.01


def _with_warmup(before: Sentence, length: Length) -> list[Schedule]:
    """Another warmup; where all phases have lengths the last decay takes what is left, for the run is as long as before."""
    head, rest = before.parts[: before.frozen], before.parts[before.frozen :]
    arguments = dict(before.warmup.arguments if before.warmup else ()) | {"over": length}
    if head:  # a thawed group goes on from its peak, from which there is no climb
        arguments = {"over": length, "start": 0.0} | arguments
    parts = [*head, Phase("warmup", tuple(arguments.items())), *(rest[1:] if before.warmup else rest)]
    if all(part.length(before.horizon) is not None for part in parts):
        at = max((i for i, part in enumerate(parts) if not _is_fixed(part)), default=None)
        if at is not None:
            parts[at] = _main(parts[at], _open)
    return parts


def _twice(warmup: Phase, horizon: Horizon) -> Length:
    """Twice its length, in its own unit, or the bound that this is beyond."""
    over = _length(warmup)
    twice = replace(over, amount=2 * over.amount)
    return sorted((_SHORTEST, twice, _LONGEST), key=lambda length: length.updates(horizon))[1]


def _length(warmup: Phase) -> Length:
    over = dict(warmup.arguments)["over"]
    assert isinstance(over, Length)
    return over


def _decayed(parts: list[Schedule]) -> list[Schedule]:
    """Up to the last warmup, or what is frozen, as they are; then linear decay."""
    kept = max((i for i, part in enumerate(parts, 1) if is_warmup(part) or is_frozen(part)), default=0)
    return [*parts[:kept], linear() if kept == len(parts) else _main(parts[-1], lambda _: linear())]


def _main(part: Schedule, change: Callable[[Schedule], Schedule]) -> Schedule:
    """Changes a phase, also where plateau() stands beside it."""
    if isinstance(part, Product) and all(factor.neutral for factor in part.parts[1:]):
        return Product((change(part.parts[0]), *part.parts[1:]))
    return change(part)


def _is_fixed(part: Schedule) -> bool:
    """Whether a phase has the length that it was given, whatever the others have."""
    return is_frozen(part) or (isinstance(part, Phase) and part.name in ("warmup", "cooldown"))


def _open(part: Schedule) -> Schedule:
    """Without its length: it takes what is left."""
    if not isinstance(part, Phase) or _is_fixed(part):
        return part
    return replace(part, arguments=tuple(each for each in part.arguments if each[0] != "over"))


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
