"""Learning-rate schedules for Hugging Face Trainer: the one that you drew is the one that your Trainer used."""

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__
from .schedules import (
    Curve,
    Horizon,
    Schedule,
    ScheduleError,
    bert,
    cooldown,
    cosine,
    cosine_restarts,
    custom,
    exponential,
    exponential_decay,
    floor,
    freeze,
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
    plateau,
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
    from .callbacks import (
        ClockCallback,
        CooldownCallback,
        LossGuard,
        LossMonitor,
        LRCheck,
        LRLogger,
        PlateauCallback,
        RunRecorder,
        ScheduleProgressCallback,
        StepSizes,
    )
    from .doctor import Finding, diagnose
    from .groups import (
        GroupArguments,
        LayerwiseGroups,
        explain_groups,
        freeze_groups,
        gradual_unfreezing,
        layerwise_groups,
        regex_groups,
    )
    from .integrations.accelerate import prepare_schedule
    from .runs.run import Run, read_run
    from .scheduler.factory import get_schedule
    from .scheduler.schedule_lr import ScheduleLR
    from .trainer.arguments import ScheduleArguments
    from .trainer.mixin import ScheduleMixin
    from .trainer.trainer import ScheduledTrainer, scheduled
    from .trajectory.clocks import Clock, epochs, tokens
    from .trajectory.clocks import time as time


# What needs torch and transformers is imported on first use: the schedules alone come up in a tenth of a second.
_LAZY = {
    "GroupArguments": "groups",
    "Clock": "trajectory.clocks",
    "ClockCallback": "callbacks",
    "CooldownCallback": "callbacks",
    "LossMonitor": "callbacks",
    "Finding": "doctor",
    "LRCheck": "callbacks",
    "LRLogger": "callbacks",
    "LossGuard": "callbacks",
    "PlateauCallback": "callbacks",
    "Run": "runs",
    "RunRecorder": "callbacks",
    "LayerwiseGroups": "groups",
    "ScheduleArguments": "trainer",
    "ScheduleLR": "scheduler",
    "ScheduleMixin": "trainer",
    "ScheduleProgressCallback": "callbacks",
    "ScheduledTrainer": "trainer",
    "StepSizes": "callbacks",
    "explain_groups": "groups",
    "freeze_groups": "groups",
    "diagnose": "doctor",
    "epochs": "trajectory.clocks",
    "get_schedule": "scheduler",
    "gradual_unfreezing": "groups",
    "layerwise_groups": "groups",
    "prepare_schedule": "integrations.accelerate",
    "read_run": "runs",
    "regex_groups": "groups",
    "scheduled": "trainer",
    "time": "trajectory.clocks",
    "tokens": "trajectory.clocks",
}

# time() is left out: `import *` must not hide Python's own module.
__all__ = [
    "Clock",
    "ClockCallback",
    "CooldownCallback",
    "Curve",
    "Finding",
    "GroupArguments",
    "Horizon",
    "LRCheck",
    "LRLogger",
    "LayerwiseGroups",
    "LossGuard",
    "LossMonitor",
    "PlateauCallback",
    "Run",
    "RunRecorder",
    "Schedule",
    "ScheduleArguments",
    "ScheduleError",
    "ScheduleLR",
    "ScheduleProgressCallback",
    "ScheduleMixin",
    "ScheduledTrainer",
    "StepSizes",
    "bert",
    "cooldown",
    "cosine",
    "cosine_restarts",
    "custom",
    "diagnose",
    "epochs",
    "explain_groups",
    "exponential",
    "exponential_decay",
    "floor",
    "freeze",
    "freeze_groups",
    "from_data",
    "get_schedule",
    "gradual_unfreezing",
    "hold",
    "inverse_sqrt",
    "layerwise_groups",
    "linear",
    "multistep",
    "named",
    "noam",
    "one_cycle",
    "one_minus_sqrt",
    "parse",
    "phase",
    "piecewise",
    "plateau",
    "polynomial",
    "power",
    "prepare_schedule",
    "regex_groups",
    "read_run",
    "register",
    "repeat",
    "rex",
    "scheduled",
    "slanted_triangular",
    "step",
    "step_decay",
    "tanh",
    "to_data",
    "tokens",
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
