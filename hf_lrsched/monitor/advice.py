"""What to change in a schedule or a peak LR: texts in, texts out.

A schedule is advised only if it can be pasted: it is parsed again, resolved over the run, and compared with the one before.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..schedules import Horizon, Length, Phase, Product, Schedule, ScheduleError, as_length, linear
from .finding import Change
from .outline import HIGH, Outline, is_frozen, is_warmup

#: What a step should be relative to the weights: about a thousandth (a rule of thumb of Stanford's CS231n, "Ratio of weights:updates", https://cs231n.github.io/neural-networks-3/#ratio).
STEP_RATIO = 1e-3

#: The same for a model with random weights: the best LRs of 16 small ones lie at 0.02 to 1.7, half of them at 0.08 to 0.2.
NEW_STEP_RATIO = 0.1

# The least and the largest change of the LR that is advised at once.
_MIN_FACTOR, _MAX_FACTOR, _MAX_NEW_FACTOR = 10.0, 30.0, 100.0
_MIN_WANTED = 3.0

# The shortest and the longest warmup that is advised. From two fifths of the run on it would be reported as too long.
_MIN_WARMUP, _MAX_WARMUP = as_length("10%"), as_length("30%")

# The share of a run, at its end, with a spent LR that is too much; and how much more of it at 0 is no improvement.
_MUCH_SPENT, _MORE_IDLE = 0.4, 0.1


def change_lr(learning_rate: float, ratio: float, *, lower: bool, is_new: bool = False) -> Change | None:
    """Advise a peak LR at which an adaptive optimizer's steps are about [`STEP_RATIO`] of the weights, or [`NEW_STEP_RATIO`].

    Adam and similar optimizers move each weight by about the LR, so that the ratio is LR / RMS of the weights. The factor is
    between 10 and 30, or up to 100 if a new model's LR is lowered. `None` if the LR to lower, or any LR of a new model, is within a
    factor of 3 of that: the steps do not show what is wrong with it.

    Args:
        learning_rate (`float`): The peak LR.
        ratio (`float`): Peak LR / RMS of the weights.
        lower (`bool`): Whether to lower or to raise the LR, which the losses decide.
        is_new (`bool`, defaults to `False`): Whether the model began with random weights.

    Example:
    ```python
    >>> print(change_lr(3e-3, 0.075, lower=True))
    learning_rate: 0.003  →  0.0001

    ```
    """
    target = NEW_STEP_RATIO if is_new else STEP_RATIO
    wanted = ratio / target if lower else target / ratio
    if wanted < _MIN_WANTED and (lower or is_new):
        return None
    factor = min(max(wanted, _MIN_FACTOR), _MAX_NEW_FACTOR if is_new and lower else _MAX_FACTOR)
    after = learning_rate / factor if lower else learning_rate * factor
    return Change("learning_rate", f"{learning_rate:g}", f"{_round(after):g}")


def _round(value: float) -> float:
    """Round to one digit."""
    return float(f"{value:.0e}")


def longer_warmup(schedule: str, horizon: Horizon, peak: float | None = None) -> Change | None:
    """Advise twice the warmup, but at least 10 % and at most 30 % of the run, or a warmup of 10 % where there is none.

    `None` for a schedule with a climb of its own, such as `one_cycle()`.

    Args:
        schedule (`str`): The schedule's text.
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

    def candidates(before: Outline) -> Iterator[list[Schedule]]:
        if before.warmup is not None:
            yield _with_warmup(before, _double(before.warmup, horizon))
        elif before.peaks_after_warmup:
            yield _with_warmup(before, _MIN_WARMUP)

    def is_better(before: Outline, after: Outline) -> bool:
        is_longer = after.warmup_end > before.warmup_end and after.climb > before.climb
        return is_longer and _keeps_peak(before, after)

    return _change_parts(schedule, horizon, peak, candidates, is_better)


def shorter_warmup(schedule: str, horizon: Horizon, peak: float | None = None) -> Change | None:
    """Advise a warmup of 10 %.

    Example:
    ```python
    >>> print(shorter_warmup("warmup(70%) >> linear(over=30%)", Horizon(200)))
    schedule: warmup(70%) >> linear(over=30%)  →  warmup(10%) >> linear()

    ```
    """

    def candidates(before: Outline) -> Iterator[list[Schedule]]:
        if before.warmup is not None:
            yield _with_warmup(before, _MIN_WARMUP)

    def is_better(before: Outline, after: Outline) -> bool:
        is_shorter = after.warmup_end < before.warmup_end and after.climb < before.climb
        return is_shorter and _keeps_peak(before, after)

    return _change_parts(schedule, horizon, peak, candidates, is_better)


def has_long_warmup(schedule: str, horizon: Horizon, peak: float | None = None) -> bool:
    """Return whether a schedule begins with a warmup of more than 10 %. The climb of a cycle does not count.

    Example:
    ```python
    >>> has_long_warmup("warmup(70%) >> linear()", Horizon(200)), has_long_warmup("triangular(up=50%)", Horizon(200))
    (True, False)

    ```
    """
    try:
        warmup = Outline.parse(schedule, horizon, peak).warmup
    except ScheduleError:
        return False
    return warmup is not None and _get_length(warmup).updates(horizon) > _MIN_WARMUP.updates(horizon)


