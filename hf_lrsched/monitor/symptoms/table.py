"""Every symptom, and which kinds are reported by default."""

from collections.abc import Callable
from typing import TypeAlias

from ..finding import Sign
from ..history import LossHistory
from ..run_info import RunInfo
from .decay import lr_spent, plateau_at_high_lr
from .training import diverging, stuck, too_slow
from .validation import unstable_validation, validation_rises
from .warmup import warmup_too_long, warmup_too_short

Symptom: TypeAlias = Callable[[LossHistory, RunInfo], Sign | None]

#: Looked for in short runs, too.
OF_EVALUATIONS: tuple[Symptom, ...] = (validation_rises, unstable_validation)
#: Looked for at the end of each block and after each evaluation.
SYMPTOMS: tuple[Symptom, ...] = (
    diverging,
    stuck,
    too_slow,
    warmup_too_short,
    warmup_too_long,
    lr_spent,
    plateau_at_high_lr,
    *OF_EVALUATIONS,
)
#: All kinds, the one whose advice counts most last.
ALL_KINDS = (
    "unstable_validation",
    "plateau_at_high_lr",
    "validation_rises",
    "spike",
    "warmup_too_short",
    "lr_spent",
    "warmup_too_long",
    "too_slow",
    "stuck",
    "diverging",
    "not_finite",
)
STRENGTH = {kind: strength for strength, kind in enumerate(ALL_KINDS)}
#: Kinds with at most 1 % false alarms on the families of runs that were left out, and that were right in ill ones: see
#: benchmarks/results/monitor_families.md. Without `warmup_too_short`: on runs new to the rules it was wrong in 2 of 75 healthy
#: ones. So was `validation_rises`, which alone finds overfitting and wrong validation labels.
DEFAULT_KINDS = frozenset(ALL_KINDS) - {"plateau_at_high_lr", "warmup_too_short"}
