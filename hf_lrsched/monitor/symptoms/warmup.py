"""Symptoms of a warmup that is too short or too long."""

from itertools import pairwise

from ...schedules import Horizon
from .. import advice
from ..finding import Sign, format_distinct
from ..history import LossHistory
from ..run_info import RunInfo
from .evidence import change_schedule, get_clear_rise


def warmup_too_short(history: LossHistory, run: RunInfo) -> Sign | None:
    """The loss jumped, and came down again, around the update at which the LR reached its peak."""
    peak = history.max_lr_update
    has_peaked = history.update > peak and run.is_high(history.max_lr, 0.9)
    if run.updates_done or not has_peaked or peak > 0.2 * history.num_updates or len(history.blocks) < 4:
        return None
    limit = 2 * peak + history.block_size
    around = [block for block in history.blocks[:-1] if block.start <= limit and block.end >= peak]
    if not around:
        return None
    jump, error = max(around, key=lambda block: block.loss), history.standard_error
    level = min([history.start, *(block.loss for block in history.blocks if block.end < jump.start)])
    rise = jump.loss - level
    is_huge = (run.step_ratio or 0.0) > 1 and rise > max(0.4 * abs(history.start), 4 * error)
    is_clear = is_huge or (rise > 8 * error and jump.loss - history.start > 2 * get_clear_rise(history))
    if not is_clear or history.blocks[-1].loss > jump.loss - 0.5 * rise:
        return None
    before, after = format_distinct(level, jump.loss)
    return Sign(
        jump.start,
        f"the training loss jumped from {before} to {after} when the LR reached its peak at update {peak}",
        "Use a lower LR or a longer warmup; hf_lrsched.find_lr(trainer) measures the right LR.",
    )


def warmup_too_long(history: LossHistory, run: RunInfo) -> Sign | None:
    """The LR still rises after two fifths of the run, in a warmup: other rises, as of `triangular(up=50%)`, are intended."""
    if run.updates_done or history.share_done < 0.4 or not history.lr == history.max_lr < 1 or not _is_rising(history):
        return None
    horizon = run.horizon or Horizon(run.num_updates)
    if run.schedule and not advice.has_long_warmup(run.schedule, horizon, run.learning_rate):
        return None
    return Sign(
        1,
        f"the LR is still at {history.lr:.0%} of its peak and rising after {history.share_done:.0%} of the run",
        "A warmup of 10% is usually enough: the peak is reached while there is time to use it.",
        (change_schedule(run, advice.shorter_warmup),),
    )


def _is_rising(history: LossHistory) -> bool:
    lrs = [block.lr for block in history.blocks[-3:]]
    return len(lrs) == 3 and all(after > before for before, after in pairwise(lrs))
