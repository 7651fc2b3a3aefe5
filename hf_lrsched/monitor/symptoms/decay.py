"""Symptoms of a decay that is too fast or too slow."""

import statistics

from .. import advice
from ..finding import LossFinding
from ..history import Seen
from ..outline import SPENT
from ..robust import trend
from ..run_info import Plan
from .evidence import _A_TREND, _changes, _loss, _schedule, _score


def lr_spent(seen: Seen, plan: Plan) -> LossFinding | None:
    """The LR is at most 3 % of its highest while two fifths of the run are still to come, and for the last tenth of the run it
    was."""
    limit = SPENT * seen.highest[0]
    spent = 0
    for block in reversed(seen.blocks):
        if block.lr > limit:
            break
        spent += 1
    if seen.done > 0.6 or not limit or spent * seen.block_size < 0.1 * seen.num_updates:
        return None
    before = seen.blocks[: len(seen.blocks) - spent]
    if not before or plan.highest_after(seen.done) > limit:  # it will rise again
        return None
    now = [block.loss for block in seen.blocks[-spent:]]
    return LossFinding(
        "lr_spent",
        seen.update,
        before[-1].end + 1,
        1 - abs(trend(now)) / 2,
        f"the LR has been at {seen.lr / seen.highest[0]:.1%} of its peak since update {before[-1].end + 1}, the training loss "
        f"stays at {statistics.median(now):.3g}, and {1 - seen.done:.0%} of the run are still to come",
        "Let the decay last to the end of the run.",
        _changes(_schedule(advice.longer_decay, plan)),
    )


def plateau_at_high_lr(seen: Seen, plan: Plan) -> LossFinding | None:
    """Neither the training loss nor the validation got better in the last third of the run so far, with the LR above half of
    its peak: noise of the steps, which decay would take away."""
    if seen.done < 0.5 or seen.lr < 0.5 or len(seen.blocks) < 12 or len(seen.evaluations) < 6:
        return None
    if plan.curve is not None and plan.curve(1.0) < 0.5:
        return None  # the decay is still to come
    third = max(len(seen.blocks) // 3, 6)
    now = [block.loss for block in seen.blocks[-third:]]
    gained = seen.start - min(block.loss for block in seen.blocks)
    since = seen.blocks[-third].start
    here = [each for each in seen.evaluations if each.update >= since]
    before = [each for each in seen.evaluations if each.update < since]
    if len(here) < 4 or not before or gained <= 4 * seen.error or statistics.median(now) < 0.25 * seen.start:
        return None
    got_better = min(map(_loss, here)) < min(map(_loss, before)) or max(map(_score, here)) > max(map(_score, before))
    if abs(trend(now)) > _A_TREND or got_better:
        return None
    return LossFinding(
        "plateau_at_high_lr",
        seen.update,
        since,
        1 - abs(trend(now)),
        f"since update {since} the training loss stays at {statistics.median(now):.3g} and no evaluation was better, while the LR "
        f"is at {seen.lr:.0%} of its peak",
        "Decay the LR.",
        _changes(_schedule(advice.decay_instead, plan)),
    )
