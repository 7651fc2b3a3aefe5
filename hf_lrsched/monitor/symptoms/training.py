"""The signs: what each kind of trouble looks like. Functions of what was seen, each of which finds one thing or nothing.

All say the same when every loss is multiplied by a number, such as gradient accumulation x processes.
"""

import statistics
from itertools import pairwise

from .. import advice
from ..finding import LossFinding
from ..history import Seen
from ..robust import noise, sure, trend
from ..run_info import Plan
from ..spikes import Spike
from .evidence import _A_TREND, _changes, _clear_rise, _ends, _lower, _saw_start, _too_high, _validation

#: A loss that has fallen by less than this share of itself has not fallen. On the runs that the rules were tuned on, healthy ones
#: had fallen by 0.13 and more after 40 %, those with a thirtieth of the LR by 0.05 and less.
_SMALL_FALL = 0.08
#: Likewise of the validation loss, whose noise is smaller; and of its change from one evaluation to the next.
_SMALL_VALIDATION_FALL, _SMALL_SWING = 0.06, 0.02

#: So much of a run must be over before a loss is said not to fall: some begin late.
_LONG_ENOUGH = 0.44


#: A step that is more than the one share of the weights is large, one that is less than the other may be small. In between nothing is
#: said: a network with random weights begins late at such an LR, one that was trained before has little left to learn.
_LARGE_STEP, _SMALL_STEP = 25 * advice.STEP_RATIO, 2 * advice.STEP_RATIO
#: A validation loss that has fallen by at least so much of itself, and twice as fast in the first half as in the second, has settled. With
#: too low an LR it falls along a straight line.
_SETTLED_FALL, _SETTLED_SLOPE = 0.02, 2.0


def not_finite(update: int, what: str, seen: Seen, plan: Plan) -> LossFinding:
    """NaN or infinity, at once: also where Trainer's record shows 0 or the mean of the losses before (`logging_nan_inf_filter`)."""
    is_high = bool(seen.blocks) and seen.blocks[-1].loss - seen.start > _clear_rise(seen)
    return LossFinding(
        "not_finite",
        update,
        update,
        1.0,
        what,
        "Its update would make all weights nan. Look at the batch; with fp16 a loss scaler skips a few such updates, and bf16 "
        "does not overflow. LossGuard('rollback') drops them and goes on.",
        _changes(_lower(plan) if is_high else None),
    )


def spike(found: Spike, seen: Seen, plan: Plan) -> LossFinding:
    """A jump of the training loss that stays for some updates, by [`SpikeTest`]; a single hard batch is none."""
    return LossFinding(
        "spike",
        seen.update,
        found.since,
        1 - found.chance,
        found.text,
        "Look at the batches of these updates. If they are as they should be, the LR is near its limit here. "
        "LossGuard('rollback') goes back to before them.",
        _changes(None if seen.lr < 0.5 else _lower(plan, 3)),
    )


def diverging(seen: Seen, plan: Plan) -> LossFinding | None:
    """The training loss gets worse and stays so: three blocks in a row lie above the start of the run, or have lost half of what
    the best block had gained, each by more than noise explains; and the validation loss, where there is one, is not near its best.
    In a resumed run the first block stands for the start."""
    if len(seen.blocks) < 3 or _validates(seen):
        return None
    last, best = seen.blocks[-3:], min(seen.blocks, key=lambda block: block.loss)
    level = min(block.loss for block in last)
    error, begun = seen.error, plan.updates_done
    start = max(seen.start, seen.blocks[0].loss) if begun else seen.start
    rise, gained = level - start, seen.start - best.loss
    if rise > _clear_rise(seen):
        since, z = best.end if gained > 4 * error else begun + 1, rise / error
        where = f"after update {begun}" if begun else "at the start"
        text = f"the training loss is {level:.3g}, above the {start:.3g} {where}"
    elif not begun and gained > max(6 * error, _clear_rise(seen)) and level - best.loss > max(0.5 * gained, 6 * error):
        since, z = best.end, (level - best.loss) / error
        text = f"the training loss rose from {best.loss:.3g} to {level:.3g}, {(level - best.loss) / gained:.0%} of its gain"
    else:
        return None
    return _too_high("diverging", seen, plan, since, sure(z), text)


def stuck(seen: Seen, plan: Plan) -> LossFinding | None:
    """The training loss does not fall, and the steps are too large rather than too small: the validation loss is thrown about
    from one evaluation to the next, or a step is more than a fortieth of the weights; without evaluations, the training loss
    stood clearly above its start."""
    if not _saw_start(plan) or not _has_not_fallen(seen) or not _steps_too_far(seen, plan) or _has_begun(seen):
        return None
    start, level = _ends(seen)
    text = (
        f"the training loss went from {start:.3g} to {level:.3g} in {seen.done:.0%} of the run, and the steps are large"
    )
    return _too_high("stuck", seen, plan, 1, 0.95, text)


