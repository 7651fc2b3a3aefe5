"""Symptoms in the validation loss and metric."""

import statistics

from .. import advice
from ..finding import LossFinding
from ..history import Seen
from ..robust import trend
from ..run_info import Plan
from .evidence import _changes, _loss, _lower, _saw_start


def validation_rises(seen: Seen, plan: Plan) -> LossFinding | None:
    """The validation loss rises while the training loss falls: since its best evaluation it has lost 60 % of what it had gained
    until then, the last three evaluations all lie beyond that, and Mann-Kendall's test finds a rise."""
    found = [each for each in seen.evaluations if each.loss is not None and each.update > 0]
    if not _saw_start(plan) or len(found) < 4:
        return None
    losses = [_loss(each) for each in found]
    at = losses.index(min(losses))
    best, since = losses[at], losses[at:]
    start = max(seen.start, losses[0])
    gained = start - best
    if len(since) < 4 or min(since[-3:]) - best <= 0.6 * gained or trend(since) < 0.9:
        return None
    train = [block.loss for block in seen.blocks]
    now = statistics.median(train[-3:])
    then = [block.loss for block in seen.blocks if block.end <= found[at].update] or [seen.start]
    if now > min(then[-1], seen.start) - 2 * seen.error:
        return None
    rise = (losses[-1] - best) / gained if gained > 0 else float("inf")
    if plan.num_epochs is None:
        change = advice.shorter_run(seen.num_updates, found[at].update, "max_steps")
    else:
        change = advice.shorter_run(plan.num_epochs, plan.num_epochs * found[at].update / seen.num_updates)
    return LossFinding(
        "validation_rises",
        seen.update,
        found[at].update,
        trend(since),
        f"the validation loss rose from {best:.3g} to {losses[-1]:.3g} while the training loss fell to {now:.3g}"
        + (f": {rise:.0%} of its gain" if gained > 0 and rise < 20 else ", and it never was below that of the start"),
        "The model learns the training data by heart: end the run earlier (EarlyStoppingCallback), or regularize. If it never was "
        "better than at the start, look whether the validation labels are right.",
        _changes(change),
    )


def unstable_validation(seen: Seen, plan: Plan) -> LossFinding | None:
    """The validation loss goes up and down: the median swing between evaluations is a third of all that it gained, or its split
    is so small that one sample moves an accuracy by 4 points."""
    found = [each for each in seen.evaluations if each.loss is not None and each.update > 0]
    samples = next((each.samples for each in reversed(found) if each.samples), None)
    if len(found) < 3:
        return None
    if samples is not None and samples < 25:
        return LossFinding(
            "unstable_validation",
            seen.update,
            found[0].update,
            0.95,
            f"the validation split has {samples} samples: one of them moves an accuracy by {100 / samples:.0f} points, and its "
            f"standard error is up to {50 / samples**0.5:.0f}",
            "Take a larger validation split; no schedule can be judged by this one.",
        )
    losses = [_loss(each) for each in found]
    swings = [
        min(abs(b - a), abs(c - b))
        for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)
        if (b - a) * (c - b) < 0
    ]
    gained = max(seen.start, losses[0]) - min(losses)
    many = len(swings) >= max(3, 0.5 * (len(losses) - 2))
    if not _saw_start(plan) or len(losses) < 6 or not many or statistics.median(swings) < 0.33 * gained:
        return None
    return LossFinding(
        "unstable_validation",
        seen.update,
        found[0].update,
        0.9,
        f"the validation loss goes up and down: {len(swings)} of {len(losses) - 2} times it turned, by {statistics.median(swings):.3g} "
        f"and more in half of them, and all that it gained is {gained:.3g}",
        "The LR is too high for it to settle.",
        _changes(_lower(plan, 3)),
    )
