"""Schedules in Trainer: `ScheduledTrainer`, `ScheduleMixin`, `scheduled` and `ScheduleArguments`."""

from .arguments import ScheduleArguments
from .mixin import ScheduleMixin
from .trainer import ScheduledTrainer, scheduled

__all__ = ["ScheduleArguments", "ScheduleMixin", "ScheduledTrainer", "scheduled"]
