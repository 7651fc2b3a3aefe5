"""Schedules: pure mathematics on NumPy, without torch and without transformers."""

from .arguments import FactorArgument, LengthArgument
from .curve import Curve, Part, Span
from .errors import ScheduleError
from .families.around import floor, from_start, planned, rising
from .families.basic import freeze, hold, jump, warmup
from .families.cooldown import cooldown
from .families.custom import custom, piecewise
from .families.cycles import one_cycle, repeat, triangular
from .families.decays import cosine, exponential, inverse_sqrt, linear, one_minus_sqrt, polynomial, power, rex, tanh
from .families.momentum import momentum
from .families.plateau import plateau
from .families.steps import multistep, step
from .from_transformers import from_transformers
from .parser import parse
from .presets import bert, cosine_restarts, exponential_decay, noam, register, slanted_triangular, step_decay, wsd
from .registry import Phase, named, phase
from .schedule import Product, Schedule, Sequence
from .serialization import from_data, to_data
from .units import Horizon, Length, as_length

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
    "bert",
    "cooldown",
    "cosine",
    "cosine_restarts",
    "custom",
    "exponential",
    "exponential_decay",
    "floor",
    "freeze",
    "from_data",
    "from_start",
    "from_transformers",
    "hold",
    "inverse_sqrt",
    "jump",
    "linear",
    "momentum",
    "multistep",
    "named",
    "noam",
    "one_cycle",
    "one_minus_sqrt",
    "parse",
    "phase",
    "piecewise",
    "planned",
    "plateau",
    "polynomial",
    "power",
    "register",
    "repeat",
    "rex",
    "rising",
    "slanted_triangular",
    "step",
    "step_decay",
    "tanh",
    "to_data",
    "triangular",
    "warmup",
    "wsd",
]
