"""Learning-rate schedules for Hugging Face Trainer: the one that you drew is the one that your Trainer used."""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__
from .schedules import (
    Horizon,
    Schedule,
    ScheduleError,
    cooldown,
    cosine,
    custom,
    exponential,
    freeze,
    hold,
    inverse_sqrt,
    linear,
    multistep,
    one_cycle,
    one_minus_sqrt,
    parse,
    piecewise,
    plateau,
    polynomial,
    power,
    register,
    repeat,
    rex,
    step,
    triangular,
    warmup,
    wsd,
)

if TYPE_CHECKING:
    from .budgets import train_budgets
    from .callbacks import LossGuard, LossMonitor, LRLogger, RunRecorder, ScheduleCallback, StepSizes
    from .doctor import diagnose
    from .groups import GroupArguments, freeze_groups, gradual_unfreezing, layerwise_groups, regex_groups
    from .integrations.accelerate import prepare_schedule
    from .runs import Run, read_run
    from .scheduler import ScheduleLR, get_scheduler
    from .search import LRSearch, find_lr
    from .trainer import ScheduleArguments, ScheduledTrainer, ScheduleMixin, scheduled

# These rooms need torch or transformers: their names are imported on first use, so that schedules alone stay light.
_LAZY_ROOMS = {
    "budgets": ("train_budgets",),
    "callbacks": ("LRLogger", "LossGuard", "LossMonitor", "RunRecorder", "ScheduleCallback", "StepSizes"),
    "doctor": ("diagnose",),
    "groups": ("GroupArguments", "freeze_groups", "gradual_unfreezing", "layerwise_groups", "regex_groups"),
    "integrations.accelerate": ("prepare_schedule",),
    "runs": ("Run", "read_run"),
    "scheduler": ("ScheduleLR", "get_scheduler"),
    "search": ("LRSearch", "find_lr"),
    "trainer": ("ScheduleArguments", "ScheduleMixin", "ScheduledTrainer", "scheduled"),
}
_ROOM_OF_NAME = {name: room for room, names in _LAZY_ROOMS.items() for name in names}

__all__ = [
    "GroupArguments",
    "Horizon",
    "LRLogger",
    "LRSearch",
    "LossGuard",
    "LossMonitor",
    "Run",
    "RunRecorder",
    "Schedule",
    "ScheduleArguments",
    "ScheduleCallback",
    "ScheduleError",
    "ScheduleLR",
    "ScheduleMixin",
    "ScheduledTrainer",
    "StepSizes",
    "cooldown",
    "cosine",
    "custom",
    "diagnose",
    "exponential",
    "find_lr",
    "freeze",
    "freeze_groups",
    "get_scheduler",
    "gradual_unfreezing",
    "hold",
    "inverse_sqrt",
    "layerwise_groups",
    "linear",
    "multistep",
    "one_cycle",
    "one_minus_sqrt",
    "parse",
    "piecewise",
    "plateau",
    "polynomial",
    "power",
    "prepare_schedule",
    "read_run",
    "regex_groups",
    "register",
    "repeat",
    "rex",
    "scheduled",
    "step",
    "train_budgets",
    "triangular",
    "warmup",
    "wsd",
]


def __getattr__(name: str) -> Any:
    if name in _ROOM_OF_NAME:
        return getattr(importlib.import_module(f".{_ROOM_OF_NAME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOM_OF_NAME])


def _register_displays() -> None:
    """In a notebook, let schedules, curves and runs be drawn."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        from .plots.notebook import register_displays

        register_displays(shell)


_register_displays()
