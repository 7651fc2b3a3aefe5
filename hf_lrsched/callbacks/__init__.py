"""Callbacks for any `transformers.Trainer`, one a file."""

from .clock import ClockCallback
from .cooldown import CooldownCallback
from .loss_guard import LossGuard
from .lr_check import LRCheck
from .lr_logger import LRLogger
from .plateau import PlateauCallback
from .progress import ScheduleProgressCallback
from .recorder import RunRecorder

__all__ = [
    "ClockCallback",
    "CooldownCallback",
    "LRCheck",
    "LRLogger",
    "LossGuard",
    "PlateauCallback",
    "RunRecorder",
    "ScheduleProgressCallback",
]
