"""What several symptoms have in common: levels and trends of the losses, and the advice on the LR."""

import statistics
from collections.abc import Callable

from ...schedules import Horizon
from .. import advice
from ..finding import Change, Sign
from ..history import LossHistory
from ..run_info import RunInfo

#: Mann-Kendall's test shows a trend from this value on.
TREND = 0.7

# A loss is clearly above the start by more than this share of it, and by more than so many standard deviations of one batch's
# loss: the start is hardly more than one batch's loss itself.
_CLEAR_RISE, _CLEAR_DEVIATIONS = 0.15, 3.0

#: A change of the validation loss from one evaluation to the next by less than this share of it is none.
SMALL_SWING = 0.02

# A metric between 0 and 1 from this value on leaves little to learn.
_SOLVED = 0.9


def is_solved(history: LossHistory) -> bool:
    """Whether the latest score is near its best possible value: a loss that does not fall is then no fault."""
    score = history.evaluations[-1].score if history.evaluations else None
    return score is not None and _SOLVED <= score <= 1


def lr_too_high(history: LossHistory, run: RunInfo, since: int, evidence: str) -> Sign:
    """Advise a lower LR, and a warmup where the LR reached its peak at once.

    Where the size of the steps is not known, the advice is in words.
    """
    lower, is_abrupt = change_lr(run, lower=True), history.max_lr_update < 0.05 * history.num_updates
    warmup = change_schedule(run, advice.longer_warmup) if lower and is_abrupt else None
    advised = "The LR is too high; hf_lrsched.find_lr(trainer) measures the right one."
    return Sign(since, evidence, advised, (lower, warmup))


def change_lr(run: RunInfo, *, lower: bool) -> Change | None:
    """Advise another peak LR, if the size of the steps is known."""
    if run.step_ratio is None:
        return None
    return advice.change_lr(run.learning_rate, run.step_ratio, lower=lower, is_new=run.has_random_weights)


def change_schedule(run: RunInfo, change: Callable[[str, Horizon, float], Change | None]) -> Change | None:
    """Advise another schedule, if the run's is one of this package."""
    horizon = run.horizon or Horizon(run.num_updates)
    return change(run.schedule, horizon, run.learning_rate) if run.schedule else None


def get_clear_rise(history: LossHistory) -> float:
    """Return by how much a block must lie above the start to be clearly above it."""
    deviation, start = max(history.noise, history.blocks[0].spread), abs(history.start)
    # With a far too high LR everything is noise; five times the start is clear all the same.
    return min(max(4 * history.standard_error, _CLEAR_RISE * start, _CLEAR_DEVIATIONS * deviation), 4 * start)


def get_end_levels(history: LossHistory) -> tuple[float, float]:
    """Return the mean loss in the first and in the last sixth of the run so far."""
    count = max(1, round(len(history.blocks) / 6))
    first, last = history.blocks[:count], history.blocks[-count:]
    return statistics.fmean(block.loss for block in first), statistics.fmean(block.loss for block in last)
