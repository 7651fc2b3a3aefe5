"""Schedules: pure mathematics on NumPy, without torch and without transformers."""

from .curve import Curve, Part
from .errors import ScheduleError
from .library import cosine, hold, linear, step, warmup
from .phase import FactorArgument, Phase, phase
from .schedule import Product, Schedule, Sequence, Span
from .text import parse
from .units import Horizon, Length, LengthArgument, as_length

__all__ = [
    "Curve",
    "FactorArgument",
    "Horizon",
    "Length",
    "LengthArgument",
    "Part",
    "Phase",
    "Product",
    "Schedule",
    "ScheduleError",
    "Sequence",
    "Span",
    "as_length",
    "cosine",
    "hold",
    "linear",
    "parse",
    "phase",
    "step",
    "warmup",
]