def too_slow(seen: Seen, plan: Plan) -> LossFinding | None:
    """The training loss does not fall: its latest sixth lies less than 8 % below the first one, and the validation loss less than
    6 % below the start, by steps that are small; and it has not fallen fast and then settled."""
    if not _saw_start(plan) or not _has_not_fallen(seen) or _is_shaken(seen):
        return None
    if not _steps_may_be_small(plan) or _has_settled(seen):
        return None
    start, level = _ends(seen)
    return LossFinding(
        "too_slow",
        seen.update,
        1,
        1 - max(0.0, start - level) / (2 * _SMALL_FALL * abs(start) or 1),
        f"the training loss went from {start:.3g} to {level:.3g} in {seen.done:.0%} of the run",
        "The LR is too low, or the run much too short. If the model knew the task before, nothing is to be changed.",
        _changes(advice.other_lr(plan.learning_rate, plan.step_ratio, lower=False)),
    )


def _validates(seen: Seen) -> bool:
    """Whether the latest evaluation has kept three quarters of what the best one had gained: then no training loss is lost."""
    losses = _validation(seen)
    gained = seen.start - min(losses, default=seen.start)
    # It must have seen what the training losses tell.
    is_late = bool(losses) and seen.evaluations[-1].update > seen.blocks[-4:][0].start
    return is_late and gained > _SMALL_VALIDATION_FALL * abs(seen.start) and seen.start - losses[-1] > 0.75 * gained


def _has_not_fallen(seen: Seen) -> bool:
    if seen.done < _LONG_ENOUGH or len(seen.blocks) < 6 or seen.highest[0] < 0.9 or _exposure(seen) < 0.1:
        return False
    start, level = _ends(seen)
    validation = _validation(seen)[-3:]
    # Thrown about, one of them is low by chance; on its way down, the last one is what counts.
    now = level if not validation else statistics.median(validation) if _is_shaken(seen) else validation[-1]
    return start - level < _SMALL_FALL * abs(start) and start - now < _SMALL_VALIDATION_FALL * abs(start)


def _exposure(seen: Seen) -> float:
    """The mean LR so far, as a share of the peak, times the share of the run."""
    return statistics.fmean(block.lr for block in seen.blocks) * seen.done


def _has_begun(seen: Seen) -> bool:
    """Whether the validation loss is on its way down, although not far yet."""
    losses = _validation(seen)
    return trend(losses) < -_A_TREND and losses[-1] < seen.start - _SMALL_SWING * abs(seen.start)


def _steps_too_far(seen: Seen, plan: Plan) -> bool:
    """Whether a loss that does not fall comes of steps that are too large. A BERT that collapsed at a high LR gives every sample
    the same answer, and its loss lies still: then the size of the steps tells."""
    return _is_shaken(seen) or (plan.step_ratio or 0.0) > _LARGE_STEP


def _steps_may_be_small(plan: Plan) -> bool:
    return (plan.step_ratio or 0.0) < _SMALL_STEP


def _has_settled(seen: Seen) -> bool:
    """Whether the validation loss fell at first and then ever more slowly, for each unit of LR: then it does learn."""
    points = [(seen.lr_sum(each.update), each.loss) for each in seen.evaluations if each.loss is not None]
    points = [point for point in points if point[0] > 0]
    if len(points) < 4:
        return False
    (first, high), (last, low) = points[0], points[-1]
    middle, between = min(points[1:-1], key=lambda point: abs(point[0] - (first + last) / 2))
    if not first < middle < last or high - low < _SETTLED_FALL * abs(high):
        return False
    return (high - between) / (middle - first) > _SETTLED_SLOPE * max(0.0, between - low) / (last - middle)


def _is_shaken(seen: Seen) -> bool:
    highest = max(block.loss for block in seen.blocks)
    if highest - seen.start > max(abs(seen.start), 4 * seen.error):  # it has doubled: by no LR that is too low
        return True
    losses = _validation(seen)
    if len(losses) > 2:
        swings = [after - before for before, after in pairwise(losses)]
        size = statistics.median(abs(swing) for swing in swings)
        upwards = sum(swing for swing in swings if swing > 0)
        return size > _SMALL_SWING * abs(statistics.median(losses)) and upwards > sum(map(abs, swings)) / 3
    return highest > seen.start + 4 * max(noise(seen.first), seen.error) and highest > 1.1 * abs(seen.start)
