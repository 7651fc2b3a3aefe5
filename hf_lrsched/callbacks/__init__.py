"""Callbacks for any `transformers.Trainer`, one a file."""

from .lr_check import LRCheck
from .lr_logger import LRLogger

__all__ = ["LRCheck", "LRLogger"]
