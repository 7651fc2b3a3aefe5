"""The signs: what each kind of trouble looks like. Functions of what was seen, each of which finds one thing or nothing.

All say the same when every loss is multiplied by a number, such as gradient accumulation x processes.
"""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from ...schedules import Horizon
from .. import advice
from ..finding import Change, LossFinding
from ..history import Evaluation, Seen
from ..outline import SPENT
from ..robust import noise, sure, trend
from ..spikes import Spike


@dataclass(frozen=True)
class Plan:
    """What is known before the first update.

    Args:
        num_updates (`int`): All updates of the run.
        learning_rate (`float`): The peak LR.
        schedule (`str`, *optional*): The schedule's text, where it is one of this package.
        num_epochs (`float`, *optional*): The run's epochs, where they make its length.
        curve (`Callable[[float], float]`, *optional*): The LR as a share of the peak LR at a share of the run, where the
            schedule is known.
        horizon ([`Horizon`], *optional*): What the schedule was resolved against. Defaults to the updates alone.
        step_ratio (`float`, *optional*): Peak LR / RMS of the weights, for optimizers whose steps have the size of the LR.
        metric (`str`, *optional*): The metric that says what is better.
        greater_is_better (`bool`, *optional*): Of that metric.
        updates_done (`int`, defaults to 0): Updates before the first one that is seen: not 0 in a run that is resumed. What
            compares with the loss before anything was learned is then not told.
    """

    num_updates: int
    learning_rate: float
    schedule: str | None = None
    num_epochs: float | None = None
    curve: Callable[[float], float] | None = None
    horizon: Horizon | None = None
    step_ratio: float | None = None
    metric: str | None = None
    greater_is_better: bool | None = None
    updates_done: int = 0

    @property
    def run(self) -> Horizon:
        """What the schedule is resolved against."""
        return self.horizon or Horizon(self.num_updates)

    def highest_after(self, share: float) -> float:
        """The highest LR from a share of the run on, as a share of the peak LR; 0 where the schedule is not known."""
        if self.curve is None:
            return 0.0
        return max(self.curve(share + (1 - share) * i / _POINTS_AHEAD) for i in range(_POINTS_AHEAD + 1))


#: A loss that has fallen by less than this share of itself has not fallen. On the runs that the rules were tuned on, healthy ones
#: had fallen by 0.13 and more after 40 %, those with a thirtieth of the LR by 0.05 and less.
_SMALL_FALL = 0.08
#: Likewise of the validation loss, whose noise is smaller; and of its change from one evaluation to the next.
_SMALL_VALIDATION_FALL, _SMALL_SWING = 0.06, 0.02

#: So much of a run must be over before a loss is said not to fall: some begin late.
_LONG_ENOUGH = 0.44
#: A trend by Mann-Kendall's test that is so sure is one.
_A_TREND = 0.7
#: A loss that lies above the start by more than this share of it, and by more than so many standard deviations of one batch's
#: loss, is clearly above it: the start is hardly more than one batch's loss itself.
_CLEAR_RISE, _CLEAR_DEVIATIONS = 0.15, 3.0

#: A norm of the gradients that is so many times what it was before and is afterwards has jumped. On the runs that the rules were tuned
#: on it was at most 2.2 times in healthy ones.
_NORM_JUMP = 4.0

#: A step that is more than the one share of the weights is large, one that is less than the other may be small. In between nothing is
#: said: a network with random weights begins late at such an LR, one that was trained before has little left to learn.
_LARGE_STEP, _SMALL_STEP = 25 * advice.STEP_RATIO, 2 * advice.STEP_RATIO
#: A validation loss that has fallen by at least so much of itself, and twice as fast in the first half as in the second, has settled. With
#: too low an LR it falls along a straight line.
_SETTLED_FALL, _SETTLED_SLOPE = 0.02, 2.0

# At so many points the rest of a schedule is looked at.
_POINTS_AHEAD = 200

Sign: TypeAlias = Callable[[Seen, Plan], LossFinding | None]


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


#: Looked for at each end of a block, and after each evaluation.
AT_BLOCK: tuple[Sign, ...] = (
    diverging,
    stuck,
    too_slow,
    warmup_too_short,
    warmup_too_long,
    lr_spent,
    plateau_at_high_lr,
)
AT_EVALUATION: tuple[Sign, ...] = (validation_rises, unstable_validation)


def _validates(seen: Seen) -> bool:
    """Whether the latest evaluation has kept three quarters of what the best one had gained: then no training loss is lost."""
    losses = _validation(seen)
    gained = seen.start - min(losses, default=seen.start)
    # It must have seen what the training losses tell.
    is_late = bool(losses) and seen.evaluations[-1].update > seen.blocks[-4:][0].start
    return is_late and gained > _SMALL_VALIDATION_FALL * abs(seen.start) and seen.start - losses[-1] > 0.75 * gained


def _saw_start(plan: Plan) -> bool:
    return plan.updates_done == 0


def _clear_rise(seen: Seen) -> float:
    deviation = max(seen.noise, seen.blocks[0].spread)
    # With far too high an LR all is noise; five times the start is clear, whatever the noise.
    chance = min(_CLEAR_DEVIATIONS * deviation, 4 * abs(seen.start))
    return max(4 * seen.error, _CLEAR_RISE * abs(seen.start), chance)


def _has_not_fallen(seen: Seen) -> bool:
    if seen.done < _LONG_ENOUGH or len(seen.blocks) < 6 or seen.highest[0] < 0.9 or _exposure(seen) < 0.1:
        return False
    start, level = _ends(seen)
    validation = _validation(seen)[-3:]
    # Thrown about, one of them is low by chance; on its way down, the last one is what counts.
    now = level if not validation else statistics.median(validation) if _is_shaken(seen) else validation[-1]
    return start - level < _SMALL_FALL * abs(start) and start - now < _SMALL_VALIDATION_FALL * abs(start)


def _ends(seen: Seen) -> tuple[float, float]:
    """The loss in the first and in the last sixth of the run so far."""
    count = max(1, round(len(seen.blocks) / 6))
    first, last = seen.blocks[:count], seen.blocks[-count:]
    return statistics.fmean(block.loss for block in first), statistics.fmean(block.loss for block in last)


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


def _rises(seen: Seen) -> bool:
    lrs = [block.lr for block in seen.blocks[-3:]]
    return len(lrs) == 3 and all(after > before for before, after in pairwise(lrs))


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
