"""Symptoms of the training loss.

Each finds the same when every loss is multiplied by a number, such as gradient accumulation x processes.
"""

import statistics
from itertools import pairwise

from .. import advice
from ..finding import LossFinding, format_distinct
from ..history import LossHistory
from ..robust import get_confidence, noise, trend
from ..run_info import RunInfo
from ..spikes import Spike
from .evidence import TREND, get_clear_rise, get_end_levels, lower_lr, lr_too_high, make_finding

# A loss has not fallen if it fell by less than this share of itself. On the runs that the rules were tuned on, the loss of healthy
# ones had fallen by 0.13 and more after 40 %, that of runs with a thirtieth of the LR by 0.05 and less.
_SMALL_FALL = 0.08
# The same for the validation loss, whose noise is smaller, and for its change from one evaluation to the next.
_SMALL_VALIDATION_FALL, _SMALL_SWING = 0.06, 0.02

# No loss is said not to fall before this share of the run: some begin late.
_MIN_SHARE = 0.44

# A step above the first share of the weights is large, one below the second may be small. In between nothing is said: a network
# with random weights begins late at such an LR, a trained one has little left to learn.
_LARGE_STEP, _SMALL_STEP = 25 * advice.STEP_RATIO, 2 * advice.STEP_RATIO
# A validation loss has settled if it has fallen by at least this share of itself, and so much faster in the first half than in the
# second. With too low an LR it falls along a straight line.
_SETTLED_FALL, _SETTLED_SLOPE = 0.02, 2.0


def not_finite(history: LossHistory, run: RunInfo, update: int, evidence: str) -> LossFinding:
    """A loss or a gradient norm is NaN or infinite, also where Trainer's record hides it (`logging_nan_inf_filter`)."""
    is_high = bool(history.blocks) and history.blocks[-1].loss - history.start > get_clear_rise(history)
    return LossFinding(
        "not_finite",
        update,
        update,
        evidence,
        "Its update would make all weights NaN. Look at the batch; with fp16 a loss scaler skips a few such updates, and bf16 "
        "does not overflow. LossGuard('rollback') drops such updates and continues.",
        (lower_lr(run),) if is_high else (),
        1.0,
    )


def spike(history: LossHistory, run: RunInfo, found: Spike) -> LossFinding:
    """The training loss jumped and stays high for some updates, by [`SpikeTest`]; a single hard batch is no spike."""
    return make_finding(
        "spike",
        history,
        found.since,
        found.text,
        "Look at the batches of these updates. If they are right, the LR is near its limit here. LossGuard('rollback') goes "
        "back to before them.",
        lower_lr(run, 3) if history.lr >= 0.5 else None,
        confidence=1 - found.chance,
    )


def diverging(history: LossHistory, run: RunInfo) -> LossFinding | None:
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
        since, z = best.end if gain > 4 * error else done + 1, (level - start) / error
        before, now = format_distinct(start, level)
        evidence = (
            f"the training loss is {now}, above the {before} {f'after update {done}' if done else 'at the start'}"
        )
    elif not done and gain > max(6 * error, clear) and lost > max(0.5 * gain, 6 * error):
        since, z = best.end, lost / error
        before, now = format_distinct(best.loss, level)
        evidence = f"the training loss rose from {before} to {now}, {lost / gain:.0%} of its gain"
    else:
        return None
    return lr_too_high("diverging", history, run, since, evidence, get_confidence(z))


def stuck(history: LossHistory, run: RunInfo) -> LossFinding | None:
    """The training loss does not fall, and the steps are too large.

    The validation loss swings from one evaluation to the next, or a step is more than a fortieth of the weights: a BERT that
    collapsed at a high LR gives every sample the same answer, and its loss lies still. Without evaluations, the training loss
    stood clearly above its start.
    """
    is_large = _is_shaken(history) or (run.step_ratio or 0.0) > _LARGE_STEP
    if run.updates_done or not _has_not_fallen(history) or not is_large or _has_begun(history):
        return None
    return lr_too_high("stuck", history, run, 1, f"{_describe_fall(history)}, and the steps are large")


def too_slow(history: LossHistory, run: RunInfo) -> LossFinding | None:
    """The training loss does not fall, by small steps, and the validation loss has not fallen fast and then settled."""
    is_small = (run.step_ratio or 0.0) < _SMALL_STEP
    if run.updates_done or not is_small or not _has_not_fallen(history) or _is_shaken(history) or _has_settled(history):
        return None
    return make_finding(
        "too_slow",
        history,
        1,
        _describe_fall(history),
        "The LR is too low, or the run much too short. If the model was already trained on this task, no change is needed.",
        advice.change_lr(run.learning_rate, run.step_ratio, lower=False),
    )


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


def _has_not_fallen(history: LossHistory) -> bool:
    exposure = statistics.fmean(block.lr for block in history.blocks) * history.share_done
    is_early = history.share_done < _MIN_SHARE or len(history.blocks) < 6
    if is_early or history.max_lr < 0.9 or exposure < 0.1:
        return False
    start, level = get_end_levels(history)
    validation = _get_validation_losses(history)[-3:]
    # Where they swing, one of them is low by chance; where they fall, the last one counts.
    now = level if not validation else statistics.median(validation) if _is_shaken(history) else validation[-1]
    return start - level < _SMALL_FALL * abs(start) and start - now < _SMALL_VALIDATION_FALL * abs(start)


def _has_begun(history: LossHistory) -> bool:
    """Whether the validation loss is on its way down, although not far yet."""
    losses = _get_validation_losses(history)
    return trend(losses) < -TREND and losses[-1] < history.start - _SMALL_SWING * abs(history.start)


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
        return size > _SMALL_SWING * abs(statistics.median(losses)) and upwards > sum(map(abs, swings)) / 3
    is_above = highest > history.start + 4 * max(noise([*history.first.values()]), history.standard_error)
    return is_above and highest > 1.1 * abs(history.start)
