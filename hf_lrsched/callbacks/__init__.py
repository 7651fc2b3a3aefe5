"""Callbacks for any `transformers.Trainer`, one a file."""

from .clock import ClockCallback
from .cooldown import CooldownCallback
from .loss_guard import LossGuard
from .loss_monitor import LossMonitor
from .lr_check import LRCheck
from .lr_logger import LRLogger
from .plateau import PlateauCallback
from .progress import ScheduleProgressCallback
from .recorder import RunRecorder
from .step_sizes import StepSizes

__all__ = [
    "ClockCallback",
    "CooldownCallback",
    "LossMonitor",
    "LRCheck",
    "LRLogger",
    "LossGuard",
    "PlateauCallback",
    "RunRecorder",
    "ScheduleProgressCallback",
    "StepSizes",
]
