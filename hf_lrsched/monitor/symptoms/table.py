"""Every symptom, by when it is checked."""

from collections.abc import Callable
from typing import TypeAlias

from ..finding import LossFinding
from ..history import LossHistory
from ..run_info import RunInfo
from .decay import lr_spent, plateau_at_high_lr
from .training import diverging, stuck, too_slow
from .validation import unstable_validation, validation_rises
from .warmup import warmup_too_long, warmup_too_short

Symptom: TypeAlias = Callable[[LossHistory, RunInfo], LossFinding | None]

#: Checked at the end of each block.
AT_BLOCK: tuple[Symptom, ...] = (
    diverging,
    stuck,
    too_slow,
    warmup_too_short,
    warmup_too_long,
    lr_spent,
    plateau_at_high_lr,
)
#: Checked after each evaluation.
AT_EVALUATION: tuple[Symptom, ...] = (validation_rises, unstable_validation)
