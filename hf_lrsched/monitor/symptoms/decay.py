"""Symptoms of a decay that is too fast or too slow."""

import math
import statistics

from .. import advice
from ..finding import Sign
from ..history import LossHistory
from ..outline import SPENT
from ..robust import trend
from ..run_info import RunInfo
from .evidence import TREND, change_schedule


def lr_spent(history: LossHistory, run: RunInfo) -> Sign | None:
    """The LR has been at 3 % of its peak or below for a tenth of the run, and two fifths of the run are still to come."""
    limit = SPENT * history.max_lr
    num_high = max((i for i, block in enumerate(history.blocks, 1) if block.lr > limit), default=0)
    spent = history.blocks[num_high:]
    if history.share_done > 0.6 or not limit or len(spent) * history.block_size < 0.1 * history.num_updates:
        return None
    if not num_high or run.max_lr_after(history.share_done) > limit:  # it will rise again
        return None
    since, level = spent[0].start, statistics.median(block.loss for block in spent)
    return Sign(
        since,
        f"the LR has come down to {history.lr / history.max_lr:.1%} of its peak, the training loss stays at {level:.3g}, and "
        f"{1 - history.share_done:.0%} of the run is still to come",
        "Let the decay last to the end of the run.",
        (change_schedule(run, advice.longer_decay),),
    )


def plateau_at_high_lr(history: LossHistory, run: RunInfo) -> Sign | None:
    """In the last third of the run so far neither the training loss nor the validation improved, at an LR above half of its peak.

    What is left is the noise of large steps, which a decay would remove.
    """
    if history.share_done < 0.5 or history.lr < 0.5 or len(history.blocks) < 12 or len(history.evaluations) < 6:
        return None
    if run.curve is not None and run.curve(1.0) < 0.5:
        return None  # the decay is still to come
    third = history.blocks[-max(len(history.blocks) // 3, 6) :]
    losses, since = [block.loss for block in third], third[0].start
    level = statistics.median(losses)
    gain = history.start - min(block.loss for block in history.blocks)
    recent = [each for each in history.evaluations if each.update >= since]
    earlier = [each for each in history.evaluations if each.update < since]
    if len(recent) < 4 or not earlier or gain <= 4 * history.standard_error or level < 0.25 * history.start:
        return None
    best_losses = [min(each.loss for each in part) for part in (earlier, recent)]
    best_scores = [max(-math.inf if each.score is None else each.score for each in part) for part in (earlier, recent)]
    if abs(trend(losses)) > TREND or best_losses[1] < best_losses[0] or best_scores[1] > best_scores[0]:
        return None
    return Sign(
        since,
        f"the training loss stays at {level:.3g} and no evaluation was better, while the LR is at "
        f"{history.lr:.0%} of its peak",
        "Decay the LR.",
        (change_schedule(run, advice.decay_instead),),
    )
