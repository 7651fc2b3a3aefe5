"""Symptoms of a warmup that is too short or too long."""

import statistics
from itertools import pairwise

from .. import advice
from ..finding import LossFinding
from ..history import Seen
from ..robust import sure, trend
from ..run_info import Plan
from .evidence import _changes, _clear_rise, _lower, _saw_start, _schedule

#: A norm of the gradients that is so many times what it was before and is afterwards has jumped. On the runs that the rules were tuned
#: on it was at most 2.2 times in healthy ones.
_NORM_JUMP = 4.0


def warmup_too_short(seen: Seen, plan: Plan) -> LossFinding | None:
    """A jump of the loss, or of the gradients' norm to four times what it was before and is afterwards, within the updates in
    which the LR came to its peak."""
    peak = seen.highest[1]
    reached = seen.highest[0] > 0.9 and seen.update > peak
    if not _saw_start(plan) or not reached or peak > 0.2 * seen.num_updates or len(seen.blocks) < 4:
        return None
    found = _jump_of_loss(seen, peak) or _jump_of_norm(seen, peak)
    if found is None:
        return None
    since, confidence, text = found
    return LossFinding(
        "warmup_too_short",
        seen.update,
        since,
        confidence,
        f"{text} when the LR reached its peak at update {peak}",
        "A longer warmup, or a lower LR.",
        _changes(_schedule(advice.longer_warmup, plan), _lower(plan, 3)),
    )


def _jump_of_loss(seen: Seen, peak: int) -> tuple[int, float, str] | None:
    around = [block for block in seen.blocks[:-1] if block.start <= 2 * peak + seen.block_size and block.end >= peak]
    if not around:
        return None
    jump, error = max(around, key=lambda block: block.loss), seen.error
    level = min([seen.start, *(block.loss for block in seen.blocks if block.end < jump.start)])
    rise = jump.loss - level
    is_clear = rise > 8 * error and jump.loss - seen.start > 2 * _clear_rise(seen)
    if not is_clear or seen.blocks[-1].loss > jump.loss - 0.5 * rise:
        return None
    return jump.start, sure(rise / error), f"the training loss jumped from {level:.3g} to {jump.loss:.3g}"


def _jump_of_norm(seen: Seen, peak: int) -> tuple[int, float, str] | None:
    norms = seen.norms
    around = [each for each in norms if each[0] <= 2 * peak + seen.block_size and each[1] >= peak]
    after = [norm for start, _, norm in norms if around and start > around[-1][1]]
    if len(after) < 2:
        return None
    since, _, jump = max(around, key=lambda each: each[2])
    before = max([norm for _, end, norm in norms if end < peak] or [norms[0][2]])
    level = max(before, statistics.median(after))
    if not jump > _NORM_JUMP * level:
        return None
    text = f"the norm of the gradients jumped from {before:.3g} to {jump:.3g}"
    return since, 1 - _NORM_JUMP * level / (2 * jump), text


def warmup_too_long(seen: Seen, plan: Plan) -> LossFinding | None:
    """The LR still rises after two fifths of the run, and the loss has had no trouble with it."""
    if not _saw_start(plan) or seen.done < 0.4 or not seen.lr == seen.highest[0] < 1 or not _rises(seen):
        return None
    if plan.schedule and not advice.has_long_warmup(plan.schedule, plan.run, plan.learning_rate):
        return None  # it rises as drawn: triangular(up=50%)
    falls = -trend([block.loss for block in seen.blocks])
    return LossFinding(
        "warmup_too_long",
        seen.update,
        1,
        max(falls, 0.9),
        f"the LR is still at {seen.lr:.0%} of its peak and rising after {seen.done:.0%} of the run",
        "A warmup of 10 % is mostly enough: the peak is reached while there is time to use it.",
        _changes(_schedule(advice.shorter_warmup, plan)),
    )


def _rises(seen: Seen) -> bool:
    lrs = [block.lr for block in seen.blocks[-3:]]
    return len(lrs) == 3 and all(after > before for before, after in pairwise(lrs))
