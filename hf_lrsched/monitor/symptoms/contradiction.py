"""What contradicts a finding: what came since shows that its hypothesis was wrong."""

from ..finding import LossFinding
from ..history import Block, LossHistory
from ..run_info import RunInfo

# If the LR is too low, a loss that fell by 8 % falls little further. A loss that falls by a quarter only began to fall late.
_CLEAR_FALL = 0.25
# Where the weights cannot move far, a loss that falls is no contradiction, unless it falls nearly as far as it can.
_FULL_FALL = 0.9
# A loss that falls once the LR has fallen was held up by the LR: no contradiction.
_SAME_LR = 0.75


def is_contradicted(finding: LossFinding, history: LossHistory, run: RunInfo) -> bool:
    """Whether the losses since a finding contradict it; facts about the schedule or the data stay as they are."""
    before = [block for block in history.blocks if block.end <= finding.update]
    since = [block for block in history.blocks if block.end > finding.update]
    if not before or len(since) < 2:
        return False
    level, clear = _get_level(since), _CLEAR_FALL * abs(history.start)
    if finding.kind == "too_slow":
        return history.start - level > (_FULL_FALL * abs(history.start) if run.moves_little else clear)
    if finding.kind in ("stuck", "diverging", "plateau_at_high_lr"):
        falls = min(_get_level(before), history.start) - level > clear
        return falls and since[-1].lr > _SAME_LR * before[-1].lr
    if finding.kind == "validation_rises":
        return history.evaluations[-1].loss <= min(each.loss for each in history.evaluations)
    return False


def _get_level(blocks: list[Block]) -> float:
    """Return the higher one of the latest two: one low block is chance."""
    return max(block.loss for block in blocks[-2:])
