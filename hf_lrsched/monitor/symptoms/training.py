"""Symptoms of the training loss.

Each finds the same when every loss is multiplied by a number, such as gradient accumulation x processes.
"""

import statistics
from itertools import pairwise

from ...schedules.metric_names import get_metric_direction
from ..advice import NEW_STEP_RATIO, STEP_RATIO
from ..finding import Sign, format_distinct, format_lost
from ..history import LossHistory
from ..robust import noise, trend
from ..run_info import RunInfo
from ..spikes import Spike
from .evidence import (
    SMALL_SWING,
    TREND,
    change_lr,
    get_clear_rise,
    get_end_levels,
    is_solved,
    lr_too_high,
)

# A loss has not fallen if it fell by less than this share of itself. On the runs that the rules were tuned on, the loss of healthy
# ones had fallen by 0.13 and more after 40 %, that of runs with a thirtieth of the LR by 0.05 and less.
_SMALL_FALL = 0.08
# The same for the validation loss, whose noise is smaller.
_SMALL_VALIDATION_FALL = 0.06

# No loss is said not to fall before this share of the run: some begin late.
_MIN_SHARE = 0.4

# A step below this share of the weights may be small. The best LRs of pretrained models lie there, too.
_SMALL_STEP = 6 * STEP_RATIO
# Of random weights: those in which steps were too large had 0.47 and more.
_SMALL_NEW_STEP = 3 * NEW_STEP_RATIO
# A model that has learned nothing has at least this share of the loss of uniform guesses.
_GUESSING = 0.8
# A loss below this share of that of uniform guesses is below that of the most frequent answer, too.
_FAR_BELOW = 1 / 3
# Random weights: in healthy runs a step is at most 1.7 times as large as they are.
_HUGE_STEP = 2.0
# Where the steps are huge or cannot move the weights far, the loss of a run that learns all the same falls by more than these
# shares within its first quarter.
_HUGE_STEP_FALL, _SMALL_MOVE_FALL, _EARLY = 1 / 3, 1 / 2, 0.25
# The fall of a collapsed model that guesses, whose losses swing.
_GUESS_FALL = 0.15
# A validation loss has settled if it has fallen by at least this share of itself, and so much faster in the first half than in the
# second. With too low an LR it falls along a straight line.
_SETTLED_FALL, _SETTLED_SLOPE = 0.02, 2.0


def not_finite(history: LossHistory, run: RunInfo, update: int, evidence: str) -> Sign:
    """A loss or a gradient norm is NaN or infinite, also where Trainer's record hides it (`logging_nan_inf_filter`)."""
    is_high = bool(history.blocks) and history.blocks[-1].loss - history.start > get_clear_rise(history)
    return Sign(
        update,
        evidence,
        "Look at the batch. With fp16 the loss scaler skips a few such updates; bf16 does not overflow. LossGuard('rollback') drops "
        "them before they make the weights NaN.",
        (change_lr(run, lower=True),) if is_high else (),
    )


def spike(found: Spike) -> Sign:
    """The training loss jumped and stays high for some updates, by [`SpikeTest`]; a single hard batch is no spike."""
    return Sign(
        found.since,
        found.text,
        "Look at the batches of these updates: if they are right, the LR is near its limit here. LossGuard('rollback') goes "
        "back to before them.",
    )


def diverging(history: LossHistory, run: RunInfo) -> Sign | None:
    """The training loss gets worse and stays worse, and the validation loss is not near its best.

    Three blocks in a row lie above the start of the run, or have lost half of the best block's gain, by more than noise explains.
    In a resumed run the first block stands for the start.
    """
    if len(history.blocks) < 3 or _keeps_validation(history):
        return None
    best = min(history.blocks, key=lambda block: block.loss)
    level = min(block.loss for block in history.blocks[-3:])
    error, done = history.standard_error, run.updates_done
    start = max(history.start, history.blocks[0].loss) if done else history.start
    gain, lost, clear = history.start - best.loss, level - best.loss, get_clear_rise(history)
    if level - start > clear:
        since = best.end if gain > 4 * error else done + 1
        before, now = format_distinct(start, level)
        evidence = (
            f"the training loss is {now}, above the {before} {f'after update {done}' if done else 'at the start'}"
        )
    elif not done and gain > max(6 * error, clear) and lost > max(0.5 * gain, 6 * error):
        since = best.end
        before, now = format_distinct(best.loss, level)
        evidence = f"the training loss rose from {before} to {now}: {format_lost(lost / gain)}"
    else:
        return None
    return lr_too_high(history, run, since, evidence)


