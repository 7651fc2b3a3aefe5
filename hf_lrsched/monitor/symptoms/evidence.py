"""What several symptoms look at."""

import math
import statistics
from collections.abc import Callable

from ...schedules import Horizon
from .. import advice
from ..finding import Change, LossFinding
from ..history import Evaluation, Seen
from ..run_info import Plan

#: A trend by Mann-Kendall's test that is so sure is one.
_A_TREND = 0.7


#: A loss that lies above the start by more than this share of it, and by more than so many standard deviations of one batch's
#: loss, is clearly above it: the start is hardly more than one batch's loss itself.
_CLEAR_RISE, _CLEAR_DEVIATIONS = 0.15, 3.0


def _saw_start(plan: Plan) -> bool:
    return plan.updates_done == 0


def _clear_rise(seen: Seen) -> float:
    deviation = max(seen.noise, seen.blocks[0].spread)
    # With far too high an LR all is noise; five times the start is clear, whatever the noise.
    chance = min(_CLEAR_DEVIATIONS * deviation, 4 * abs(seen.start))
    return max(4 * seen.error, _CLEAR_RISE * abs(seen.start), chance)


def _ends(seen: Seen) -> tuple[float, float]:
    """The loss in the first and in the last sixth of the run so far."""
    count = max(1, round(len(seen.blocks) / 6))
    first, last = seen.blocks[:count], seen.blocks[-count:]
    return statistics.fmean(block.loss for block in first), statistics.fmean(block.loss for block in last)


def _too_high(kind: str, seen: Seen, plan: Plan, since: int, confidence: float, text: str) -> LossFinding:
    # In a warmup the loss tells up to which LR it was well.
    warmup = _schedule(advice.longer_warmup, plan) if seen.highest[1] < 0.05 * seen.num_updates else None
    return LossFinding(
        kind, seen.update, since, confidence, text, "The LR is too high.", _changes(_lower(plan), warmup)
    )


def _lower(plan: Plan, factor: float | None = None) -> Change:
    return advice.other_lr(plan.learning_rate, plan.step_ratio, lower=True, factor=factor)


def _schedule(change: Callable[[str, Horizon, float], Change | None], plan: Plan) -> Change | None:
    return change(plan.schedule, plan.run, plan.learning_rate) if plan.schedule else None


def _changes(*changes: Change | None) -> tuple[Change, ...]:
    return tuple(change for change in changes if change)


def _validation(seen: Seen) -> list[float]:
    """The validation losses."""
    return [each.loss for each in seen.evaluations if each.loss is not None]


def _score(evaluation: Evaluation) -> float:
    return -math.inf if evaluation.score is None else evaluation.score


def _loss(evaluation: Evaluation) -> float:
    return 0.0 if evaluation.loss is None else evaluation.loss
