"""Callbacks for any `transformers.Trainer`, one a file. Their order in `callbacks=` never matters."""

from .loss_guard import LossGuard
from .loss_monitor import LossMonitor
from .lr_logger import LRLogger
from .progress import ScheduleProgressCallback
from .recorder import RunRecorder
from .schedule import ScheduleCallback
from .step_sizes import StepSizes

__all__ = [
    "LRLogger",
    "LossGuard",
    "LossMonitor",
    "RunRecorder",
    "ScheduleCallback",
    "ScheduleProgressCallback",
    "StepSizes",
]
