"""Learning-rate schedules for Hugging Face Trainer: the one that you drew is the one that your Trainer used."""

import importlib
from typing import TYPE_CHECKING, Any

from .schedules import (
    Curve,
    Horizon,
    Schedule,
    ScheduleError,
    cosine,
    hold,
    linear,
    parse,
    step,
    warmup,
)

if TYPE_CHECKING:
    from .callbacks import LRLogger
    from .scheduler import ScheduleLR, get_schedule
    from .trainer import ScheduleArguments, ScheduledTrainer, ScheduleMixin, scheduled

__version__ = "0.1.0"

# What needs torch and transformers is imported on first use: the schedules alone come up in a tenth of a second.
_LAZY = {
    "LRLogger": "callbacks",
    "ScheduleArguments": "trainer",
    "ScheduleLR": "scheduler",
    "ScheduleMixin": "trainer",
    "ScheduledTrainer": "trainer",
    "get_schedule": "scheduler",
    "scheduled": "trainer",
}

__all__ = [
    "Curve",
    "Horizon",
    "LRLogger",
    "Schedule",
    "ScheduleArguments",
    "ScheduleError",
    "ScheduleLR",
    "ScheduleMixin",
    "ScheduledTrainer",
    "cosine",
    "get_schedule",
    "hold",
    "linear",
    "parse",
    "scheduled",
    "step",
    "warmup",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