def stuck(history: LossHistory, run: RunInfo) -> Sign | None:
    """The training loss does not fall, and something shows that the steps are too large.

    The validation loss swings; or the metric is the same at each evaluation while the validation loss does not fall steadily, as
    when a model has collapsed to one answer; or the steps are twice as large as the weights, so that nothing of them is left. Without
    evaluations, the training loss stood clearly above its start. If all metrics have been the same since the first evaluation, the
    training loss may have fallen: to that of the most frequent answer. That says nothing of metrics that are 0 or 1, as an exact
    match may stay at 0 while the model learns.
    """
    if not can_judge_lr(history, run) or is_solved(history):
        return None
    ratio = (run.step_ratio or 0.0) * run.highest_lr
    if ratio > _HUGE_STEP and (_has_learned_little(history, run, _HUGE_STEP_FALL) or _has_not_fallen(history, run)):
        evidence = f"{_describe_fall(history)}, and a step is {ratio:.2g} times as large as the weights"
        return lr_too_high(history, run, 1, evidence)
    small = _SMALL_NEW_STEP if run.has_random_weights else _SMALL_STEP
    is_small = run.step_ratio is not None and ratio < small
    # One answer by small steps that shake nothing: the model has not begun to learn, which is [`too_slow`].
    is_shaken = _is_shaken(history)
    has_collapsed = _has_collapsed(history) and (is_shaken or not is_small)
    is_flat = trend([block.loss for block in history.blocks[len(history.blocks) // 2 :]]) > -TREND
    constant = _find_constant(history) if has_collapsed and is_flat else None
    is_low = get_end_levels(history)[1] < _FAR_BELOW * (run.guess_loss or history.start)
    if constant is not None and not is_low and _is_late(history, run):
        count = len(history.validation)
        evidence = f"the metric is {constant:.4g} at each of {count} evaluations, so the model gives one answer"
        return lr_too_high(history, run, history.validation[0].update, evidence)
    limit = _GUESS_FALL if is_shaken and has_collapsed else _SMALL_VALIDATION_FALL
    if not (is_shaken or has_collapsed) or not _has_not_fallen(history, run, limit) or _has_begun(history):
        return None
    why = "the metric is the same at each evaluation" if has_collapsed else "the validation loss swings"
    return lr_too_high(history, run, 1, f"{_describe_fall(history)}, and {why}")


def too_slow(history: LossHistory, run: RunInfo) -> Sign | None:
    """The LR is too low for the length of the run.

    Random weights cannot move far enough: all steps of the run together are hardly larger than they are, and the training loss has
    fallen by less than half. Or the training loss does not fall, by small steps; the validation loss falls steadily, and neither
    settles nor speeds up. A model that was trained on its task before has little left to learn, and looks the same: see [`can_judge_lr`].
    """
    if not can_judge_lr(history, run) or is_solved(history):
        return None
    evidence = _describe_fall(history)
    if run.moves_little and _has_learned_little(history, run, _SMALL_MOVE_FALL):
        evidence += f", and all steps of the run together are {run.total_steps:.2g} times as large as the weights"
    elif (
        (run.step_ratio or 0.0) >= _SMALL_STEP
        or not _has_not_fallen(history, run)
        or _is_shaken(history)
        or _has_settled(history)
    ):
        return None
    # With an unknown size of the steps a far too high LR may look the same.
    what = "too low" if run.step_ratio else "far too low or far too high"
    return Sign(
        1,
        evidence,
        f"The LR is {what}, or the run much too short; hf_lrsched.find_lr(trainer) measures the right one. If the model was already "
        "trained on this task, no change is needed.",
        (change_lr(run, lower=False),),
    )


def can_judge_lr(history: LossHistory, run: RunInfo) -> bool:
    """Whether a loss that does not fall says something about the LR.

    Not in a resumed run, whose start is unknown; nor of losses that may be negative, which have no scale; nor of contrastive losses;
    nor of a model that was trained on its task before, whose first loss is far below that of uniform guesses.
    """
    has_scale = history.start > 0 and all(block.loss > 0 for block in history.blocks)
    is_new = run.guess_loss is None or history.start > _GUESSING * run.guess_loss
    return not run.updates_done and not run.is_contrastive and has_scale and is_new


def _has_collapsed(history: LossHistory) -> bool:
    """Whether the latest evaluations have hardly more than one score, and their loss does not fall steadily."""
    latest = [each for each in history.evaluations if each.score is not None][-5:]
    if len(latest) < 4 or len({each.score for each in latest}) > len(latest) // 2:
        return False
    swings = [after.loss - before.loss for before, after in pairwise(latest)]
    return sum(swing for swing in swings if swing > 0) > 0.1 * sum(map(abs, swings))


def _find_constant(history: LossHistory) -> float | None:
    """Return a metric between 0 and 1 that has been the same since the first evaluation, if all metrics have been."""
    scores, metrics = {each.score for each in history.validation}, history.validation[0].metrics
    if len(scores) > 1 or any(each.metrics != metrics for each in history.validation):
        return None
    rates = [value for name, value in metrics.items() if get_metric_direction(name) is not None]
    return next((abs(value) for value in [*scores, *rates] if value is not None and abs(value) not in (0, 1)), None)


def _has_learned_little(history: LossHistory, run: RunInfo, share: float) -> bool:
    """Whether a model that began with random weights has had a peak LR, and its training loss has fallen by less than a share."""
    has_time = history.share_done >= _EARLY and run.is_high(history.max_lr, 0.9) and bool(history.blocks)
    return run.has_random_weights and has_time and history.start - get_end_levels(history)[1] < share * history.start


def _describe_fall(history: LossHistory) -> str:
    start, level = format_distinct(*get_end_levels(history))
    return f"the training loss went from {start} to {level} in {history.share_done:.0%} of the run"


def _get_validation_losses(history: LossHistory) -> list[float]:
    return [each.loss for each in history.evaluations]


def _keeps_validation(history: LossHistory) -> bool:
    """Whether the latest evaluation keeps three quarters of the best one's gain: then no training loss is lost."""
    losses = _get_validation_losses(history)
    gain = history.start - min(losses, default=history.start)
    is_recent = bool(losses) and history.evaluations[-1].update > history.blocks[-4:][0].start
    is_clear = gain > _SMALL_VALIDATION_FALL * abs(history.start)
    return is_recent and is_clear and history.start - losses[-1] > 0.75 * gain


def _is_late(history: LossHistory, run: RunInfo) -> bool:
    """Whether the run has had the time, at its LRs, to show that it learns."""
    exposure = statistics.fmean(block.lr for block in history.blocks) * history.share_done
    has_time = history.share_done >= _MIN_SHARE and len(history.blocks) >= 6
    return has_time and run.is_high(history.max_lr, 0.9) and run.is_high(exposure, 0.1)


def _has_not_fallen(history: LossHistory, run: RunInfo, validation_limit: float = _SMALL_VALIDATION_FALL) -> bool:
    if not _is_late(history, run):
        return False
    start, level = get_end_levels(history)
    start = min(start, history.start)  # not from a blow-up
    validation = _get_validation_losses(history)[-4:]
    # Where they swing, one of them is low by chance; where they fall, the last one counts.
    now = level if not validation else statistics.median(validation) if _is_shaken(history) else validation[-1]
    return start - level < _SMALL_FALL * abs(start) and start - now < validation_limit * abs(start)


def _has_begun(history: LossHistory) -> bool:
    """Whether the validation loss is on its way down, although not far yet."""
    losses = _get_validation_losses(history)
    return trend(losses) < -TREND and losses[-1] < history.start - SMALL_SWING * abs(history.start)


def _has_settled(history: LossHistory) -> bool:
    """Whether the validation loss fell at first and then ever more slowly, per unit of LR: then the model does learn."""
    points = [(history.sum_lr(each.update), each.loss) for each in history.evaluations]
    points = [point for point in points if point[0] > 0]
    if len(points) < 4:
        return False
    (first, high), (last, low) = points[0], points[-1]
    middle, between = min(points[1:-1], key=lambda point: abs(point[0] - (first + last) / 2))
    if not first < middle < last or high - low < _SETTLED_FALL * abs(high):
        return False
    return (high - between) / (middle - first) > _SETTLED_SLOPE * max(0.0, between - low) / (last - middle)


def _is_shaken(history: LossHistory) -> bool:
    """Whether the losses swing as with too large steps."""
    highest = max(block.loss for block in history.blocks)
    if highest - history.start > max(abs(history.start), 4 * history.standard_error):  # doubled: the LR is not too low
        return True
    losses = _get_validation_losses(history)
    if len(losses) > 2:
        swings = [after - before for before, after in pairwise(losses)]
        size = statistics.median(abs(swing) for swing in swings)
        upwards = sum(swing for swing in swings if swing > 0)
        return size > SMALL_SWING * abs(statistics.median(losses)) and upwards > sum(map(abs, swings)) / 3
    is_above = highest > history.start + 4 * max(noise([*history.first.values()]), history.standard_error)
    return is_above and highest > 1.1 * abs(history.start)
