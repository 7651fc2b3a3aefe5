"""Callbacks for any `transformers.Trainer`, one a file."""

from .lr_logger import LRLogger

__all__ = ["LRLogger"]
