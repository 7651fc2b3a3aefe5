"""Learning-rate schedules for Hugging Face Trainer: the one that you drew is the one that your Trainer used."""

import importlib
from typing import TYPE_CHECKING, Any

from .schedules import (
    Curve,
    Horizon,
    Schedule,
    ScheduleError,
    bert,
    cosine,
    cosine_restarts,
    custom,
    exponential,
    exponential_decay,
    floor,
    from_data,
    hold,
    inverse_sqrt,
    linear,
    multistep,
    named,
    noam,
    one_cycle,
    one_minus_sqrt,
    parse,
    phase,
    piecewise,
    polynomial,
    power,
    register,
    repeat,
    rex,
    slanted_triangular,
    step,
    step_decay,
    tanh,
    to_data,
    triangular,
    warmup,
    wsd,
)

if TYPE_CHECKING:
    from .callbacks import LRCheck, LRLogger
    from .loop import prepare_schedule
    from .scheduler import ScheduleLR, get_schedule
    from .trainer import ScheduleArguments, ScheduledTrainer, ScheduleMixin, scheduled

__version__ = "0.1.0"

# What needs torch and transformers is imported on first use: the schedules alone come up in a tenth of a second.
_LAZY = {
    "LRCheck": "callbacks",
    "LRLogger": "callbacks",
    "ScheduleArguments": "trainer",
    "ScheduleLR": "scheduler",
    "ScheduleMixin": "trainer",
    "ScheduledTrainer": "trainer",
    "get_schedule": "scheduler",
    "prepare_schedule": "loop",
    "scheduled": "trainer",
}

__all__ = [
    "Curve",
    "Horizon",
    "LRCheck",
    "LRLogger",
    "Schedule",
    "ScheduleArguments",
    "ScheduleError",
    "ScheduleLR",
    "ScheduleMixin",
    "ScheduledTrainer",
    "bert",
    "cosine",
    "cosine_restarts",
    "custom",
    "exponential",
    "exponential_decay",
    "floor",
    "from_data",
    "get_schedule",
    "hold",
    "inverse_sqrt",
    "linear",
    "multistep",
    "named",
    "noam",
    "one_cycle",
    "one_minus_sqrt",
    "parse",
    "phase",
    "piecewise",
    "polynomial",
    "power",
    "prepare_schedule",
    "register",
    "repeat",
    "rex",
    "scheduled",
    "slanted_triangular",
    "step",
    "step_decay",
    "tanh",
    "to_data",
    "triangular",
    "warmup",
    "wsd",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