def longer_decay(schedule: str, horizon: Horizon, peak: float | None = None) -> Change | None:
    """Advise a decay over the rest of the run, instead of one that ends before it; linear where the shape would decay as fast as before.

    Example:
    ```python
    >>> print(longer_decay("warmup(5%) >> cosine(over=20%) >> hold()", Horizon(200)))
    schedule: warmup(5%) >> cosine(over=20%) >> hold()  →  warmup(5%) >> cosine()
    >>> print(longer_decay("warmup(5%) >> step(every=5%)", Horizon(200)))
    schedule: warmup(5%) >> step(every=5%)  →  warmup(5%) >> linear()

    ```
    """

    def candidates(before: Outline) -> Iterator[list[Schedule]]:
        kept = list(before.parts)
        while len(kept) > 1 and isinstance(kept[-1], Phase) and kept[-1].name in ("hold", "freeze"):
            kept.pop()
        yield [*kept[:-1], _change_main(kept[-1], _without_length)]
        yield _with_linear(kept)

    def is_better(before: Outline, after: Outline) -> bool:
        falls = after.last < after.highest / 2
        return before.spent >= _MUCH_SPENT > after.spent and falls and _keeps_climb(before, after)

    return _change_parts(schedule, horizon, peak, candidates, is_better)


def decay_instead(schedule: str, horizon: Horizon, peak: float | None = None) -> Change | None:
    """Advise linear decay after the warmup, for a schedule that stays above half of its peak.

    Example:
    ```python
    >>> print(decay_instead("freeze(1ep) >> warmup(10%) >> hold()", Horizon(200, updates_per_epoch=50)))
    schedule: freeze(1ep) >> warmup(10%) >> hold()  →  freeze(1ep) >> warmup(10%) >> linear()

    ```
    """

    def candidates(before: Outline) -> Iterator[list[Schedule]]:
        yield _with_linear(list(before.parts))

    def is_better(before: Outline, after: Outline) -> bool:
        return before.last >= before.highest / 2 > after.last and _keeps_climb(before, after)

    return _change_parts(schedule, horizon, peak, candidates, is_better)


def _change_parts(
    schedule: str,
    horizon: Horizon,
    peak: float | None,
    candidates: Callable[[Outline], Iterator[list[Schedule]]],
    is_better: Callable[[Outline, Outline], bool],
) -> Change | None:
    """Return the first of some other phases that fit into the run and are better; reactive parts stay."""
    try:
        before = Outline.parse(schedule, horizon, peak)
    except ScheduleError:  # a name that is not registered here, or a product of several curves
        return None
    for parts in candidates(before):
        try:
            after = before.with_parts(parts)
        except ScheduleError:  # nothing is left for a phase, a milestone would lie before its phase, …
            continue
        is_as_high = abs(after.highest - before.highest) <= (1 - HIGH) * before.highest
        if is_as_high and _get_reactive(after) == _get_reactive(before) and is_better(before, after):
            return Change("schedule", schedule, str(after.schedule))
    return None


def _get_reactive(outline: Outline) -> list[Schedule]:
    return [reaction.phase for reaction in outline.curve.reactive_parts]


def _keeps_peak(before: Outline, after: Outline) -> bool:
    """Return whether the new warmup reaches the peak, and makes no decay end long before the run."""
    idles = after.idle > before.idle + _MORE_IDLE or after.spent >= _MUCH_SPENT > before.spent
    return after.peaks_after_warmup and not idles


def _keeps_climb(before: Outline, after: Outline) -> bool:
    """Return whether the peak is not reached earlier, by a hundredth of the run: frozen phases and warmup are as before."""
    return after.climb > before.climb - 0.01


def _with_warmup(before: Outline, length: Length) -> list[Schedule]:
    """Replace the warmup; where all phases have lengths, the last decay takes the rest of the run."""
    head, rest = before.parts[: before.num_frozen], before.parts[before.num_frozen :]
    arguments = dict(before.warmup.arguments if before.warmup else ()) | {"over": length}
    if head:  # an unfrozen group joins at its peak, from which there is no climb
        arguments = {"over": length, "start": 0.0} | arguments
    parts = [*head, Phase("warmup", tuple(arguments.items())), *(rest[1:] if before.warmup else rest)]
    if all(part.length(before.horizon) is not None for part in parts):
        at = max((i for i, part in enumerate(parts) if not _is_fixed(part)), default=None)
        if at is not None:
            parts[at] = _change_main(parts[at], _without_length)
    return parts


def _double(warmup: Phase, horizon: Horizon) -> Length:
    """Return twice its length, in its own unit, within the bounds."""
    over = _get_length(warmup)
    twice = replace(over, amount=2 * over.amount)
    return sorted((_MIN_WARMUP, twice, _MAX_WARMUP), key=lambda length: length.updates(horizon))[1]


def _get_length(warmup: Phase) -> Length:
    over = dict(warmup.arguments)["over"]
    assert isinstance(over, Length)
    return over


def _with_linear(parts: list[Schedule]) -> list[Schedule]:
    """Keep everything up to the last warmup or frozen phase, then decay linearly."""
    kept = max((i for i, part in enumerate(parts, 1) if is_warmup(part) or is_frozen(part)), default=0)
    return [*parts[:kept], linear() if kept == len(parts) else _change_main(parts[-1], lambda _: linear())]


def _change_main(part: Schedule, change: Callable[[Schedule], Schedule]) -> Schedule:
    """Change a phase, also one that is multiplied by plateau()."""
    if isinstance(part, Product) and all(factor.only_scales for factor in part.parts[1:]):
        return Product((change(part.parts[0]), *part.parts[1:]))
    return change(part)


def _is_fixed(part: Schedule) -> bool:
    """Return whether a phase keeps its length, whatever the others have."""
    return is_frozen(part) or (isinstance(part, Phase) and part.name in ("warmup", "cooldown"))


def _without_length(part: Schedule) -> Schedule:
    """Remove a phase's length, so that it takes the rest of the run."""
    if not isinstance(part, Phase) or _is_fixed(part):
        return part
    return replace(part, arguments=tuple(each for each in part.arguments if each[0] != "over"))
