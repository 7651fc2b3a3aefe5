"""The one torch `LRScheduler`, and the factory that makes it."""

from .factory import get_scheduler
from .schedule_lr import ScheduleLR

__all__ = ["ScheduleLR", "get_scheduler"]
