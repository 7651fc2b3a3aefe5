"""Every symptom, with the moment at which it is checked."""

from collections.abc import Callable
from typing import TypeAlias

from ..finding import LossFinding
from ..history import Seen
from ..run_info import Plan
from .decay import lr_spent, plateau_at_high_lr
from .training import diverging, stuck, too_slow
from .validation import unstable_validation, validation_rises
from .warmup import warmup_too_long, warmup_too_short

Sign: TypeAlias = Callable[[Seen, Plan], LossFinding | None]


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
