"""Find the peak learning rate of a run by short probe runs."""

from .find import find_lr
from .result import LRSearch, Probe

__all__ = ["LRSearch", "Probe", "find_lr"]
