"""Schedules in Trainer: `ScheduledTrainer`, `ScheduleMixin`, `scheduled` and `ScheduleArguments`."""

from .mixin import ScheduleArguments, ScheduledTrainer, ScheduleMixin, scheduled

__all__ = ["ScheduleArguments", "ScheduleMixin", "ScheduledTrainer", "scheduled"]
